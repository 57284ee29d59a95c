"""An import after a change sees every change of what is stored, and no other."""

from __future__ import annotations

from pathlib import Path

import pytest

from stillme.transfer.records.outcome import Outcome
from tests.transfer.load.support import change, query, run_import

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.only_files("knowledge")]
ITEMS = "knowledge_items"


def again() -> Outcome:
    return next(t for t in run_import().tables if t.table == ITEMS).outcome


@pytest.mark.slow_after(2)
@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("metadata = '{\"a\": 1}'", "metadata = '{\"a\": 1.0}'"),
        ("confidence_score = 0.1", "confidence_score = 0.10000000000000002"),
        ("confidence_score = 0.1", "confidence_score = NULL"),
        ("content = 'e\u0301'", "content = '\u00e9'"),
        ("content = 'a'", "content = 'a '"),
        ("source = ''", "source = 'null'"),
        ("created_at = '2025-01-02 03:04:05'", "created_at = '2025-01-02 03:04:05.000001'"),
        ("access_count = 0", "access_count = NULL"),
    ],
)
def test_the_least_change_is_taken_over(legacy: Path, before: str, after: str) -> None:
    change(legacy, "knowledge", f"UPDATE {ITEMS} SET {before} WHERE id = 9")
    run_import()
    change(legacy, "knowledge", f"UPDATE {ITEMS} SET {after} WHERE id = 9")
    assert again().updated == 1
    assert again().updated == 0


@pytest.mark.slow
def test_a_document_written_in_another_way_is_no_change(legacy: Path) -> None:
    change(
        legacy, "knowledge", f'UPDATE {ITEMS} SET metadata = \'{{"a": 1, "b": 2}}\' WHERE id = 9'
    )
    run_import()
    change(legacy, "knowledge", f'UPDATE {ITEMS} SET metadata = \'{{"b":2,"a":1}}\' WHERE id = 9')
    assert again().updated == 0


def test_a_negative_zero_of_the_target_is_a_conflict_not_overwritten(legacy: Path) -> None:
    change(legacy, "knowledge", f"UPDATE {ITEMS} SET confidence_score = 0.0 WHERE id = 9")
    run_import()
    query("UPDATE knowledge.knowledge_items SET confidence_score = '-0' WHERE id = 9")
    change(legacy, "knowledge", f"UPDATE {ITEMS} SET access_count = 7 WHERE id = 9")
    found = again()
    assert (found.updated, found.conflicts) == (0, ["9"])
