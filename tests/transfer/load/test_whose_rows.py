"""Rows that the engine wrote are known as its own, whatever PostgreSQL refused beside them.

A savepoint that was rolled back to and not released stays open: what is written afterwards would
carry the number of a subtransaction, which no write mark knows.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.transfer.load.support import change, query, run_import

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.only_files("knowledge")]
TABLE = "learning_sessions"
# Beyond PostgreSQL's numeric: only the server can tell, so the range goes cell by cell.
REFUSED = '{"n": 1e999999}'


def foreign_rows() -> int:
    """Rows of the table that no write mark claims."""
    marks = "SELECT mod(xid, 4294967296) FROM transfer.write_mark"
    found = query(
        f"SELECT count(*) FROM knowledge.{TABLE} WHERE xmin::text::bigint NOT IN ({marks})"
    )
    return int(found[0][0])


def test_the_neighbours_of_a_refused_row_can_be_updated_and_pruned(legacy: Path) -> None:
    change(legacy, "knowledge", f"UPDATE {TABLE} SET metadata = '{REFUSED}' WHERE id = 5")
    first = run_import()
    assert next(t for t in first.tables if t.table == TABLE).outcome.quarantined
    assert foreign_rows() == 0
    change(
        legacy,
        "knowledge",
        f"UPDATE {TABLE} SET content_learned = 'rewritten' WHERE id = 6",
        f"DELETE FROM {TABLE} WHERE id = 7",
    )
    second = next(t for t in run_import().tables if t.table == TABLE).outcome
    assert (second.conflict_count, second.updated) == (0, 1)
    assert second.vanished == ["7"]
    third = next(t for t in run_import(prune=True).tables if t.table == TABLE).outcome
    assert third.pruned == 1
    assert query(f"SELECT id FROM knowledge.{TABLE} WHERE id = 7") == []


@pytest.mark.slow
def test_a_row_changed_on_the_target_side_is_still_told_apart(legacy: Path) -> None:
    change(legacy, "knowledge", f"UPDATE {TABLE} SET metadata = '{REFUSED}' WHERE id = 5")
    run_import()
    query(f"UPDATE knowledge.{TABLE} SET content_learned = 'mine' WHERE id = 6")
    change(legacy, "knowledge", f"UPDATE {TABLE} SET content_learned = 'theirs' WHERE id = 6")
    outcome = next(t for t in run_import().tables if t.table == TABLE).outcome
    assert outcome.conflicts == ["6"]
