"""Rows set aside for a well-known reason: judged many at a time, as strictly as by cell."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from stillme.demo.samples import make_bulk
from tests.transfer.load.support import change, query, run_import
from tests.transfer.verify.test_mended_rows import judge_items

pytestmark = pytest.mark.django_db(transaction=True)
ROWS = 300
RECORD = "transfer.quarantined_row WHERE key = '7'"
ITEM = "knowledge.knowledge_items"


@pytest.fixture
def set_aside(tmp_path: Path, use_legacy_files: Callable[[Path], None]) -> Path:
    """Knowledge items of which every second has U+0000 in its source, some binary data."""
    make_bulk(tmp_path, "knowledge_items", ROWS)
    use_legacy_files(tmp_path)
    change(
        tmp_path,
        "knowledge",
        "UPDATE knowledge_items SET source = source || char(0) WHERE id % 2 = 1",
        "UPDATE knowledge_items SET knowledge_type = x'ff' WHERE id % 50 = 8",
        "UPDATE knowledge_items SET metadata = '{\"a\": NaN}' WHERE id % 50 = 9",
    )
    run_import()
    return tmp_path


def test_they_are_not_asked_one_by_one(set_aside: Path) -> None:
    query("UPDATE transfer.quarantined_row SET status = 'accepted' WHERE key = '11'")
    proof = judge_items()
    assert not proof.findings.total
    aside = ROWS // 2 + ROWS // 50
    assert (proof.legacy_rows, proof.target_rows) == (ROWS, ROWS - aside)
    assert (proof.by_digest, proof.by_cell) == (ROWS, 0)
    assert (proof.open, proof.accepted) == (aside - 1, 1)


def test_a_rowid_that_moved_is_judged_by_cell(set_aside: Path) -> None:
    query("UPDATE transfer.quarantined_row SET rowid = 12345 WHERE key = '7'")
    proof = judge_items()
    assert not proof.findings.total
    assert proof.by_cell


@pytest.mark.slow_after(2)
@pytest.mark.parametrize(
    "statement",
    [
        f"DELETE FROM {RECORD}",
        "UPDATE transfer.quarantined_row SET reason = 'blob' WHERE key = '7'",
        "UPDATE transfer.quarantined_row SET reason = 'nul_in_text' WHERE key = '8'",
        "UPDATE transfer.quarantined_row SET reason = 'refused_by_target' WHERE key = '7'",
        "UPDATE transfer.quarantined_row SET \"column\" = 'content' WHERE key = '7'",
        "UPDATE transfer.quarantined_row SET \"column\" = '' WHERE key = '8'",
        "UPDATE transfer.quarantined_row SET status = 'repaired' WHERE key = '7'",
        "UPDATE transfer.quarantined_row SET status = 'nonsense' WHERE key = '7'",
        "UPDATE transfer.quarantined_row SET key = '10' WHERE key = '7'",
        "UPDATE transfer.quarantined_row SET key = NULL WHERE key = '7'",
        "UPDATE transfer.quarantined_row SET cells = '{}' WHERE key = '7'",
        "UPDATE transfer.quarantined_row SET cells = NULLIF(cells - 'content', '{}') "
        "WHERE key = '7'",
        "UPDATE transfer.quarantined_row SET cells = cells || "
        '\'{"access_count": ["integer", 99]}\' '
        "WHERE key = '7'",
        'UPDATE transfer.quarantined_row SET cells = cells || \'{"other": ["null", null]}\' '
        "WHERE key = '7'",
        "UPDATE transfer.quarantined_row SET cells = "
        "jsonb_set(cells, '{retention_score,0}', '\"integer\"') WHERE key = '7'",
        "UPDATE transfer.quarantined_row SET cells = (SELECT o.cells FROM transfer.quarantined_row "
        "AS o WHERE o.key = '11') WHERE key = '7'",
        "INSERT INTO transfer.quarantined_row SELECT (jsonb_populate_record(q, "
        "'{\"id\": -7}')).* FROM transfer.quarantined_row AS q WHERE q.key = '7'",
        "INSERT INTO transfer.quarantined_row SELECT (jsonb_populate_record(q, "
        '\'{"id": -7, "key": "12", "rowid": 12}\')).* FROM transfer.quarantined_row AS q '
        "WHERE q.key = '7'",
        f"INSERT INTO {ITEM} SELECT (jsonb_populate_record(i, '{{\"id\": 7}}')).* FROM {ITEM} AS i "
        "WHERE i.id = 2",
        f"UPDATE {ITEM} SET id = 7 WHERE id = 2",
    ],
)
def test_whatever_is_wrong_is_found(set_aside: Path, statement: str) -> None:
    query(statement)
    proof = judge_items()
    assert proof.findings.total
    assert proof.by_cell


@pytest.mark.slow_after(2)
@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE knowledge_items SET source = 'fine' WHERE id = 7",
        "UPDATE knowledge_items SET content = x'ff' WHERE id = 7",
        "UPDATE knowledge_items SET content = CAST(x'c328' AS TEXT) WHERE id = 7",
        "UPDATE knowledge_items SET content = char(0) || content WHERE id = 8",
        "UPDATE knowledge_items SET id = -1, last_accessed = '2025-02-30 00:00:00', "
        "created_at = x'00' WHERE id = 7",
        "UPDATE knowledge_items SET access_count = access_count + 1 WHERE id = 7",
        "UPDATE knowledge_items SET source = source || 'a' WHERE id = 7",
        "DELETE FROM knowledge_items WHERE id = 7",
    ],
)
def test_a_row_that_changed_since_is_found(set_aside: Path, statement: str) -> None:
    """The record is not of that row any more, or not for the reason of its first faulty column."""
    change(set_aside, "knowledge", statement)
    assert judge_items().findings.total
