"""Rows of schema-qualified tables: written, locked, flushed, counted on."""

import unittest
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.core.management.color import no_style
from django.core.management.sql import sql_flush
from django.db import DatabaseError, connections, transaction
from django.test import TransactionTestCase


@pytest.mark.parametrize("alias", ["ours", "stock"])
def test_crud_on_either_backend(shelf: Any, alias: str) -> None:
    author = shelf.Author.objects.using(alias).create(name="Nguyễn Du")
    book = shelf.Book.objects.using(alias).create(author=author, title="Truyện Kiều 📖")
    book.tags.add(shelf.Tag.objects.using(alias).create(word="thơ"))
    books = shelf.Book.objects.using(alias)
    assert books.filter(author__name="Nguyễn Du", tags__word="thơ").get() == book
    assert books.select_related("author").get().author == author
    assert books.update(year=1820) == 1
    assert books.filter(author__book__year__gt=1800).count() == 1
    assert author.delete()[0] == 3
    assert not books.exists()


def test_many_to_many(shelf: Any, ours: Any) -> None:
    author = shelf.Author.objects.using("ours").create(name="A")
    book = shelf.Book.objects.using("ours").create(author=author, title="B")
    one, two = (shelf.Tag.objects.using("ours").create(word=word) for word in ("one", "two"))
    book.tags.set([one, two])
    book.tags.remove(one)
    assert list(book.tags.all()) == [two]
    assert list(two.book_set.prefetch_related("tags")) == [book]


def test_select_for_update_of(shelf: Any, ours: Any, stock: Any) -> None:
    shelf.Book.objects.using("ours").create(
        author=shelf.Author.objects.using("ours").create(name="A"), title="B"
    )

    def lock(alias: str) -> list[Any]:
        books = shelf.Book.objects.using(alias).select_related("author")
        with transaction.atomic(using=alias):
            return list(books.select_for_update(of=("self", "author"), nowait=True))

    with pytest.raises(DatabaseError, match="unqualified"):
        lock("stock")
    assert len(lock("ours")) == 1


def test_flush(shelf: Any, ours: Any, stock: Any) -> None:
    def flush(alias: str) -> None:
        call_command(
            "flush", database=alias, interactive=False, verbosity=0, inhibit_post_migrate=True
        )

    shelf.Author.objects.using("ours").create(name="A")
    with pytest.raises(CommandError, match="couldn't be flushed"):
        flush("stock")  # it names shelf_tag alone, which a table that it missed refers to
    assert shelf.Author.objects.using("ours").count() == 1
    flush("ours")
    assert shelf.Author.objects.using("ours").count() == 0


def test_sql_flush_names_every_table(shelf: Any, ours: Any, stock: Any) -> None:
    everything = {
        '"shelf_people"."author"',
        '"shelf_books"."book"',
        '"shelf_books"."book_tags"',
        '"shelf_tag"',
    }
    ours_says = " ".join(sql_flush(no_style(), ours))
    stock_says = " ".join(sql_flush(no_style(), stock))
    assert all(table in ours_says for table in everything)
    assert [table for table in everything if table in stock_says] == ['"shelf_tag"']


@pytest.mark.parametrize(("alias", "left"), [("stock", 1), ("ours", 0)])
def test_transaction_test_case_leaves_nothing(shelf: Any, alias: str, left: int) -> None:
    class Case(TransactionTestCase):
        databases = {alias}
        available_apps = ["tests.postgresql.shelf"]

        def test_writes(self) -> None:
            shelf.Author.objects.using(alias).create(name="left behind")

    result = unittest.TestResult()
    Case("test_writes")(result)
    assert result.wasSuccessful(), result.errors + result.failures
    assert shelf.Author.objects.using(alias).count() == left


def test_resetting_sequences(shelf: Any, ours: Any) -> None:
    author = shelf.Author.objects.using("ours").create(id=41, name="A")
    shelf.Book.objects.using("ours").create(id=7, author=author, title="B")
    statements = ours.ops.sequence_reset_sql(no_style(), [shelf.Author, shelf.Book])
    with ours.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)
    assert shelf.Author.objects.using("ours").create(name="next").id == 42
    assert shelf.Book.objects.using("ours").create(author=author, title="C").id == 8


def test_flush_restarts_sequences(shelf: Any, ours: Any) -> None:
    shelf.Author.objects.using("ours").create(name="A")
    for statement in sql_flush(no_style(), ours, reset_sequences=True):
        with ours.cursor() as cursor:
            cursor.execute(statement)
    assert shelf.Author.objects.using("ours").create(name="B").id == 1


def test_the_stock_alias_is_really_the_stock_backend(both: None) -> None:
    assert type(connections["stock"]).__module__ == "django.db.backends.postgresql.base"
    assert type(connections["ours"]).__module__ == "stillme.postgresql.base"
