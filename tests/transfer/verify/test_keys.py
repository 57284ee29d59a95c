"""Chosen rows, and differences that replay settles."""

from __future__ import annotations

from pathlib import Path

import pytest

from stillme.transfer.errors import TransferError
from stillme.transfer.findings import FindingKind
from stillme.transfer.verify.tables.chosen_rows import verify_keys
from stillme.transfer.verify.verification import VerifyOptions, verify
from tests.transfer.load.support import query
from tests.transfer.verify.support import undone

pytestmark = pytest.mark.only_files("knowledge")

ITEMS = "knowledge.knowledge_items"


def test_chosen_rows(proven: Path) -> None:
    with undone():
        query(f"UPDATE {ITEMS} SET source = 'x' WHERE id IN (8, 9)")
        proof = verify_keys("knowledge", "knowledge_items", [9, 11, -3])
        assert [(f.kind, f.key) for f in proof.findings.kept] == [(FindingKind.VALUE, "9")]
        query(f"INSERT INTO {ITEMS} (id, content, source, knowledge_type) VALUES (-3, '', '', '')")
        proof = verify_keys("knowledge", "knowledge_items", [-3])
        assert [(f.kind, f.key) for f in proof.findings.kept] == [(FindingKind.EXTRA_ROW, "-3")]


def test_what_replay_settles_is_no_finding(proven: Path) -> None:
    asked: list[str] = []

    def settle(file: str) -> bool:
        asked.append(file)
        query(f"UPDATE {ITEMS} SET access_count = access_count - 1 WHERE id = 9")
        return True

    with undone():
        query(f"UPDATE {ITEMS} SET access_count = access_count + 1 WHERE id IN (8, 9)")
        found = verify(VerifyOptions(jobs=1), settle=settle).findings.kept
        assert asked == ["knowledge", "knowledge"]
        assert [f.key for f in found] == ["8"]


def test_a_row_that_is_written_all_the_time_is_asked_about_again(proven: Path) -> None:
    """It differs once more when it is looked at for the second time."""
    left = [7, 8, 9]

    def settle(file: str) -> bool:
        query(f"UPDATE {ITEMS} SET access_count = access_count - 1 WHERE id = {left.pop()}")
        return True

    with undone():
        query(f"UPDATE {ITEMS} SET access_count = access_count + 1 WHERE id IN (7, 8, 9)")
        assert verify(VerifyOptions(jobs=1), settle=settle).findings.kept == []
        assert left == []


def test_a_table_that_is_not_there(proven: Path) -> None:
    with pytest.raises(TransferError, match="no table"):
        verify_keys("knowledge", "nothing", [1])
