"""Levels: counts, a sample, everything, and only what changed since a proof."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from stillme.transfer.findings import FindingKind
from stillme.transfer.models import Run
from stillme.transfer.verify.sample import confidence_sentence
from tests.transfer.load.support import query
from tests.transfer.verify.support import judge, undone

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
