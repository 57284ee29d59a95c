"""The name of a model's table in the file: as Django makes it on SQLite."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import Group
from django.db import models
from django.test.utils import isolate_apps

from stillme.transfer.mapping import split_table
from stillme.transfer.project.tables import legacy_table, problems_of_names


@pytest.mark.parametrize(
    ("db_table", "place", "in_file"),
    [
        ("plain", ("public", "plain"), "plain"),
        ("with.dot", ("public", "with.dot"), "with.dot"),
        ('"one name"', ("public", "one name"), "one name"),
        ('"sales"."order"', ("sales", "order"), "order"),
        ('"sales"."or.der"', ("sales", "or.der"), "or.der"),
    ],
)
@isolate_apps("tests")
def test_only_quotes_qualify(db_table: str, place: tuple[str, str], in_file: str) -> None:
    class One(models.Model):
        class Meta:
            app_label = "tests"

    One._meta.db_table = One._meta.original_attrs["db_table"] = db_table
    assert split_table(db_table) == place
    assert legacy_table(One) == in_file


@isolate_apps("tests")
def test_a_name_that_postgresql_cuts_is_whole_in_the_file() -> None:
    """Under the settings of PostgreSQL Django makes a shorter name, with a digest."""

    class TheNameOfThisModelIsSoLongThatNobodyWouldChooseItForATableOfTheirs(models.Model):
        members_of_it = models.ManyToManyField(Group)

        class Meta:
            app_label = "tests"

    class Plain(models.Model):
        members_by_a_name_that_is_much_longer_than_one_would_ever_expect = models.ManyToManyField(
            Group
        )
        named = models.ManyToManyField(Group, db_table="tests_named", related_name="+")

        class Meta:
            app_label = "tests"

    model = TheNameOfThisModelIsSoLongThatNobodyWouldChooseItForATableOfTheirs
    whole = f"tests_{model.__name__.lower()}"
    assert len(model._meta.db_table) == 63
    assert legacy_table(model) == whole
    assert legacy_table(model.members_of_it.through) == f"{whole}_members_of_it"
    (long, named) = Plain._meta.local_many_to_many
    assert legacy_table(long.remote_field.through) == f"tests_plain_{long.name}"
    assert legacy_table(named.remote_field.through) == "tests_named"


@isolate_apps("tests")
def test_names_that_django_cannot_use_there_are_told() -> None:
    class Percent(models.Model):
        share = models.IntegerField(db_column="share %")

        class Meta:
            app_label = "tests"

    class TooLong(models.Model):
        class Meta:
            app_label = "tests"
            db_table = "é" * 32

    class Good(models.Model):
        class Meta:
            app_label = "tests"

    (told,) = problems_of_names(Percent)
    assert "tests.Percent has the name 'share %'" in told
    (told,) = problems_of_names(TooLong)
    assert "tests.TooLong has a table name of 64 bytes" in told
    assert not [*problems_of_names(Good)]
