"""What the columns of a project's own models mean: by the class of the field, and of its parent."""

from __future__ import annotations

from typing import Any

import pytest
from django.conf import settings
from django.contrib.auth.models import Group, Permission, User
from django.contrib.postgres.search import SearchVectorField
from django.db import models
from django.test.utils import isolate_apps

from stillme.transfer import kinds
from stillme.transfer.project import models as project_models
from stillme.transfer.project.fields import UnknownField, kind_of
from stillme.transfer.project.models import _key, _value
from stillme.transfer.project.tables import legacy_table

WIDE = (-(2**63), 2**63 - 1)


class Shouted(models.CharField):  # type: ignore[type-arg]
    """A child of Django's that stores what its parent stores."""


class Boxed(models.CharField):  # type: ignore[type-arg]
    """A child with a column type of its own."""

    def db_type(self, connection: Any) -> str:
        return "box"


class Named(models.Field):  # type: ignore[type-arg]
    """No child of CharField, in a column of one."""

    def get_internal_type(self) -> str:
        return "CharField"


class Sealed(models.TextField):  # type: ignore[type-arg]
    """A text for the project, bytes in the database."""

    def get_internal_type(self) -> str:
        return "BinaryField"


class Counted(models.IntegerField):  # type: ignore[type-arg]
    """A number for the project, a text in the database."""

    def get_internal_type(self) -> str:
        return "CharField"


KINDS = [
    (Sealed(), kinds.Binary()),
    (Counted(max_length=9), kinds.Text(max_length=9)),
    (models.AutoField(primary_key=True), kinds.Integer()),
    (models.BigIntegerField(), kinds.Integer(*WIDE)),
    (models.SmallIntegerField(), kinds.Integer(-(2**15), 2**15 - 1)),
    (models.PositiveIntegerField(), kinds.Integer(0, 2**31 - 1)),
    (models.PositiveSmallIntegerField(), kinds.Integer(0, 2**15 - 1)),
    (models.PositiveBigIntegerField(), kinds.Integer(0, 2**63 - 1)),
    (models.FloatField(), kinds.Real()),
    (models.DecimalField(max_digits=9, decimal_places=3), kinds.Decimal(9, 3)),
    (models.BooleanField(), kinds.Boolean()),
    (models.CharField(max_length=7), kinds.Text(max_length=7)),
    (models.CharField(max_length=1, choices=[("a", "A")]), kinds.Text(max_length=1)),
    (models.SlugField(), kinds.Text(max_length=50)),
    (models.EmailField(), kinds.Text(max_length=254)),
    (models.URLField(), kinds.Text(max_length=200)),
    (models.FileField(), kinds.Text(max_length=100)),
    (models.FilePathField(), kinds.Text(max_length=100)),
    (models.TextField(max_length=7), kinds.Text()),
    (models.DateField(), kinds.Day()),
    (models.TimeField(), kinds.TimeOfDay()),
    (models.DurationField(), kinds.Duration()),
    (models.UUIDField(), kinds.Uuid()),
    (models.BinaryField(), kinds.Binary()),
    (models.JSONField(), kinds.Json()),
    (models.GenericIPAddressField(), kinds.Address()),
    (Shouted(max_length=3), kinds.Text(max_length=3)),
    (Named(max_length=3), kinds.Text(max_length=3)),
]


@pytest.mark.parametrize(("field", "kind"), KINDS, ids=lambda value: type(value).__name__)
def test_the_kind_of_a_field(field: Any, kind: kinds.Kind) -> None:
    assert kind_of(field) == kind


def test_times_are_of_utc_or_of_the_projects_zone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "TIME_ZONE", "Europe/Berlin")
    for aware, zone in ((True, "UTC"), (False, "Europe/Berlin")):
        monkeypatch.setattr(settings, "USE_TZ", aware)
        assert kind_of(models.DateTimeField()) == kinds.Moment(aware, zone)


@isolate_apps("tests")
def test_a_column_type_of_its_own_is_made_known(monkeypatch: pytest.MonkeyPatch) -> None:
    class Crate(models.Model):
        box = Boxed(max_length=3)

        class Meta:
            app_label = "tests"

    field = Crate._meta.get_field("box")
    with pytest.raises(UnknownField, match=r"tests\.Crate\.box is a .*Boxed"):
        kind_of(field)
    path = f"{Boxed.__module__}.{Boxed.__qualname__}"
    for rule in (kinds.Binary(), lambda field: kinds.Text(max_length=field.max_length)):
        monkeypatch.setattr(settings, "TRANSFER", {"FIELDS": {path: rule}})
        known = rule if isinstance(rule, kinds.Kind) else kinds.Text(max_length=3)
        assert kind_of(field) == known


@isolate_apps("tests")
def test_references() -> None:
    """A one-to-one key, a reference to it, one without a constraint, one to another column."""

    class Card(models.Model):
        owner = models.OneToOneField(User, models.CASCADE, primary_key=True)
        code = models.CharField(max_length=5, unique=True)
        price = models.DecimalField(max_digits=5, decimal_places=2, unique=True)

        class Meta:
            app_label = "tests"
            db_table = '"tests"."cards"'

    class Use(models.Model):
        card = models.ForeignKey(Card, models.CASCADE)
        loose = models.ForeignKey(Card, models.CASCADE, db_constraint=False, related_name="+")
        named = models.ForeignKey(Card, models.CASCADE, to_field="code", related_name="+")
        priced = models.ForeignKey(Card, models.CASCADE, to_field="price", related_name="+")

        class Meta:
            app_label = "tests"

    fields = {field.name: field for field in (*Card._meta.fields, *Use._meta.fields)}
    owner = kinds.Reference("auth_user", kinds.Key())
    assert legacy_table(Card) == "cards"
    assert _key(fields["owner"]) == owner
    assert _value(fields["card"]) == kinds.Reference("cards", owner)
    assert _value(fields["loose"]) == kinds.Integer()
    assert _value(fields["named"]) == kinds.Reference("cards", kinds.TextKey(5), "code")
    with pytest.raises(UnknownField, match=r"tests\.Use\.priced refers to tests\.Card\.price"):
        _value(fields["priced"])
    through = Group.permissions.through._meta.get_field("permission")
    assert _value(through) == kinds.Reference(legacy_table(Permission), kinds.Key())


@isolate_apps("tests")
def test_a_named_column_in_a_circle_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    class Office(models.Model):
        code = models.CharField(max_length=5, unique=True)
        head = models.ForeignKey("Clerk", models.CASCADE)

        class Meta:
            app_label = "tests"

    class Clerk(models.Model):
        code = models.CharField(max_length=5, unique=True)
        office = models.ForeignKey(Office, models.CASCADE, to_field="code")
        chief = models.ForeignKey("self", models.CASCADE, to_field="code")

        class Meta:
            app_label = "tests"

    monkeypatch.setattr(project_models, "file_of", lambda model: "file")
    monkeypatch.setattr(project_models, "circle", lambda file, table: {"tests_office"})
    office, chief = project_models._named_in_circles([Office, Clerk])
    assert "tests.Clerk.office refers to tests.Office.code, which is not the primary key" in office
    assert "tests.Clerk.chief refers to tests.Clerk.code" in chief
    monkeypatch.setattr(project_models, "circle", lambda file, table: set())
    assert len(project_models._named_in_circles([Office, Clerk])) == 1


@isolate_apps("stillme.transfer")
def test_a_field_that_sqlite_does_not_have() -> None:
    class Entry(models.Model):
        words = SearchVectorField()

        class Meta:
            app_label = "transfer"

    with pytest.raises(UnknownField, match=r"SQLite does not have: name transfer\.Entry in"):
        kind_of(Entry._meta.get_field("words"))
