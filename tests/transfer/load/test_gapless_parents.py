"""Parents whose keys have no gap are told by two comparisons, and no others are."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from stillme.demo.samples import make_bulk
from stillme.transfer.sqlite.reading.other_rows import ParentTable, gapless_keys, has_parent
from stillme.transfer.steps.rows import table_source
from tests.transfer.load.support import change, query, run_import

REFERENCES = [
    None, -1, 0, 1, 5, 9, 10, 11, 2**63 - 1, -(2**63), 1.0, 9.5, 10.0, 10.5, 9e18, "1", "10", "11",
    "5.0", "x", "", b"1", b"",
]  # fmt: skip


@pytest.fixture
def db() -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.execute('CREATE TABLE up ("the key" INTEGER PRIMARY KEY, rowid)')
        connection.executemany(
            'INSERT INTO up ("the key") VALUES (?)', ((n,) for n in range(1, 11))
        )
        connection.execute("CREATE TABLE child (id INTEGER PRIMARY KEY, up)")
        connection.executemany("INSERT INTO child (up) VALUES (?)", ((r,) for r in REFERENCES))
        yield connection


def ends(db: sqlite3.Connection) -> tuple[int, int] | None:
    return gapless_keys(db.execute, "up", "the key", "child")


def test_the_answer_is_that_of_a_search(db: sqlite3.Connection) -> None:
    assert ends(db) == (1, 10)
    found: list[list[tuple[Any, ...]]] = []
    for known in (None, ends(db)):
        test = has_parent("child.up", ParentTable("up", "the key", None, True, known), "")
        assert ("BETWEEN" in test) is (known is not None)
        found.append(db.execute(f"SELECT id, {test}, NOT {test} FROM child ORDER BY id").fetchall())
    # Of NULL neither is asked.
    assert found[0][1:] == found[1][1:]
    assert {there for _, there, _ in found[0]} == {0, 1}


@pytest.mark.parametrize(
    "change",
    [
        'DELETE FROM up WHERE "the key" = 5',
        'INSERT INTO up ("the key") VALUES (12)',
        'INSERT INTO up ("the key") VALUES (9223372036854775807)',
        "DELETE FROM up",
        "DELETE FROM child",
        "DELETE FROM child WHERE id > 2",
    ],
)
def test_others_are_sought(db: sqlite3.Connection, change: str) -> None:
    db.execute(change)
    assert ends(db) is None


@pytest.mark.django_db(transaction=True)
def test_orphans_are_set_aside_as_without(
    tmp_path: Path, use_legacy_files: Callable[[Path], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    make_bulk(tmp_path, "knowledge_relationships", 60)
    change(
        tmp_path,
        "knowledge",
        "UPDATE knowledge_relationships SET source_id = source_id + 1000000 WHERE id % 3 = 0",
        "UPDATE knowledge_relationships SET target_id = 0 WHERE id % 7 = 0",
        "UPDATE knowledge_relationships SET target_id = 1.5 WHERE id = 10",
    )
    use_legacy_files(tmp_path)
    told: list[tuple[int, int] | None] = []

    def noted(*of: Any) -> tuple[int, int] | None:
        told.append(gapless_keys(*of))
        return told[-1]

    monkeypatch.setattr(table_source, "gapless_keys", noted)
    result = run_import()
    assert any(told)
    relations = next(t for t in result.tables if t.table == "knowledge_relationships")
    expected = {n for n in range(1, 61) if n % 3 == 0 or n % 7 == 0 or n == 10}
    assert relations.outcome.quarantined == len(expected)
    kept = query("SELECT key::int FROM transfer.quarantined_row WHERE file = 'knowledge'")
    assert {key for (key,) in kept} == expected
