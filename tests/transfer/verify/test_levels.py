"""Levels: counts, a sample, everything; the digests of key ranges."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from stillme.transfer.verify.tables.table_levels import confidence_sentence
from tests.transfer.load.support import change, query
from tests.transfer.verify.support import judge, legacy_folder, undone

pytestmark = pytest.mark.only_files("knowledge")

ITEMS = "knowledge.knowledge_items"


def test_a_sample_says_what_it_is_worth(proven: Path) -> None:
    result = judge(level="sample", sample=20)
    assert result.exit_status == 0
    assert "95 % confidence" in result.verdict
    compared = [t.compared for t in result.tables if t.table == "knowledge_items"]
    assert 0 < compared[0] <= 40


def test_a_sample_of_everything_finds_one_cell(proven: Path) -> None:
    with undone():
        query(f"UPDATE {ITEMS} SET source = 'x' WHERE id = 9")
        assert judge(level="sample", sample=10**6).exit_status == 1
        query(f"UPDATE {ITEMS} SET source = source || '!'")
        assert judge(level="sample", sample=20).exit_status == 1


def test_counts_do_not_see_a_cell(proven: Path) -> None:
    with undone():
        query(f"UPDATE {ITEMS} SET source = 'x' WHERE id = 9")
        result = judge(level="counts")
        assert result.exit_status == 0
        assert "only counts" in result.verdict


def test_confidence() -> None:
    assert "more than 1 %" in confidence_sentence(299, 10**6)
    assert "every row" in confidence_sentence(10, 10)


@pytest.mark.parametrize("what", ["char(0)", "CAST(x'ff' AS TEXT)"])
def test_a_text_that_postgresql_cannot_hold_is_found_by_cell(
    proven: Path, tmp_path: Path, what: str
) -> None:
    """Its block differs, because no record of it says that the row is none of the usual ones."""
    shutil.copytree(proven, tmp_path / "copy")
    change(
        tmp_path / "copy",
        "knowledge",
        f"UPDATE knowledge_items SET content = 'a' || {what} || 'b' WHERE id = 26",
    )
    before = next(t for t in judge().tables if t.table == "knowledge_items")
    with legacy_folder(tmp_path / "copy"):
        after = next(t for t in judge().tables if t.table == "knowledge_items")
    assert [f.key for f in after.findings.kept] == ["26"]
    assert after.by_digest < before.by_digest
    assert after.by_digest + after.by_cell == before.by_digest + before.by_cell


@pytest.fixture
def in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stillme.transfer.verify.tables.table_levels.PART_ROWS", 10)


@pytest.mark.slow_after(2)
@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE knowledge_items SET confidence_score = 5e-324 WHERE id = 26",
        "UPDATE knowledge_items SET metadata = '{\"a\": 0.10000000000000001}' WHERE id = 26",
        "UPDATE knowledge_items SET content = content || char(0) WHERE id = 26",
        "UPDATE knowledge_items SET content = CAST(content AS BLOB) WHERE id = 26",
        "UPDATE knowledge_items SET created_at = created_at || ' ' WHERE id = 26",
        # The last one: no range behind it moves.
        "DELETE FROM knowledge_items WHERE id = (SELECT max(id) FROM knowledge_items)",
    ],
)
def test_the_legacy_digest_sees_any_change(
    proven: Path, tmp_path: Path, in_parts: None, sql: str
) -> None:
    folder = shutil.copytree(proven, tmp_path / "copy")
    change(
        folder,
        "knowledge",
        "UPDATE knowledge_items SET confidence_score = 0.0, metadata = '{\"a\": 0.1}' "
        "WHERE id = 26",
    )
    digests = []
    with legacy_folder(folder):
        for statement in ("SELECT 1", sql):
            change(folder, "knowledge", statement)
            (proof,) = [t for t in judge().tables if t.table == "knowledge_items"]
            digests.append([found["digest"] for found in proof.ranges])
    differ = [a != b for a, b in zip(*digests, strict=True)]
    assert sum(differ) == 1, differ
