"""Key ranges: those that are computed for a table without gaps are those found by walking it."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from stillme.transfer.findings import ignore_event
from stillme.transfer.inventory.selection import Selection
from stillme.transfer.keys import Key
from stillme.transfer.mapping import TableMapping
from stillme.transfer.sqlite.reading.key_ranges import KeyRange, key_ranges
from stillme.transfer.steps.loading.plan import make_plan
from tests.made_once import put_samples


@pytest.fixture
def table(tmp_path: Path, use_legacy_files: Callable[[Path], None]) -> tuple[Path, TableMapping]:
    put_samples(tmp_path, rows=100, variant="clean", files=["knowledge"])
    use_legacy_files(tmp_path)
    (tmp_path / "copies").mkdir()
    plan = make_plan(Selection(tables=("knowledge_items",)), tmp_path / "copies", ignore_event)
    return tmp_path / "knowledge_retention.db", plan.tables[0].job.mapping


@pytest.mark.slow_after(8)
@pytest.mark.parametrize("rows", [1, 7, 49, 50, 99, 100, 101])
@pytest.mark.parametrize(
    "change",
    [
        "SELECT 1",
        "DELETE FROM knowledge_items WHERE id = 50",
        "DELETE FROM knowledge_items WHERE id > 1",
        "DELETE FROM knowledge_items",
        "UPDATE knowledge_items SET id = id - 40",
        "UPDATE knowledge_items SET id = -9223372036854775808 WHERE id = 1",
    ],
)
def test_computed_or_walked(table: tuple[Path, TableMapping], rows: int, change: str) -> None:
    path, mapping = table
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(change)
        (total,) = connection.execute("SELECT count(*) FROM knowledge_items").fetchone()
        walked = key_ranges(connection, mapping, rows)
        computed = key_ranges(connection, mapping, rows, total=total)
        counts = [
            connection.execute(
                f"SELECT count(*) FROM knowledge_items WHERE {where}", values
            ).fetchone()[0]
            for where, values in (found.where(mapping) for found in computed)
        ]
    assert computed == walked
    assert sum(counts) == total
    assert max(counts) <= rows


def test_the_first_range_ends_where_it_ends(table: tuple[Path, TableMapping]) -> None:
    """A rowid is never NULL; asked for that, SQLite would go through the whole table."""
    path, mapping = table
    plans = []
    with closing(sqlite3.connect(path)) as connection:
        for nulls in (True, False):
            within = mapping.key_columns.legacy_within
            where, values = within(None, Key.of(10), nulls=nulls)
            query = f"EXPLAIN QUERY PLAN SELECT * FROM knowledge_items WHERE {where} ORDER BY id"
            plans.append(connection.execute(query, values).fetchone()[3])
    assert plans[0].startswith("SCAN")
    assert plans[1].startswith("SEARCH")
    assert KeyRange(0, None, Key.of(10)).where(mapping) == (where, values)
