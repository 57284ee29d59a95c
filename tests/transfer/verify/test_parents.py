"""The judge's SQL test of a reference: what it finds, and that it seeks each parent by itself."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing

import pytest

from stillme.transfer import kinds
from stillme.transfer.key_columns import KeyColumns
from stillme.transfer.mapped_column import MappedColumn
from stillme.transfer.mapping import TableMapping
from stillme.transfer.verify.tables.parent_tests import parent_tests

ROWID = MappedColumn("key", "key", kinds.Key(), required=True)
TEXT = MappedColumn("key", "key", kinds.TextKey(), required=True)
CODE = MappedColumn("code", "code", kinds.TextKey(), required=False)


@pytest.fixture
def db() -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.execute("CREATE TABLE child (ref)")
        yield connection


@pytest.mark.parametrize(
    ("declared", "key", "named", "parents", "excluded", "there", "missing"),
    [
        ("key INTEGER PRIMARY KEY, code", ROWID, "", [(1, None), (2, None)], [2], [1], [2, 3, "1"]),
        ("key TEXT PRIMARY KEY, code", TEXT, "", [("a", None), ("7", None)], [], ["a"], ["A", 7]),
        ("key PRIMARY KEY, code", TEXT, "", [(7, None), (None, None)], [], [7], [7.0, "7", b"7"]),
        ("key TEXT COLLATE NOCASE PRIMARY KEY, code", TEXT, "", [("a", None)], [], ["a"], ["A"]),
        ("key INTEGER PRIMARY KEY, code UNIQUE", ROWID, "code", [(1, "x"), (2, "y")], [2], ["x"],
         ["y", "X", 1, ""]),
    ],
    ids=["rowid", "text", "untyped", "nocase", "another column"],
)  # fmt: skip
def test_a_parent_is_sought_and_found_as_it_is(
    db, declared, key, named, parents, excluded, there, missing
) -> None:
    """Of all parents SQLite would make a list anew for every block of the children."""
    db.execute(f"CREATE TABLE up ({declared})")
    db.executemany("INSERT INTO up VALUES (?, ?)", parents)
    ref = MappedColumn("ref", "ref", kinds.Reference("up", key.kind, named), required=False)
    up = mapping("up", key, (key, CODE))
    tests = parent_tests(
        mapping("child", key, (ref,)), {"up": up}, {"up": excluded}, [db]
    )  # fmt: skip
    test = tests["up", named].format("child.ref")
    db.executemany("INSERT INTO child VALUES (?)", [(ref,) for ref in (*there, *missing, None)])
    found = [ref for (ref,) in db.execute(f"SELECT ref FROM child WHERE {test}")]
    assert found == there
    plan = [row[-1] for row in db.execute(f"EXPLAIN QUERY PLAN SELECT {test} FROM child")]
    assert any(line.startswith("SEARCH parent row USING") for line in plan), plan


def mapping(table: str, key: MappedColumn, columns: tuple[MappedColumn, ...]) -> TableMapping:
    return TableMapping(
        file="test", table=table, declared_table=table, schema="test", target_table=table,
        key_columns=KeyColumns((key,)), columns=columns, extra=(), derived=(), nulls=(),
        impossible=(), clock=None, key_is_unique=True, key_is_in_order=True,
        key_is_rowid=key is ROWID, has_rowid=True,
    )  # fmt: skip
