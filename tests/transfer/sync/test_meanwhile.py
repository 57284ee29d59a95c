"""What others do while a cut-over runs, after it has looked: it never goes live with it unseen."""

from __future__ import annotations

import pytest
from django.db import connection

from knowledge.models import LearningSession
from rss.models import FetchCycle
from stillme.transfer.errors import Busy, TransferError
from stillme.transfer.models import FileState, ReverseChange
from stillme.transfer.postgresql import capture as reverse
from stillme.transfer.postgresql.capture import every_target_table
from stillme.transfer.postgresql.locks import WRITER
from stillme.transfer.steps import cutover
from stillme.transfer.steps.follow import FollowOptions, follow
from stillme.transfer.steps.switching.to_legacy import ToLegacy
from stillme.transfer.steps.syncing import file_states
from stillme.transfer.verify.tables.live_rows import TailJudge

from .equal import differences
from .switching import cut_over, options, roll_back
from .test_follow import state, write

pytestmark = pytest.mark.only_files("knowledge", "rss")

_FIRST = "(SELECT min(id) FROM knowledge.learning_sessions)"
WRITES = {
    "delete": f"DELETE FROM knowledge.learning_sessions WHERE id = {_FIRST}",
    "update": f"UPDATE knowledge.learning_sessions SET session_type = 'x' WHERE id = {_FIRST}",
    "insert": "INSERT INTO rss.fetch_cycles (id, cycle_number, started_at, status) "
    "VALUES (777777, 1, now(), 'x')",
    "truncate": "TRUNCATE knowledge.knowledge_relationships",
}
LOCK_ENDS = (
    "SELECT pg_terminate_backend(pid, 5000) FROM pg_locks WHERE locktype = 'advisory' AND "
    f"objid = {WRITER} AND database = (SELECT oid FROM pg_database "
    "WHERE datname = current_database())"
)


def elsewhere(sql):
    """Another session of PostgreSQL: `psql`, or the new application, started too early."""
    other = connection.copy()
    try:
        with other.cursor() as cursor:
            cursor.execute(sql)
    finally:
        other.close()


def cut_over_while(step, work):
    """A cut-over; `work` is done when this step has ended."""

    def on_event(event):
        if event.name == "step" and event.data["name"] == step:
            work()

    return cutover.cut_over(options(), TailJudge("default"), on_event)


def is_watched():
    return reverse.status("default", every_target_table()).health != reverse.Health.ABSENT


@pytest.mark.slow_after(1)
@pytest.mark.parametrize("step", ["sweep", "drain the rest", "sequences"])
@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
def test_a_write_in_postgresql_calls_it_off(data, write, step):
    # The newest rows are looked at once more, and there a difference is found first.
    told = r"^Somebody else wrote or deleted .* cut over again|row 11 is not the same"
    with pytest.raises(TransferError, match=told):
        cut_over_while(step, lambda: elsewhere(write))
    assert state("rss") == "following"
    assert not is_watched()


def test_it_may_be_cut_over_when_the_row_is_right_again(data):
    name = LearningSession.objects.earliest("pk").session_type
    change = WRITES["update"]
    with pytest.raises(TransferError, match=r"rows of knowledge.learning_sessions \(\d+\)"):
        cut_over_while("sweep", lambda: elsewhere(change))
    elsewhere(change.replace("'x'", f"'{name}'"))
    follow(FollowOptions(once=True, sweep=True))
    cut_over()
    assert differences() == {}
    assert not ReverseChange.objects.exists()


@pytest.mark.slow
def test_tables_given_up_to_others_go_live_with_what_they_write(data):
    """`--despite-foreign`: the application was switched before. The way back carries its writes."""
    with connection.cursor() as cursor:
        cursor.execute(WRITES["update"])
    file_states.note("default", "knowledge", foreign={"learning_sessions": ["1"]})
    change = WRITES["update"].replace("min(id)", "max(id)")
    cut_over_while("sweep", lambda: elsewhere(change))
    last = LearningSession.objects.latest("pk")
    assert [c.key for c in ReverseChange.objects.all()] == [str(last.pk)]
    roll_back()
    assert LearningSession.objects.latest("pk").session_type == "x"


def kill_a_cut_over():
    class Killed(BaseException):
        pass

    def kill():
        raise Killed

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("stillme.transfer.steps.switching.switch.Switch.undo", lambda *_: None)
        patch.setattr("stillme.transfer.steps.switching.target_watch.TargetWatch.end", lambda _: "")
        with pytest.raises(Killed):
            cut_over_while("prepare the proof", kill)
    assert is_watched()


def test_a_follower_takes_off_what_a_killed_cut_over_left(data):
    kill_a_cut_over()
    told = []
    follow(FollowOptions(once=True), lambda event: told.append(event.data.get("message", "")))
    assert not is_watched()
    assert [text for text in told if "watched PostgreSQL were taken off" in text]


@pytest.mark.slow
def test_triggers_that_a_killed_cut_over_left_are_taken_over(data):
    """What was logged before the next one begins does not count."""
    kill_a_cut_over()
    elsewhere(WRITES["insert"])
    FetchCycle.objects.filter(pk=777777).delete()
    assert ReverseChange.objects.exists()
    cut_over()
    assert not ReverseChange.objects.exists()
    assert {row.state for row in FileState.objects.all()} == {"live"}


@pytest.mark.slow
def test_triggers_that_cannot_be_taken_off_are_told(data):
    """A reader of PostgreSQL has the table: nobody waits for it for long."""
    told = []
    other = connection.copy()

    def on_event(event):
        told.append(event.data.get("message", ""))
        if event.name == "step" and event.data["name"] == "sweep":
            other.set_autocommit(False)
            with other.cursor() as cursor:
                cursor.execute("SELECT count(*) FROM rss.fetch_cycles")
            raise TransferError("planted")

    with pytest.raises(TransferError, match="planted"):
        cutover.cut_over(options(), TailJudge("default"), on_event)
    other.rollback()
    other.close()
    assert [m for m in told if "are still there" in m and "the next cut-over" in m]
    cut_over()


NOTES = ("CREATE TABLE notes (id INTEGER PRIMARY KEY, text)", "INSERT INTO notes VALUES (1, 'x')")


@pytest.mark.slow_after(1)
@pytest.mark.parametrize("step", ["sweep", "find the files free", "freeze"])
def test_a_table_that_comes_calls_it_off(data, step):
    """Its rows would be left behind, under a list that said GO."""
    rss = data / "rss_fetch_history.db"
    with pytest.raises(TransferError, match=r"rss.notes: no model declares|while it was frozen"):
        cut_over_while(step, lambda: write(rss, *NOTES))
    assert state("rss") == "following"
    write(rss, "DROP TABLE notes")
    cut_over()


@pytest.mark.slow
def test_a_table_that_gets_its_first_row_calls_it_off(data):
    rss = data / "rss_fetch_history.db"
    write(rss, NOTES[0])
    with pytest.raises(TransferError, match=r"rss.notes: no model declares"):
        cut_over_while("sweep what came", lambda: write(rss, NOTES[1]))


def test_a_lock_that_is_lost_calls_it_off(data):
    """Somebody ended the session that holds it: an import may run at the same time."""
    with pytest.raises(Busy, match="another command may have begun"):
        cut_over_while("sequences", lambda: elsewhere(LOCK_ENDS))
    assert state("rss") == "following"
    cut_over()
    with pytest.MonkeyPatch.context() as patch:
        mark = ToLegacy._mark
        patch.setattr(ToLegacy, "_mark", lambda self: (mark(self), elsewhere(LOCK_ENDS)))
        with pytest.raises(Busy, match="another command may have begun"):
            roll_back()
    assert state("rss") == "live"
    roll_back()
