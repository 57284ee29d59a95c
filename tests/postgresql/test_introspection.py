"""What Django's introspection says of tables in schemas: nothing on its own backend, all here."""

from typing import Any

import pytest

AUTHOR = '"shelf_people"."author"'
BOOK = '"shelf_books"."book"'
BOOK_TAGS = '"shelf_books"."book_tags"'


def test_table_names(shelf: Any, ours: Any, stock: Any) -> None:
    assert stock.introspection.table_names() == ["shelf_tag"]
    assert ours.introspection.table_names() == [BOOK, BOOK_TAGS, AUTHOR, "shelf_tag"]


def test_table_list_tells_views_and_leaves_the_catalogue_out(ours: Any) -> None:
    with ours.cursor() as cursor:
        cursor.execute("CREATE SCHEMA s; CREATE TABLE s.t (); CREATE VIEW s.v AS SELECT 1 AS one")
        cursor.execute("COMMENT ON TABLE s.t IS 'a table'")
        found = {info.name: info for info in ours.introspection.get_table_list(cursor)}
    assert {name: info.type for name, info in found.items()} == {'"s"."t"': "t", '"s"."v"': "v"}
    assert found['"s"."t"'].comment == "a table"


def test_django_table_names_that_exist(shelf: Any, ours: Any, stock: Any) -> None:
    derived = 'shelf_books"."book_tags'  # as Django names a many-to-many table
    existing = {AUTHOR, BOOK, "shelf_tag", derived}
    assert set(stock.introspection.django_table_names(only_existing=True)) == {"shelf_tag"}
    assert set(ours.introspection.django_table_names(only_existing=True)) == existing


def test_installed_models(shelf: Any, ours: Any, stock: Any) -> None:
    tables = ours.introspection.table_names()
    assert ours.introspection.installed_models(tables) >= {shelf.Author, shelf.Book, shelf.Tag}
    assert shelf.Author not in stock.introspection.installed_models(
        stock.introspection.table_names()
    )


def test_constraints(shelf: Any, ours: Any, stock: Any) -> None:
    with stock.cursor() as cursor:
        assert stock.introspection.get_constraints(cursor, BOOK) == {}
    with ours.cursor() as cursor:
        found = ours.introspection.get_constraints(cursor, BOOK)
    foreign_keys = [entry["foreign_key"] for entry in found.values() if entry["foreign_key"]]
    assert foreign_keys == [(AUTHOR, "id")]
    assert found["idx_book_title"]["columns"] == ["title"]
    assert found["one_undated_title"]["unique"]
    assert found["year_is_positive"]["check"]
    assert found["book_pkey"]["primary_key"]


@pytest.mark.parametrize("table", ["shelf_tag", '"shelf_tag"'])
def test_an_unqualified_table_is_described_as_by_django(
    shelf: Any, ours: Any, stock: Any, table: str
) -> None:
    with ours.cursor() as our, stock.cursor() as their:
        for method in ("get_constraints", "get_relations", "get_table_description"):
            answer = getattr(ours.introspection, method)(our, table)
            assert answer == getattr(stock.introspection, method)(their, "shelf_tag")


def test_relations_cross_schemas(shelf: Any, ours: Any, stock: Any) -> None:
    with stock.cursor() as cursor:
        assert stock.introspection.get_relations(cursor, BOOK) == {}
    with ours.cursor() as cursor:
        assert ours.introspection.get_relations(cursor, BOOK) == {"author_id": ("id", AUTHOR)}
        tags = ours.introspection.get_relations(cursor, BOOK_TAGS)
    assert tags == {"book_id": ("id", BOOK), "tag_id": ("id", "shelf_tag")}


def test_primary_key_column(shelf: Any, ours: Any, stock: Any) -> None:
    with stock.cursor() as cursor:
        assert stock.introspection.get_primary_key_column(cursor, BOOK) is None
    with ours.cursor() as cursor:
        assert ours.introspection.get_primary_key_column(cursor, BOOK) == "id"
        assert ours.introspection.get_primary_key_column(cursor, '"shelf_books"."none"') is None


def test_table_description(shelf: Any, ours: Any, stock: Any) -> None:
    with stock.cursor() as cursor, pytest.raises(KeyError):
        stock.introspection.get_table_description(cursor, BOOK)
    with ours.cursor() as cursor:
        columns = {
            column.name: column for column in ours.introspection.get_table_description(cursor, BOOK)
        }
    assert columns["id"].is_autofield
    assert columns["year"].null_ok
    assert not columns["title"].null_ok


def test_sequences(shelf: Any, ours: Any, stock: Any) -> None:
    with stock.cursor() as cursor:
        assert stock.introspection.get_sequences(cursor, BOOK) == []
    with ours.cursor() as cursor:
        assert ours.introspection.get_sequences(cursor, BOOK) == [
            {"name": '"shelf_books"."book_id_seq"', "table": BOOK, "column": "id"}
        ]


def test_sequence_list(shelf: Any, ours: Any, stock: Any) -> None:
    malformed = {"table": 'shelf_books"."book_tags', "column": None}
    assert malformed in stock.introspection.sequence_list()
    names = {sequence.get("name") for sequence in ours.introspection.sequence_list()}
    assert names >= {
        '"shelf_people"."author_id_seq"',
        '"shelf_books"."book_id_seq"',
        '"shelf_books"."book_tags_id_seq"',
        "shelf_tag_id_seq",
    }


def test_tables_of_the_same_name_are_kept_apart(ours: Any) -> None:
    with ours.cursor() as cursor:
        cursor.execute("CREATE SCHEMA a; CREATE SCHEMA b")
        cursor.execute("CREATE TABLE a.t (x int PRIMARY KEY); CREATE TABLE b.t (y int UNIQUE)")
        a = set(ours.introspection.get_constraints(cursor, '"a"."t"'))
        b = set(ours.introspection.get_constraints(cursor, '"b"."t"'))
    # PostgreSQL 18 also lists NOT NULL as a constraint.
    assert a - {"t_x_not_null"} == {"t_pkey"}
    assert b == {"t_y_key"}
