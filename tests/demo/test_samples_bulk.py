"""The large files: their size, their mixture, and that every row is a good one."""

from __future__ import annotations

import json
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import pytest

from stillme.demo.samples import make_bulk, schema
from stillme.demo.samples.bulk import COLUMNS
from tests.campaigns import size


def one(path: Path, sql: str) -> tuple[object, ...]:
    with closing(sqlite3.connect(path)) as connection:
        found: tuple[object, ...] = connection.execute(sql).fetchone()
        return found


def test_knowledge_items_are_as_large_as_in_the_field(tmp_path: Path) -> None:
    summary = make_bulk(tmp_path, "knowledge_items", 20_000)
    assert summary.rows == {"knowledge_items": 20_000}
    assert 420 < summary.bytes[schema.KNOWLEDGE] / 20_000 < 450
    with closing(sqlite3.connect(tmp_path / schema.KNOWLEDGE)) as connection:
        found = [
            json.loads(row[0]) for row in connection.execute("SELECT metadata FROM knowledge_items")
        ]
    assert sum(len(value) >= 3 for value in found) > 10_000


def test_a_mixture_has_every_table_and_exactly_the_rows_asked_for(tmp_path: Path) -> None:
    summary = make_bulk(tmp_path, None, 10_007)
    assert summary.total == 10_007
    assert set(summary.rows) == set(COLUMNS)
    for table, count in summary.rows.items():
        path = tmp_path / schema.FILE_OF_TABLE[table]
        assert one(path, f"SELECT count(*) FROM {table}") == (count,)
    assert one(tmp_path / schema.RSS, "PRAGMA journal_mode") == ("wal",)
    assert one(tmp_path / schema.KNOWLEDGE, "PRAGMA journal_mode") == ("delete",)


@pytest.mark.parametrize(
    ("table", "parent", "key"),
    [
        ("rss_fetch_items", "rss_fetch_cycles", "cycle_id"),
        ("knowledge_relationships", "knowledge_items", "source_id"),
    ],
)
def test_a_table_that_refers_to_another_gets_its_parents(
    tmp_path: Path, table: str, parent: str, key: str
) -> None:
    summary = make_bulk(tmp_path, table, 2_000)
    assert summary.rows == {table: 2_000, parent: 100}
    orphans = f"SELECT count(*) FROM {table} WHERE {key} NOT IN (SELECT id FROM {parent})"
    assert one(tmp_path / schema.FILE_OF_TABLE[table], orphans) == (0,)


def test_the_schema_is_the_same_as_in_small_files(tmp_path: Path) -> None:
    make_bulk(tmp_path, None, 200)
    for file in schema.FILES:
        small = sqlite3.connect(":memory:")
        schema.create(small, file)
        sql = "SELECT name, sql FROM sqlite_master ORDER BY name"
        with closing(sqlite3.connect(tmp_path / file)) as connection:
            assert connection.execute(sql).fetchall() == small.execute(sql).fetchall()


def test_same_seed_same_rows_other_seed_others(tmp_path: Path) -> None:
    texts = []
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        make_bulk(tmp_path / name, "accuracy_scores", 500, seed)
        sql = "SELECT group_concat(question || actual_answer) FROM accuracy_scores"
        texts.append(one(tmp_path / name / schema.ACCURACY, sql))
    assert texts[0] == texts[1] != texts[2]


def test_mistakes_are_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="fetch_items is not a legacy table"):
        make_bulk(tmp_path, "fetch_items", 10)
    make_bulk(tmp_path, "tier_audit", 10)
    with pytest.raises(FileExistsError, match="choose an empty folder"):
        make_bulk(tmp_path, "tier_audit", 10)


@pytest.mark.slow(campaign=True)
def test_a_million_rows_take_less_than_a_minute(tmp_path: Path) -> None:
    rows = size(100_000, 1_000_000)
    start = time.process_time()
    summary = make_bulk(tmp_path, "knowledge_items", rows)
    assert time.process_time() - start < 60 * rows / 1_000_000
    summary.paths[schema.KNOWLEDGE].unlink()  # pytest keeps the folders of three runs
    assert 420 < summary.bytes[schema.KNOWLEDGE] / rows < 450
