"""Following live files into PostgreSQL."""

from __future__ import annotations

import sqlite3
import threading
import time

import pytest

from rss.models import FetchItem
from stillme.transfer.errors import Busy, StateError, TransferError
from stillme.transfer.inventory.selection import Selection
from stillme.transfer.models import FileState, QuarantinedRow
from stillme.transfer.postgresql.locks import exclusive
from stillme.transfer.sqlite.capture import Health
from stillme.transfer.steps.cutover import CutoverOptions, check_cutover, cut_over
from stillme.transfer.steps.follow import FollowOptions, follow, settle_by_replay
from stillme.transfer.steps.install_capture import capture_reports, install_capture, remove_capture
from stillme.transfer.steps.load import ImportOptions, import_files
from stillme.transfer.verify.tables.live_rows import TailJudge
from stillme.transfer.verify.verification import VerifyOptions, verify
from tests.transfer.load.support import query
from tests.transfer.verify.support import JUDGE

from .equal import differences
from .files import LEFT_OPEN
from .switching import options

pytestmark = pytest.mark.only_files("rss", "knowledge")

ALL = Selection()
ONCE = FollowOptions(once=True)
SWEEP = FollowOptions(once=True, sweep=True)


def write(path, *statements):
    """A connection per call, as the old classes have it: after an exception it stays open."""
    connection = sqlite3.connect(path, timeout=10)
    LEFT_OPEN.append(connection)
    for sql in statements:
        connection.execute(*((sql,) if isinstance(sql, str) else sql))
    connection.commit()
    LEFT_OPEN.remove(connection)
    connection.close()


def state(file):
    return FileState.objects.get(pk=file).state


def test_capture_load_follow(legacy):
    data = legacy(variant="current")
    rss = data / "rss_fetch_history.db"
    reports = install_capture("default", ALL)
    assert {r.health for r in reports} == {Health.HEALTHY}
    assert state("rss") == "captured"
    write(rss, "UPDATE rss_fetch_items SET title = 'before the load' WHERE id = 3")
    import_files(ImportOptions(jobs=1))
    assert differences() == {}
    write(
        rss,
        "UPDATE rss_fetch_items SET title = title || '!' WHERE id < 20",
        "UPDATE rss_fetch_items SET title = title || '?' WHERE id < 10",
        "DELETE FROM rss_fetch_items WHERE id = 25",
        "INSERT INTO rss_fetch_cycles (cycle_number, started_at) "
        "VALUES (5, '2026-01-02T03:04:05.678901')",
        "INSERT INTO rss_fetch_items (cycle_id, title, source_url, fetch_timestamp, status) "
        "SELECT max(id), 'new', 'x', '2026-01-02T03:04:05.678901', 'Error' FROM rss_fetch_cycles",
    )
    assert set(differences()) == {"rss_fetch_cycles", "rss_fetch_items"}
    result = follow(ONCE)
    assert differences() == {}
    assert state("rss") == "following"
    done = {f.file: f for f in result.files}
    assert done["rss"].changes >= 31
    assert done["rss"].rounds == 1
    assert follow(ONCE).files[0].changes == 0


def test_once_loads_what_is_captured_only(clean_data):
    assert differences() == {}
    assert state("knowledge") == "following"


def test_bad_rows_are_quarantined_and_come_back(clean_data):
    knowledge = clean_data / "knowledge_retention.db"
    write(
        knowledge,
        ("UPDATE knowledge_items SET content = ? WHERE id = 4", ("a\0b",)),
        "UPDATE knowledge_items SET confidence_score = 'high' WHERE id = 2",
    )
    follow(ONCE)
    set_aside = QuarantinedRow.objects.filter(table="knowledge_items", status="open")
    assert {(q.key, q.reason) for q in set_aside} >= {("4", "nul_in_text"), ("2", "not_a_number")}
    assert differences() == {}
    write(knowledge, "UPDATE knowledge_items SET content = 'good', confidence_score = 0.5")
    follow(ONCE)
    assert not QuarantinedRow.objects.filter(table="knowledge_items", status="open").exists()
    assert differences() == {}


@pytest.mark.slow
def test_children_go_and_come_with_their_parent(clean_data):
    rss = clean_data / "rss_fetch_history.db"
    children = "SELECT cycle_id, count(*) FROM rss_fetch_items GROUP BY 1 ORDER BY 2 DESC"
    cycle, rows = sqlite3.connect(rss).execute(children).fetchone()
    find = f"SELECT * FROM rss_fetch_cycles WHERE id = {cycle}"
    parent = sqlite3.connect(rss).execute(find).fetchone()
    write(rss, f"DELETE FROM rss_fetch_cycles WHERE id = {cycle}")
    follow(ONCE)
    orphans = QuarantinedRow.objects.filter(table="rss_fetch_items", reason="missing_parent")
    assert orphans.filter(status="open").count() == rows
    assert differences() == {}
    marks = ", ".join("?" * len(parent))
    write(rss, (f"INSERT INTO rss_fetch_cycles VALUES ({marks})", parent))
    follow(ONCE)
    assert not orphans.filter(status="open").exists()
    assert differences() == {}


def test_log_is_trimmed(clean_data):
    rss = clean_data / "rss_fetch_history.db"
    write(rss, "UPDATE rss_fetch_items SET title = title || '!'")
    follow(ONCE)
    count = "SELECT count(*) FROM stillme_change"
    assert sqlite3.connect(rss).execute(count).fetchone()[0] <= 2


@pytest.mark.slow
def test_a_locked_file_is_tried_again(clean_data):
    path = clean_data / "knowledge_retention.db"
    holder = sqlite3.connect(path, check_same_thread=False)
    holder.execute("UPDATE learning_sessions SET content_learned = 'locked'")
    holder.execute("PRAGMA locking_mode = EXCLUSIVE")
    threading.Timer(3.0, lambda: (holder.commit(), holder.close())).start()
    seen = []
    holder.execute("PRAGMA cache_spill = 1")
    follow(ONCE, seen.append)
    time.sleep(3.2)
    follow(ONCE)
    assert differences() == {}


@pytest.mark.slow
def test_follows_until_stopped_and_tells_the_lag(legacy):
    data = legacy()
    install_capture("default", ALL)
    stop, following, seen = threading.Event(), threading.Event(), []
    rss = data / "rss_fetch_history.db"

    def on_event(event):
        seen.append(event.name)
        if event.name == "lag":
            following.set()

    def work():
        following.wait(60)
        for n in range(50):
            write(rss, f"UPDATE rss_fetch_items SET title = 'live {n}' WHERE id = {1 + n % 9}")
            time.sleep(0.01)
        time.sleep(1.5)
        stop.set()

    thread = threading.Thread(target=work)
    thread.start()
    result = follow(FollowOptions(), on_event, stop)
    thread.join()
    follow(ONCE)
    assert differences() == {}
    rss_done = next(f for f in result.files if f.file == "rss")
    assert rss_done.changes
    # Under a second on a machine at rest (benchmarks); tests share theirs.
    assert rss_done.lag_p99 < 10
    details = FileState.objects.get(pk="rss").details
    assert details["lag_changes"] == 0


def test_one_follower_at_a_time(clean_data):
    with exclusive("default"), pytest.raises(Busy, match="wait until it has ended"):
        follow(ONCE)


def test_a_file_that_is_not_captured_is_refused(legacy):
    legacy()
    with pytest.raises(StateError, match="sync_sqlite --install"):
        follow(ONCE)


def test_broken_capture_is_refused(clean_data):
    write(
        clean_data / "rss_fetch_history.db", "DROP TRIGGER stillme_capture_rss_fetch_items_delete"
    )
    reports = {r.file: r for r in capture_reports("default", ALL)}
    assert reports["rss"].health is Health.MISSING
    with pytest.raises(StateError, match="is missing"):
        follow(ONCE)
    install_capture("default", ALL)
    assert state("rss") == "captured"
    assert state("knowledge") == "following"
    follow(ONCE)
    assert state("rss") == "following"


def test_a_restored_file_is_noticed(legacy):
    data = legacy()
    install_capture("default", ALL)
    path = data / "knowledge_retention.db"
    follow(ONCE)
    backup = path.read_bytes()
    write(path, "UPDATE knowledge_items SET content = 'lost by the restore' WHERE id = 4")
    follow(ONCE)
    path.write_bytes(backup)
    write(path, "UPDATE knowledge_items SET content = 'another history' WHERE id = 4")
    with pytest.raises(StateError, match="another history"):
        follow(ONCE)


def test_sweep_finds_writers_that_bypassed_capture(legacy):
    data = legacy()
    install_capture("default", ALL)
    assert not follow(SWEEP).bypassed
    path = data / "rss_fetch_history.db"
    triggers = sqlite3.connect(path).execute(
        "SELECT name, sql FROM sqlite_master WHERE type = 'trigger' AND tbl_name='rss_fetch_items'"
    )
    triggers = triggers.fetchall()
    write(
        path,
        *[f"DROP TRIGGER {name}" for name, _ in triggers],
        "UPDATE rss_fetch_items SET title = 'behind our back' WHERE id = 7",
        "DELETE FROM rss_fetch_items WHERE id = 8",
        *[sql for _, sql in triggers],
        "UPDATE rss_fetch_items SET title = 'captured' WHERE id = 9",
    )
    found = [s for s in follow(SWEEP).swept if s.bypassed]
    assert [s.bypassed for s in found] == [{"rss_fetch_items": ["7", "8"]}]
    assert follow(SWEEP).bypassed


def test_a_row_that_somebody_deleted_in_the_target_is_found_by_a_sweep_and_by_the_cut_over(legacy):
    """Whatever an earlier sweep said: nobody wrote to the file since."""
    legacy()
    install_capture("default", ALL)
    assert not follow(SWEEP).bypassed
    query("DELETE FROM rss.fetch_items WHERE id = 7")
    with pytest.raises(TransferError, match="rss_fetch_items row 7 is not the same"):
        cut_over(options(), TailJudge("default"))
    found = {swept.file: swept.bypassed for swept in follow(SWEEP).swept}
    assert found["rss"] == {"rss_fetch_items": ["7"]}


def test_removal(legacy):
    data = legacy()
    path = data / "rss_fetch_history.db"
    schema = "SELECT type, name, sql FROM sqlite_master ORDER BY 1, 2"
    before = sqlite3.connect(path).execute(schema).fetchall()
    install_capture("default", ALL)
    follow(ONCE)
    remove_capture("default", ALL)
    assert sqlite3.connect(path).execute(schema).fetchall() == before
    assert state("rss") == "absent"


@pytest.mark.slow
def test_a_large_round_is_as_careful_as_a_small_one(legacy):
    data = legacy(rows=700, variant="current")
    install_capture("default", ALL)
    follow(ONCE)
    path = data / "rss_fetch_history.db"
    write(
        path,
        "UPDATE rss_fetch_items SET summary = summary || '.'",
        ("UPDATE rss_fetch_items SET title = ? WHERE id % 50 = 0", ("nul\0inside",)),
        "UPDATE rss_fetch_items SET title = CAST(x'c328' AS TEXT) WHERE id % 50 = 1",
        "UPDATE rss_fetch_items SET added_to_rag_at = '2026-02-03' WHERE id % 50 = 2",
        "UPDATE rss_fetch_items SET cycle_id = 987654 WHERE id % 50 = 3",
        "UPDATE rss_fetch_items SET fetch_timestamp = '2026-01-31T99:00:00' WHERE id % 50 = 4",
        "DELETE FROM rss_fetch_items WHERE id % 50 = 5",
    )
    follow(ONCE)
    assert differences() == {}
    reasons = set(QuarantinedRow.objects.filter(status="open").values_list("reason", flat=True))
    assert reasons >= {"nul_in_text", "invalid_utf8", "missing_parent", "unreadable_time"}
    write(
        path,
        "UPDATE rss_fetch_items SET title = 'good', cycle_id = 1, added_to_rag_at = NULL, "
        "summary = 'x', status_reason = 'y', fetch_timestamp = '2026-02-03T04:05:06.000007'",
        "INSERT OR IGNORE INTO rss_fetch_cycles (id, cycle_number, started_at) "
        "VALUES (1, 1, '2026-02-03T04:05:06.000007')",
    )
    follow(ONCE)
    assert differences() == {}
    assert not QuarantinedRow.objects.filter(table="rss_fetch_items", status="open").exists()


def test_a_foreign_write_in_postgresql_is_told_and_never_overwritten(legacy):
    data = legacy(variant="clean")
    install_capture("default", Selection())
    follow(FollowOptions(once=True))
    FetchItem.objects.filter(pk__in=(3, 4, 5)).update(item_title="by somebody else")
    path = data / "rss_fetch_history.db"
    write(path, "UPDATE rss_fetch_items SET title = 'legacy' WHERE id IN (3, 6)")
    write(path, "DELETE FROM rss_fetch_items WHERE id = 4")
    told = []
    result = follow(FollowOptions(once=True), told.append)
    titles = dict(FetchItem.objects.values_list("pk", "item_title"))
    assert (titles[3], titles[4], titles[6]) == ("by somebody else", "by somebody else", "legacy")
    assert result.foreign == 2
    sentences = [e.data["message"] for e in told if e.name == "notice"]
    assert any("rss_fetch_items: rows written in PostgreSQL" in s and "3" in s for s in sentences)
    line = next(x for x in check_cutover(CutoverOptions(), JUDGE) if x.subject == "foreign writes")
    assert (line.colour, "(3, 4, 5)" in line.finding) == ("no-go", True)


@pytest.mark.slow
def test_own_writes_are_not_foreign(legacy):
    data = legacy(variant="current")
    install_capture("default", Selection())
    follow(FollowOptions(once=True))
    write(data / "rss_fetch_history.db", "UPDATE rss_fetch_items SET title = 'again'")
    assert follow(FollowOptions(once=True)).foreign == 0
    line = next(x for x in check_cutover(CutoverOptions(), JUDGE) if x.subject == "foreign writes")
    assert line.colour == "go"


@pytest.mark.slow
def test_verification_while_following_settles_changes_in_flight(legacy):
    data = legacy(variant="clean")
    install_capture("default", Selection())
    follow(FollowOptions(once=True))
    write(data / "rss_fetch_history.db", "UPDATE rss_fetch_items SET title = 'in flight'")
    unsettled = verify(VerifyOptions(jobs=1))
    assert unsettled.findings.total
    settled = verify(VerifyOptions(jobs=1), settle=settle_by_replay("default"))
    assert settled.findings.total == 0
    FetchItem.objects.filter(pk=3).update(item_title="tampered")
    kept = verify(VerifyOptions(jobs=1), settle=settle_by_replay("default")).findings
    assert {f.key for f in kept.kept} == {"3"}


@pytest.mark.slow
def test_rows_that_go_while_capture_is_out(clean_data):
    rss = clean_data / "rss_fetch_history.db"
    with exclusive("default"), pytest.raises(Busy):
        remove_capture("default", ALL)
    assert state("rss") == "following"
    remove_capture("default", ALL)
    write(rss, "DELETE FROM rss_fetch_items WHERE id = 7", "UPDATE rss_fetch_items SET title = 'x'")
    install_capture("default", ALL)
    swept = follow(FollowOptions(once=True, sweep=True))
    assert differences() == {}
    assert not swept.bypassed


@pytest.mark.slow
def test_a_followed_file_is_proven_before_its_sequences_are_set(clean_data):
    rss = clean_data / "rss_fetch_history.db"
    cycle = (
        "INSERT INTO rss_fetch_cycles (cycle_number, started_at) VALUES (5, '2026-01-02T03:04:05')"
    )
    write(rss, cycle)
    follow(ONCE)
    proof = verify(VerifyOptions(selection=Selection(files=("rss",)), jobs=1))
    assert [finding.sentence() for finding in proof.findings.kept] == []
    assert any("the cut-over sets them" in notice for notice in proof.notices)


def test_the_reason_is_the_first_column_that_is_bad(legacy):
    """The parent goes into quarantine, where the file itself still has it."""
    rss = legacy() / "rss_fetch_history.db"
    bad = "UPDATE rss_fetch_items SET fetch_timestamp = '' WHERE id = 3"
    write(rss, bad)
    install_capture("default", ALL)
    follow(ONCE)
    parent = "UPDATE rss_fetch_cycles SET cycle_number = 'x' WHERE id = "
    write(rss, parent + "(SELECT cycle_id FROM rss_fetch_items WHERE id = 3)")
    follow(ONCE)
    assert QuarantinedRow.objects.get(table="rss_fetch_items", key="3").reason == "missing_parent"
    assert [f.sentence() for f in verify(VerifyOptions(jobs=1)).findings.kept] == []
