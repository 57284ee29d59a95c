"""Levels: counts, a sample, everything, and only what changed since a proof."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from stillme.transfer.findings import FindingKind
from stillme.transfer.models import Run
from stillme.transfer.verify.result import VerifyResult
from stillme.transfer.verify.sample import confidence_sentence
from tests.transfer.load.support import change, query
from tests.transfer.verify.support import judge, legacy_folder, places, undone

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


def test_since_a_proof_only_what_changed_is_read(proven: Path) -> None:
    run = judge().run_id
    again = judge(since=run)
    assert {table.since for table in again.tables} == {run}
    assert again.exit_status == 0
    with undone():
        query(f"UPDATE {ITEMS} SET source = 'x' WHERE id = 9")
        changed = judge(since=run)
        read = {table.table for table in changed.tables if table.since is None}
        assert "knowledge_items" in read
        assert "rss_fetch_items" not in read
        assert changed.exit_status == 1


def test_since_no_proof_is_a_sentence(proven: Path) -> None:
    run = Run.objects.create(command="import_sqlite")
    with pytest.raises(CommandError, match="no full verification") as refused:
        call_command("verify_migration", "--since", str(run.pk))
    assert refused.value.returncode == 2


def test_since_a_proof_the_sequences_are_asked_again(proven: Path) -> None:
    run = judge().run_id
    name = query(f"SELECT pg_get_serial_sequence('{ITEMS}', 'id')")[0][0]
    last = query(f"SELECT last_value FROM {name}")[0][0]
    try:
        query(f"SELECT setval('{name}', 1)")
        result = judge(since=run)
        assert [f.kind for f in result.findings.kept] == [FindingKind.SEQUENCE]
        assert result.exit_status == 1
    finally:
        query(f"SELECT setval('{name}', {last})")
    assert judge(since=run).exit_status == 0


@pytest.mark.parametrize("what", ["char(0)", "CAST(x'ff' AS TEXT)"])
def test_a_text_that_postgresql_cannot_hold_is_judged_alone(
    proven: Path, tmp_path: Path, what: str
) -> None:
    """The rest of its block is compared by digest all the same."""
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
    assert (after.by_digest, after.by_cell) == (before.by_digest - 1, before.by_cell + 1)


@pytest.fixture
def in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stillme.transfer.verify.tables.PART_ROWS", 10)


def unread(result: VerifyResult, table: str) -> tuple[int, int]:
    """(ranges that were not read again, ranges)."""
    proof = next(t for t in result.tables if t.table == table)
    return proof.ranges_unchanged, len(proof.ranges)


def test_since_a_proof_only_the_changed_range_is_read(proven: Path, in_parts: None) -> None:
    first = judge()
    again = judge(since=first.run_id)
    kept, ranges = unread(again, "knowledge_items")
    assert kept == ranges >= 6
    for before, after in zip(first.tables, again.tables, strict=True):
        counts = ("legacy_rows", "target_rows", "by_digest", "by_cell", "cells", "repaired")
        for name in (*counts, "open", "accepted", "digest"):
            assert getattr(before, name) == getattr(after, name), (before.table, name)
    with undone():
        query(f"UPDATE {ITEMS} SET source = 'x' WHERE id = 9")
        changed = judge(since=first.run_id)
        assert unread(changed, "knowledge_items") == (ranges - 1, ranges)
        assert [f.key for f in changed.findings.kept] == ["9"]
    with undone():
        query("UPDATE transfer.kept_cell SET reason = 'x' WHERE \"table\" = 'knowledge_items'")
        assert unread(judge(since=first.run_id), "knowledge_items")[0] < ranges


def test_since_a_proof_a_range_with_findings_is_read_again(proven: Path, in_parts: None) -> None:
    with undone():
        query(f"UPDATE {ITEMS} SET source = 'x' WHERE id = 9")
        run = judge().run_id
        again = judge(since=run)
        assert unread(again, "knowledge_items")[0] == unread(again, "knowledge_items")[1] - 1
        assert [f.key for f in again.findings.kept] == ["9"]


def test_since_a_proof_the_legacy_range_that_changed_is_read(
    proven: Path, tmp_path: Path, in_parts: None
) -> None:
    run = judge().run_id
    folder = shutil.copytree(proven, tmp_path / "copy")
    change(
        folder,
        "knowledge",
        "UPDATE knowledge_items SET source = source || '!' WHERE id = 26",
        # Nothing of an item itself changes here, but a relationship loses its parent.
        "DELETE FROM knowledge_items WHERE id = (SELECT max(source_id) FROM "
        "knowledge_relationships WHERE source_id IN (SELECT id FROM knowledge_items))",
    )
    with legacy_folder(folder):
        result = judge(since=run)
        kept, ranges = unread(result, "knowledge_items")
        assert ranges - 2 <= kept < ranges
        assert unread(result, "rss_fetch_items") == (unread(result, "rss_fetch_items")[1],) * 2
        whole = judge()
    assert places(result.findings.kept) == places(whole.findings.kept)
    assert "26" in {f.key for f in result.findings.kept}
    assert any(f.where.startswith("knowledge.knowledge_relationships") for f in whole.findings.kept)


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
