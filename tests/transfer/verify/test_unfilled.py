"""Target columns that the file has nothing for hold their default: in a block, and row by row."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.transfer.load.support import query
from tests.transfer.verify.support import file_of, judge, undone

pytestmark = pytest.mark.django_db

# What is planted in a column of some row, and how the finding shows what it expected.
PLANTED = [
    ("continuum.forgetting_metrics", "tier", "'L1'", "NULL"),
    ("continuum.forgetting_metrics", "tier", "''", "NULL"),
    ("continuum.forgetting_metrics", "forgotten_count", "1", "'0'"),
    ("continuum.forgetting_metrics", "forgotten_count", "NULL", "'0'"),
    ("continuum.forgetting_metrics", "forgetting_rate", "5e-324", "'0.0'"),
    ("continuum.forgetting_metrics", "forgetting_rate", "'-0'", "'0.0'"),
    ("continuum.forgetting_metrics", "forgetting_rate", "'NaN'", "'0.0'"),
    ("continuum.tier_metrics", "access_count", "-1", "'0'"),
    ("continuum.tier_metrics", "last_accessed", "now()", "NULL"),
    ("continuum.tier_metrics", "metadata", "'[]'", "'{}'"),
    ("continuum.tier_metrics", "metadata", "'null'", "'{}'"),
    ("continuum.tier_metrics", "metadata", "NULL", "'{}'"),
    ("rss.fetch_cycles", "error_message", "'timed out'", "NULL"),
    ("rss.fetch_items", "error_message", "'50 % of it'", "NULL"),
    ("rss.fetch_items", "item_published", "'infinity'", "NULL"),
    ("accuracy.learning_objectives", "updated_at", "created_at", "NULL"),
    ("accuracy.performance_trends", "metadata", "'{\"a\": 1}'", "'{}'"),
]


@pytest.mark.slow_after(3)
@pytest.mark.parametrize(("table", "column", "value", "expected"), PLANTED)
@pytest.mark.parametrize("rows", ["one", "all"])
def test_what_the_legacy_never_had_is_found(
    proven: Path, table: str, column: str, value: str, expected: str, rows: str
) -> None:
    key = "item_id" if table == "continuum.tier_metrics" else "id"
    chosen = f"WHERE {key} = (SELECT max({key}) FROM {table})" if rows == "one" else ""
    with undone():
        touched = query(f"UPDATE {table} SET {column} = {value} {chosen} RETURNING {key}::text")
        found = judge(selection=file_of(table)).findings.kept
    assert {(f.where, f.key, f.expected) for f in found} == {
        (f"{table}:{column}", key, expected) for (key,) in touched
    }
