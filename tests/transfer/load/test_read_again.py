"""A range that changed is read once where it is small enough, twice where it is not."""

from __future__ import annotations

from pathlib import Path

import pytest

from stillme.demo.samples import make_hostile
from stillme.transfer.inventory.selection import Selection
from stillme.transfer.models import QuarantinedRow
from stillme.transfer.quarantine.decisions import edit
from stillme.transfer.steps.aside.retry_rows import retry
from stillme.transfer.steps.loading import load_range, table_work
from stillme.transfer.steps.rows import read_range
from stillme.transfer.steps.rows.read_range import RangeReader
from tests.transfer.load.support import change, content, query, run_import, schema
from tests.transfer.load.test_faults import empty_target
from tests.transfer.verify.support import judge

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.only_files("knowledge", "rss", "accuracy"),
]


@pytest.mark.slow_after(1)
@pytest.mark.parametrize("kept", [0, 2_000, 32_000_000])
def test_what_is_kept_is_what_is_read(
    legacy: Path, monkeypatch: pytest.MonkeyPatch, kept: int
) -> None:
    for path in legacy.iterdir():
        path.unlink()
    make_hostile(legacy)
    run_import()
    change(
        legacy,
        "knowledge",
        "UPDATE knowledge_items SET content = content || 'x' WHERE typeof(content) = 'text'",
        "UPDATE knowledge_items SET metadata = '{\"a\": NaN}' WHERE rowid % 5 = 0",
    )
    monkeypatch.setattr(read_range, "_KEPT_BYTES", kept)
    assert run_import(jobs=1).conserved
    again = content()
    empty_target()
    run_import()
    wanted = content()
    for table, rows in wanted.items():
        if table != "quarantine":
            assert again[table] == rows


@pytest.mark.slow_after(1)
@pytest.mark.parametrize(("kept", "passes"), [(32_000_000, 1), (0, 2)])
def test_how_often_a_changed_range_is_read(
    legacy: Path, monkeypatch: pytest.MonkeyPatch, kept: int, passes: int
) -> None:
    selected = Selection(tables=("accuracy_scores",))
    run_import(selection=selected, chunk_rows=10_000)
    change(legacy, "accuracy", "UPDATE accuracy_scores SET question = question || '.'")
    read: list[RangeReader] = []

    class Counting(RangeReader):
        def blocks(self):  # type: ignore[no-untyped-def]
            read.append(self)
            return super().blocks()

    monkeypatch.setattr(read_range, "_KEPT_BYTES", kept)
    monkeypatch.setattr(read_range, "RangeReader", Counting)
    monkeypatch.setattr("stillme.transfer.steps.merging.staging.RangeReader", Counting)
    monkeypatch.setattr(load_range, "RangeReader", Counting)
    (table,) = run_import(selection=selected, chunk_rows=10_000).tables
    assert table.outcome.updated == table.outcome.loaded > 0
    assert len(read) == passes


def test_a_child_alone_keeps_its_foreign_key(legacy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its parents are not in the target: every row that names one waits in quarantine."""
    declared = schema()
    monkeypatch.setattr(table_work, "LARGE_TABLE_ROWS", 1)
    (alone,) = run_import(selection=Selection(tables=("rss_fetch_items",))).tables
    assert alone.outcome.conserved
    assert alone.outcome.reasons["missing_parent"] > 0
    assert schema() == declared
    result = run_import()
    # One that has another fault besides stays where it is, for that one.
    left = QuarantinedRow.objects.filter(table="rss_fetch_items", status="open")
    assert not left.filter(reason="missing_parent").exists()
    assert result.returned == alone.outcome.quarantined - left.count() > 0
    assert schema() == declared


@pytest.mark.slow
def test_a_parent_that_lost_a_row_before_the_child_came(
    legacy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    declared = schema()
    monkeypatch.setattr(table_work, "LARGE_TABLE_ROWS", 1)
    run_import(selection=Selection(tables=("rss_fetch_cycles",)))
    query("UPDATE rss.fetch_cycles SET id = 1 - id")
    (items,) = run_import(selection=Selection(tables=("rss_fetch_items",))).tables
    assert items.outcome.reasons.get("missing_parent", 0) > 0
    assert items.outcome.conserved
    assert schema() == declared


def test_a_foreign_key_that_cannot_be_built_is_said_and_built_later(
    legacy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from stillme.transfer.errors import TransferError

    declared = schema()
    monkeypatch.setattr(table_work, "LARGE_TABLE_ROWS", 1)
    mend = table_work.finish_table
    parents = "(SELECT cycle_id FROM rss.fetch_items)"

    def somebody_deletes(alias: str, mapping: object, *arguments: object) -> None:
        if getattr(mapping, "table", "") == "rss_fetch_items":
            query(f"DELETE FROM rss.fetch_cycles WHERE id IN {parents}")
        mend(alias, mapping, *arguments)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr("stillme.transfer.steps.loading.schedule.finish_table", somebody_deletes)
        with pytest.raises(TransferError, match="foreign key is still down"):
            run_import()
    assert schema() != declared
    assert run_import().conserved
    assert schema() == declared
    assert query(f"SELECT count(*) > 0 FROM rss.fetch_cycles WHERE id IN {parents}") == [(True,)]


def test_a_record_names_the_parent_that_is_missing_now(legacy: Path) -> None:
    change(
        legacy,
        "knowledge",
        "UPDATE knowledge_items SET content = CAST(x'ff' AS TEXT) WHERE id IN (7, 8)",
        "DELETE FROM knowledge_relationships",
        "INSERT INTO knowledge_relationships (id, source_id, target_id, relationship_type) "
        "VALUES (1, 7, 8, 'like')",
    )
    run_import()
    links = QuarantinedRow.objects.filter(table="knowledge_relationships")
    assert [link.column for link in links.all()] == ["source_id"]
    links.update(status="accepted")
    change(legacy, "knowledge", "UPDATE knowledge_items SET content = 'fine' WHERE id = 7")
    run_import()
    assert [(link.column, link.reason) for link in links.all()] == [("target_id", "missing_parent")]
    # The words were another parent's; the decision was about the row.
    assert [link.status for link in links.all()] == ["accepted"]
    change(legacy, "knowledge", "UPDATE knowledge_items SET content = 'fine' WHERE id = 8")
    run_import()
    assert [(link.column, link.status) for link in links.all()] == [("target_id", "repaired")]
    assert query("SELECT id FROM knowledge.knowledge_relationships") == [(1,)]


def test_a_parent_that_a_decision_brings_back_leaves_no_false_alarm(legacy: Path) -> None:
    """Until the orphan's record is read again it names the parent that was missing first."""
    change(
        legacy,
        "knowledge",
        "UPDATE knowledge_items SET content = 'a' || char(0) WHERE id IN (7, 8)",
        "DELETE FROM knowledge_relationships",
        "INSERT INTO knowledge_relationships (id, source_id, target_id, relationship_type) "
        "VALUES (1, 7, 8, 'like')",
    )
    run_import()
    parent, orphan = (
        QuarantinedRow.objects.get(table=table, key=key)
        for table, key in (("knowledge_items", "7"), ("knowledge_relationships", "1"))
    )
    edit("default", parent, "content", "fine", "text")
    parent.refresh_from_db()
    assert retry("default", [parent]).loaded
    assert not judge().findings.total
    assert retry("default", [orphan]).still
    orphan.refresh_from_db()
    assert (orphan.column, orphan.reason) == ("target_id", "missing_parent")
    assert not judge().findings.total


@pytest.mark.parametrize("status", ["open", "accepted"])
def test_edits_that_no_retry_has_used_go_when_the_row_comes_back(legacy: Path, status: str) -> None:
    """The import reads the file: the row is in the target as it is there, and proven."""
    change(
        legacy,
        "knowledge",
        "UPDATE knowledge_items SET content = CAST(x'ff' AS TEXT) WHERE id = 7",
        "DELETE FROM knowledge_relationships",
        "INSERT INTO knowledge_relationships (id, source_id, target_id, relationship_type) "
        "VALUES (1, 7, 8, 'like')",
    )
    run_import()
    orphan = QuarantinedRow.objects.get(table="knowledge_relationships")
    edit("default", orphan, "relationship_type", "unlike", "text")
    QuarantinedRow.objects.filter(pk=orphan.pk).update(status=status)
    change(legacy, "knowledge", "UPDATE knowledge_items SET content = 'fine' WHERE id = 7")
    run_import()
    assert query("SELECT relationship_type FROM knowledge.knowledge_relationships") == [("like",)]
    orphan.refresh_from_db()
    assert (orphan.status, orphan.repairs) == ("repaired", {})
    assert orphan.note == "The legacy row loads now. Its edits were not used."
    assert not judge().findings.total
