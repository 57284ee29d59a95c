"""The cut-over: what it refuses, what it leaves when it fails, and the switch itself."""

from __future__ import annotations

import json
import sqlite3
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection
from django.utils import timezone

from knowledge.models import KnowledgeItem
from rss.models import FetchCycle
from stillme.transfer.errors import StateError, TransferError
from stillme.transfer.inventory.selection import Selection
from stillme.transfer.models import KeptCell, Proof, QuarantinedRow, Run
from stillme.transfer.postgresql import capture as reverse
from stillme.transfer.postgresql.capture import target_tables
from stillme.transfer.steps import cutover
from stillme.transfer.steps.back_up import back_up
from stillme.transfer.steps.cutover import CutoverOptions, check_cutover
from stillme.transfer.steps.follow import FollowOptions, follow
from stillme.transfer.steps.install_capture import install_capture
from stillme.transfer.steps.readiness.go_no_go import OVERRIDES
from stillme.transfer.steps.switching import to_target
from stillme.transfer.verify.verification import VerifyOptions, verify
from tests.transfer.verify.support import JUDGE

from .equal import differences
from .switching import cut_over, options
from .test_follow import state, write

FILES = ("knowledge", "rss")
pytestmark = pytest.mark.only_files(*FILES)


def test_cut_over(data):
    result = cut_over()
    assert {state(f) for f in FILES} == {"live"}
    # A second or two on a machine at rest (benchmarks); tests share theirs.
    assert 0 < result.frozen_seconds <= options().freeze_limit
    # Root gets past the seal, and to the trigger.
    with pytest.raises(sqlite3.Error, match=r"moved to PostgreSQL|a readonly database"):
        write(data / "rss_fetch_history.db", "DELETE FROM rss_fetch_items")
    assert reverse.status("default", target_tables(FILES)).is_healthy
    assert differences() == {}
    new = FetchCycle.objects.create(cycle_number=1, started_at=datetime.now(UTC))
    seq = sqlite3.connect(data / "rss_fetch_history.db").execute(
        "SELECT seq FROM sqlite_sequence WHERE name = 'rss_fetch_cycles'"
    )
    # A test before may have used up more ids: a sequence is never set back.
    assert new.pk > seq.fetchone()[0]
    with pytest.raises(StateError, match="is live"):
        cut_over()
    with pytest.raises(StateError, match="is live"):
        follow(FollowOptions(once=True))


def test_a_failed_cut_over_leaves_everything_as_it_was(data, monkeypatch):
    def fail(self):
        raise TransferError("planted")

    for step in ("_freeze", "_drain_frozen", "_verify_tail", "_set_sequences", "_mark"):
        with monkeypatch.context() as patch:
            patch.setattr(to_target.ToTarget, step, fail)
            with pytest.raises(TransferError, match="planted"):
                cut_over()
        assert {state(f) for f in FILES} == {"following"}
        write(data / "rss_fetch_history.db", f"UPDATE rss_fetch_items SET title = '{step}'")
        assert not reverse.status("default", target_tables(FILES)).is_healthy
    cut_over()
    assert differences() == {}


def test_freeze_limit(data, monkeypatch):
    with pytest.raises(TransferError, match="--freeze-limit"):
        cut_over(freeze_limit=0.0001)
    write(data / "rss_fetch_history.db", "UPDATE rss_fetch_items SET title = 'free'")


def test_tail_that_differs_refuses_the_switch(data):
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE rss.fetch_items SET item_title = 'tampered' "
            "WHERE id = (SELECT max(id) FROM rss.fetch_items)"
        )
    with pytest.raises(TransferError, match="not the same on both sides"):
        cut_over()
    assert state("rss") == "following"


def test_go_list_names_what_is_red(data):
    lines = {line.subject: line for line in check_cutover(CutoverOptions(), JUDGE)}
    assert lines["rss: capture"].colour == "go"
    assert lines["backup"].colour == "no-go"
    write(data / "rss_fetch_history.db", "DROP TRIGGER stillme_capture_rss_fetch_items_delete")
    lines = {line.subject: line for line in check_cutover(CutoverOptions(), JUDGE)}
    assert lines["rss: capture"].colour == "no-go"
    assert "sync_sqlite --install" in lines["rss: capture"].advice
    with pytest.raises(StateError, match="rss: capture"):
        cut_over()


def test_a_second_name_of_a_file_in_wal_mode_is_shown(legacy):
    """Each name has a -wal of its own. In the other modes SQLite's locks hold for both names."""
    data = legacy()
    install_capture("default", Selection())
    path, other = data / "rss_fetch_history.db", data.parent / "other.db"

    def found():
        lines = {line.subject: line for line in check_cutover(CutoverOptions(), JUDGE)}
        return lines.get("rss: name")

    write(path, "PRAGMA journal_mode = wal")
    assert found() is None
    other.hardlink_to(path)
    assert found().colour == "look"
    assert "-samefile" in found().advice
    write(path, "PRAGMA journal_mode = delete")
    assert found() is None


@pytest.mark.slow_after(1)
@pytest.mark.parametrize(
    ("change", "named"),
    [
        ("ALTER TABLE rss.fetch_items ALTER item_title SET DEFAULT 'x'", "rss.fetch_items"),
        ("DROP INDEX rss.idx_rss_fetch_items_added", "idx_rss_fetch_items_added"),
        ("ALTER TABLE rss.fetch_items DISABLE TRIGGER ALL", "rss.fetch_items"),
        ("ALTER TABLE rss.fetch_cycles FORCE ROW LEVEL SECURITY", "rss.fetch_cycles"),
    ],
)
def test_a_table_changed_since_its_proof_is_red(data, change, named):
    """The proof stands, its rows are the file's, and the application would write into that."""
    QuarantinedRow.objects.update(status="accepted")
    prove()
    assert (colours()["last proof"], colours()["structure"]) == ("go", "go")
    with connection.cursor() as cursor:
        cursor.execute(change)
    line = {line.subject: line for line in check_cutover(CutoverOptions(), JUDGE)}["structure"]
    assert (line.colour, named in line.finding) == ("no-go", True)
    assert colours(overrides={"proof": "known"})["structure"] == "look"
    others = {name: "a test" for name in OVERRIDES if name != "proof"}
    with pytest.raises(StateError, match="structure: "):
        cutover.cut_over(CutoverOptions(overrides=others), JUDGE)


def colours(**given):
    return {line.subject: line.colour for line in check_cutover(CutoverOptions(**given), JUDGE)}


def test_backup_must_be_fresh_and_of_these_files(data, tmp_path):
    folder = tmp_path / "backup"
    back_up(folder, with_stores=False)
    assert colours(backup=folder)["backup"] == "go"
    manifest = folder / "manifest.json"
    found = json.loads(manifest.read_text())
    for hours, said in ((-25, "25 h old"), (49, "dated 49 h from now")):
        # A clock that was ahead, and was set back since, makes nothing fresh for days.
        made = (datetime.now(UTC) + timedelta(hours=hours, seconds=30)).isoformat()
        manifest.write_text(json.dumps({**found, "made_at": made}))
        lines = {line.subject: line for line in check_cutover(CutoverOptions(backup=folder), JUDGE)}
        assert (lines["backup"].colour, said in lines["backup"].finding) == ("no-go", True)


def test_proof_must_be_there_fresh_and_without_findings(data):
    assert colours()["last proof"] == "no-go"
    assert colours(overrides={"proof": "known"})["last proof"] == "look"
    proof = prove()
    assert proof.findings == 0
    # Not proven: rows in quarantine are open, of which another line tells; then they are decided.
    assert (colours()["last proof"], colours()["quarantine"]) == ("look", "no-go")
    QuarantinedRow.objects.update(status="accepted")
    assert colours()["last proof"] == "no-go"
    proof = prove()
    assert colours()["last proof"] == "go"
    for change in ({"findings": 1}, {"exit_status": 1}, {"level": "sample"}):
        Proof.objects.filter(pk=proof.pk).update(**change)
        assert colours()["last proof"] == "no-go", change
        proof.save()
    for hours, colour in ((-25, "no-go"), (25, "no-go"), (-1, "go"), (1, "go")):
        moment = timezone.now() + timedelta(hours=hours)
        Run.objects.filter(pk=proof.run_id).update(started_at=moment)
        assert colours()["last proof"] == colour, hours


def test_open_quarantine_is_red_until_decided(data):
    QuarantinedRow.objects.update(status="accepted")
    assert colours()["quarantine"] == "go"
    write(data / "rss_fetch_history.db", "UPDATE rss_fetch_items SET title = x'00' WHERE id = 3")
    follow(FollowOptions(once=True))
    assert colours()["quarantine"] == "no-go"
    assert colours(overrides={"quarantine": "we know"})["quarantine"] == "look"


def prove():
    """A full verification, as the command does it."""
    verify(VerifyOptions(jobs=1))
    return Proof.objects.latest("pk")


@pytest.mark.slow
def test_a_row_that_only_the_judge_can_tell(data):
    """The loader's comparison shares the loader's mistakes: the tail is the judge's."""
    row = KnowledgeItem.objects.order_by("-pk").first()
    KeptCell.objects.create(
        file="knowledge", table="knowledge_items", key=str(row.pk), column="content",
        storage="text", value=b"never there", reason="nul_text",
    )  # fmt: skip
    with pytest.raises(TransferError, match=r"not the same on both sides .kept_cell"):
        cut_over()
    assert state("knowledge") == "following"


@pytest.mark.slow
def test_changes_in_flight_are_replayed_before_they_are_differences(data, monkeypatch):
    """A write between the drain and the proof is settled, not blamed."""
    drain = to_target.ToTarget._drain_open
    path = data / "rss_fetch_history.db"
    calls = []

    def drain_then_write(self):
        drain(self)
        calls.append(1)
        if len(calls) == 1:
            write(path, "UPDATE rss_fetch_items SET title = 'in flight'")

    write(path, "UPDATE rss_fetch_items SET title = 'before'")
    monkeypatch.setattr(to_target.ToTarget, "_drain_open", drain_then_write)
    cut_over()
    assert len(calls) > 2
    assert differences() == {}
