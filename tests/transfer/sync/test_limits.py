"""Every wait of a cut-over and of a rollback ends with its limit, and what is left is said.

Whoever is locked out here by somebody's lock must be free again, or told what helps.
"""

from __future__ import annotations

import json
import sqlite3
import threading
from contextlib import closing, contextmanager

import psycopg
import pytest
from django.core.management import call_command
from django.db import DatabaseError, OperationalError, connection, connections

from knowledge.models import KnowledgeItem
from stillme.demo.samples.writers.legacy_classes import LegacyWriter
from stillme.transfer.errors import LegacyFileError, TransferError
from stillme.transfer.postgresql import capture as reverse
from stillme.transfer.postgresql.capture import target_tables
from stillme.transfer.sqlite.capture.freeze import FOR_GOOD, frozen_until, has_freeze
from stillme.transfer.steps import cutover, restore_over_live, rollback
from stillme.transfer.steps.follow import FollowOptions, follow
from stillme.transfer.steps.switching import thaw, to_legacy, to_target
from stillme.transfer.verify.tables.live_rows import TailJudge

from .equal import differences
from .old_and_new import assert_files_take_writes
from .switching import files_there, options
from .test_commands import run
from .test_follow import state

FILES = ("knowledge", "continuum", "rss", "accuracy")
AGAIN = "The files take writes again."


@pytest.fixture(autouse=True)
def little_patience(monkeypatch):
    for module in (to_target, to_legacy, rollback):
        monkeypatch.setattr(module, "PATIENCE", 0.3)


def cut_over(told=None, **given):
    def note(event):
        if told is not None and event.name == "notice":
            told.append(event.data["message"])

    return cutover.cut_over(options(**given), TailJudge("default"), note)


def roll_back(told=None, **given):
    def note(event):
        if told is not None and event.name == "notice":
            told.append(event.data["message"])

    return rollback.roll_back("default", TailJudge("default"), note, **given)


def freezes():
    """File -> the freeze in it: None, seconds left, or for good."""
    found = {}
    for file in files_there():
        with closing(sqlite3.connect(file.path)) as db:
            found[file.name] = frozen_until(db) if has_freeze(db) else None
    return found


@contextmanager
def session():
    """Another session of PostgreSQL, in a transaction."""
    given = connection.settings_dict
    with psycopg.connect(
        host=given["HOST"],
        port=given["PORT"] or None,
        dbname=given["NAME"],
        user=given["USER"],
        password=given["PASSWORD"] or None,
    ) as other:
        yield other
        other.rollback()


@contextmanager
def locked(path):
    """Somebody holds the file's write lock, and does nothing."""
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield


def at(monkeypatch, name, act):
    """Let something happen just before a step of the cut-over."""
    step = getattr(to_target.ToTarget, name)

    def acting(self):
        act(self)
        step(self)

    monkeypatch.setattr(to_target.ToTarget, name, acting)


def test_a_lock_left_by_a_failed_write_is_found_before_anybody_is_locked_out(data):
    """The old classes keep the transaction of a failed statement open: no freeze can be set."""
    old = LegacyWriter(data)
    old.insert_tier("twice", "L0", 0.5, 1)
    with pytest.raises(sqlite3.IntegrityError):
        old.insert_tier("twice", "L0", 0.5, 1)
    told = []
    with pytest.raises(LegacyFileError, match=r"continuum_memory.db is locked"):
        cut_over(told, freeze_limit=0.3)
    assert set(freezes().values()) == {None}
    assert told == []
    old.let_go()
    cut_over()
    assert differences() == {}


@pytest.mark.slow
def test_a_lock_that_comes_in_the_way_frees_the_other_files(data, monkeypatch):
    monkeypatch.setattr(to_target, "await_locks", lambda *given: None)
    told = []
    with (
        locked(data / "accuracy_scores.db"),
        pytest.raises(TransferError, match=r"accuracy_scores.db is not frozen, but another"),
    ):
        cut_over(told, freeze_limit=4)
    assert AGAIN not in told
    assert set(freezes().values()) == {None}
    assert_files_take_writes(data)


def test_a_full_disk_is_not_called_a_lock(data, monkeypatch):
    """Nor is anybody told to restart a process that has nothing to do with it."""

    def full(path, **given):
        raise LegacyFileError(f"No space left next to {path}: free some and run again.")

    at(monkeypatch, "_drain_frozen", lambda self: full(data / "rss_fetch_history.db"))
    monkeypatch.setattr(thaw, "unfreeze", full)
    with pytest.raises(TransferError, match="No space left") as ended:
        cut_over(freeze_limit=0.5)
    assert "cannot be written to (No space left" in str(ended.value)
    assert "another process" not in str(ended.value)


def test_the_freeze_ends_by_itself_at_the_limit(data, monkeypatch):
    """Not some seconds later: that is what the operator was promised."""
    found = []
    at(monkeypatch, "_drain_frozen", lambda self: found.append(freezes()))
    cut_over(freeze_limit=7)
    assert {0 < seconds <= 7 for seconds in found[0].values()} == {True}
    assert set(freezes().values()) == {FOR_GOOD}


@pytest.mark.slow
def test_postgresqls_locks_are_waited_for_within_the_limit(data, monkeypatch):
    with session() as other:
        at(
            monkeypatch,
            "_mark",
            lambda self: other.execute("LOCK TABLE accuracy.accuracy_scores IN SHARE MODE"),
        )
        told = []
        with pytest.raises(TransferError, match=r"longer than --freeze-limit 6.*mark"):
            cut_over(told, freeze_limit=6)
    # The lock is still there, and the triggers of the watch cannot be taken off: told at the end.
    assert told[-2] == AGAIN
    assert "watched PostgreSQL" in told[-1]
    assert set(freezes().values()) == {None}
    assert {state(name) for name in FILES} == {"following"}
    assert_files_take_writes(data)


@pytest.mark.slow
def test_a_statement_that_waits_is_broken_off(data, monkeypatch):
    """No time-out of a statement is set there: the limit itself ends it."""
    with session() as other:
        at(
            monkeypatch,
            "_verify_tail",
            lambda self: other.execute("LOCK TABLE knowledge.knowledge_items"),
        )
        with pytest.raises(TransferError, match=r"longer than --freeze-limit 6 "):
            cut_over(freeze_limit=6)
    assert set(freezes().values()) == {None}
    assert_files_take_writes(data)


@pytest.mark.slow
def test_readers_of_postgresql_hold_up_no_cut_over(data):
    with session() as other:
        other.execute("SELECT count(*) FROM knowledge.knowledge_items")
        cut_over()
    assert reverse.status("default", target_tables(FILES)).is_healthy


@pytest.mark.slow
def test_what_cannot_be_unfrozen_is_said_and_the_command_helps(data, monkeypatch):
    """Nobody says that a file takes writes before it does."""
    path = data / "accuracy_scores.db"
    holder = []

    def lock_and_fail(files):
        holder.append(sqlite3.connect(path, isolation_level=None))
        holder[0].execute("BEGIN IMMEDIATE")
        raise TransferError("Planted.")

    monkeypatch.setattr(to_target, "refuse_if_it_came", lock_and_fail)
    told = []
    with pytest.raises(TransferError, match=r"^Planted. .*accuracy_scores.db still refuses") as end:
        cut_over(told, freeze_limit=6)
    assert "sync_sqlite --unfreeze" in str(end.value)
    assert AGAIN not in told
    assert freezes() == {"knowledge": None, "continuum": None, "rss": None, "accuracy": FOR_GOOD}
    holder[0].close()
    call_command("sync_sqlite", "--unfreeze")
    assert set(freezes().values()) == {None}
    assert_files_take_writes(data)


def test_a_lock_that_goes_is_waited_for(data, monkeypatch):
    """The thaw is tried until it is done."""
    path, turns = data / "accuracy_scores.db", []
    unfreeze = thaw.unfreeze

    def held_once(given, **rest):
        if given == path and not turns:
            turns.append(given)
            raise LegacyFileError(f"{path} is locked by another writer: wait.")
        unfreeze(given, **rest)

    monkeypatch.setattr(thaw, "unfreeze", held_once)
    monkeypatch.setattr(to_target, "refuse_if_it_came", planted)
    told = []
    with pytest.raises(TransferError, match=r"^Planted.$"):
        cut_over(told)
    assert turns
    assert told[-1] == AGAIN
    assert set(freezes().values()) == {None}


def planted(files):
    raise TransferError("Planted.")


def test_a_mark_whose_answer_was_lost_stands(data, monkeypatch):
    mark = to_target.ToTarget._mark

    def lose_the_answer(self):
        mark(self)
        raise OperationalError("the connection is lost")

    monkeypatch.setattr(to_target.ToTarget, "_mark", lose_the_answer)
    cut_over()
    assert {state(name) for name in FILES} == {"live"}
    assert set(freezes().values()) == {FOR_GOOD}


def no_answer(*_):
    raise OperationalError("the server is away")


@pytest.mark.slow
def test_files_stay_frozen_while_nobody_knows_whether_the_mark_was_set(data, monkeypatch):
    """Both sides taking writes would be the end of it."""
    mark = to_target.ToTarget._mark

    def lose_the_answer(self):
        mark(self)
        raise OperationalError("the connection is lost")

    with monkeypatch.context() as patch:
        patch.setattr(to_target.ToTarget, "_mark", lose_the_answer)
        patch.setattr(thaw, "insist", no_answer)
        with pytest.raises(TransferError, match="not known whether the switch was made"):
            cut_over()
    assert set(freezes().values()) == {FOR_GOOD}
    call_command("sync_sqlite", "--unfreeze")
    assert set(freezes().values()) == {FOR_GOOD}, "it was made"


@pytest.mark.slow
@pytest.mark.parametrize("is_known", [True, False])
def test_a_rollback_whose_last_answer_was_lost(live, monkeypatch, is_known):
    """Known to be done: the files take writes. Not known: nobody does, until the same command."""
    mark = to_legacy.ToLegacy._prove_and_mark

    def lose_the_answer(self):
        mark(self)
        raise OperationalError("the connection is lost")

    with monkeypatch.context() as patch:
        patch.setattr(to_legacy.ToLegacy, "_prove_and_mark", lose_the_answer)
        if not is_known:
            patch.setattr(thaw, "insist", no_answer)
        status, text = run("rollback_migration")
    if not is_known:
        assert (status, set(freezes().values())) == (2, {FOR_GOOD})
        assert "not known whether the files are in charge" in text
        status, text = run("rollback_migration")
    assert status == 0, text
    assert set(freezes().values()) == {None}
    assert {state(name) for name in FILES} == {"rolled back"}


@pytest.mark.slow
def test_a_file_that_comes_while_the_others_are_switched_refuses(legacy, monkeypatch):
    """It would be left behind, with writers in it, under a list that says GO."""
    data = legacy(variant="disabled")
    run("sync_sqlite", "--install")
    follow(FollowOptions(once=True))
    _, text = run("cutover", "--dry-run")
    assert "switches: knowledge, rss, accuracy" in text
    assert "continuum: not switched" in text

    def come(self):
        with closing(sqlite3.connect(data / "continuum_memory.db")) as db:
            db.execute("CREATE TABLE tier_metrics (item_id TEXT PRIMARY KEY, tier TEXT)")

    with monkeypatch.context() as patch:
        at(patch, "_drain_frozen", come)
        with pytest.raises(TransferError, match=r"continuum_memory.db was made while"):
            cut_over()
    assert state("knowledge") == "following"
    (data / "continuum_memory.db").write_bytes(b"")
    assert cut_over().unswitched.keys() == {"continuum"}


@pytest.mark.slow
def test_a_writer_in_flight_holds_up_no_rollback_beyond_the_limit(live):
    with session() as other:
        other.execute("UPDATE knowledge.knowledge_items SET source = 'in flight' WHERE id < 9")
        told = []
        with pytest.raises(TransferError, match=r"longer than --freeze-limit 3.*freezing"):
            roll_back(told, freeze_limit=3)
    assert told[-1].startswith("PostgreSQL takes writes again")
    KnowledgeItem.objects.create(content="written", source="y", knowledge_type="z")
    roll_back()
    assert differences() == {}


@pytest.mark.slow
def test_a_reader_of_postgresql_keeps_nobody_from_writing(live):
    """The mark waits for it and is given up; letting writers in again does not wait."""
    with session() as other:
        other.execute("SELECT count(*) FROM knowledge.knowledge_items")
        with pytest.raises(TransferError, match=r"longer than --freeze-limit 6"):
            roll_back(freeze_limit=6)
        KnowledgeItem.objects.create(content="written", source="y", knowledge_type="z")
    assert state("knowledge") == "live"
    roll_back()
    assert differences() == {}


@pytest.mark.slow
def test_a_locked_file_is_found_before_postgresql_is_frozen(live):
    told = []
    with (
        locked(live / "accuracy_scores.db"),
        pytest.raises(LegacyFileError, match=r"accuracy_scores.db is locked"),
    ):
        roll_back(told, freeze_limit=0.3)
    assert "PostgreSQL takes no more writes." not in told
    KnowledgeItem.objects.create(content="written", source="y", knowledge_type="z")


@pytest.mark.slow
def test_a_file_that_cannot_be_let_go_after_the_mark(live, monkeypatch):
    path = live / "accuracy_scores.db"
    mark, holder = to_legacy.ToLegacy._mark, []

    def then_lock(switch):
        mark(switch)
        holder.append(sqlite3.connect(path, isolation_level=None, timeout=0))
        holder[0].execute("BEGIN IMMEDIATE")
        # However long all before it took.
        switch.limit.seconds = switch.limit.spent + 1

    with monkeypatch.context() as patch:
        patch.setattr(to_legacy.ToLegacy, "_mark", then_lock)
        with pytest.raises(TransferError, match=r"accuracy_scores.db still refuses writes"):
            roll_back()
    assert state("knowledge") == "rolled back"
    assert freezes()["accuracy"] == FOR_GOOD
    holder[0].close()
    assert run("rollback_migration")[0] == 0
    assert set(freezes().values()) == {None}


@pytest.mark.slow
def test_a_killed_rollback_is_seen_and_can_be_undone(live):
    """Killed before its mark: neither side takes writes until somebody says which one is to."""
    from django.db import transaction

    tables = target_tables(FILES)
    with transaction.atomic():
        reverse.freeze_target("default", tables)
    _, text = run("migration_status")
    assert "a rollback was broken off" in text
    assert "sync_sqlite --unfreeze" in text
    assert run("sync_sqlite", "--unfreeze")[0] == 0
    assert not reverse.is_frozen("default", tables)
    KnowledgeItem.objects.create(content="written", source="y", knowledge_type="z")
    assert set(freezes().values()) == {FOR_GOOD}


@pytest.mark.slow
def test_unfreeze_waits_for_a_switch_that_is_under_way(data, monkeypatch):
    """Between the freeze for good and the mark it would let writers into files that go live."""
    ends = []

    def command():
        ends.append(run("sync_sqlite", "--unfreeze"))
        connections.close_all()

    def unfreeze(self):
        thread = threading.Thread(target=command)
        thread.start()
        thread.join()

    at(monkeypatch, "_set_sequences", unfreeze)
    cut_over()
    assert ends[0][0] == 2
    assert set(freezes().values()) == {FOR_GOOD}


@pytest.mark.parametrize("command", ["cutover", "rollback_migration"])
@pytest.mark.parametrize("seconds", ["0", "-1", "nan", "inf", "1e9"])
def test_a_limit_is_a_time_that_can_be_waited_for(command, seconds):
    status, text = run(command, "--freeze-limit", seconds)
    assert (status, "at most 86400 seconds" in text) == (2, True)


@pytest.mark.slow
def test_a_session_that_ends_under_the_freeze_frees_the_files(data, monkeypatch):
    with session() as other:

        def end(self):
            pid = connection.connection.info.backend_pid
            other.execute("SELECT pg_terminate_backend(%s)", [pid])

        told = []
        with monkeypatch.context() as patch:
            at(patch, "_set_sequences", end)
            with pytest.raises(DatabaseError):
                cut_over(told)
    assert told[-1] == AGAIN
    assert set(freezes().values()) == {None}
    assert_files_take_writes(data)
    cut_over()


@pytest.mark.slow
def test_a_backup_after_the_cut_over_says_that_its_files_refuse_writes(live, tmp_path):
    folder, elsewhere = tmp_path / "backup", tmp_path / "elsewhere"
    status, text = run("backup_sqlite", "--to", str(folder), "--no-vectors")
    assert (status, "refuse writes" in " ".join(text.split())) == (0, True)
    status, text = run("backup_sqlite", "--restore", str(folder), "--to", str(elsewhere))
    told = " ".join(text.split())
    assert (status, "refuse writes" in told, "--to-backup" in told) == (0, True, True)
    _, text = run(
        "backup_sqlite", "--restore", str(folder), "--to", str(elsewhere), "--yes", "--format",
        "json",
    )  # fmt: skip
    assert len(json.loads(text)["frozen"]) == 4
    # The advice leads out.
    status, text = run("rollback_migration", "--to-backup", str(folder), "--yes")
    assert status == 0, text
    assert set(freezes().values()) == {None}
    assert_files_take_writes(live)


@pytest.mark.slow
def test_a_backup_of_files_that_take_writes_says_nothing_of_it(data, tmp_path):
    status, text = run("backup_sqlite", "--to", str(tmp_path / "backup"), "--no-vectors")
    assert (status, "refuse writes" in text) == (0, False)


@pytest.mark.slow
def test_a_restore_that_cannot_begin_leaves_postgresql_in_charge(live, tmp_path, monkeypatch):
    folder = tmp_path / "backup"
    run("backup_sqlite", "--to", str(folder), "--no-vectors")
    monkeypatch.setattr(restore_over_live, "PATIENCE", 0.3)
    command = ("rollback_migration", "--to-backup", str(folder), "--yes")
    with locked(live / "accuracy_scores.db"):
        status, text = run(*command)
        assert (status, "is locked" in text) == (2, True)

    def fail(copy, path):
        raise LegacyFileError(f"{path} cannot be written.")

    with monkeypatch.context() as patch:
        patch.setattr(restore_over_live, "_copy_over", fail)
        assert run(*command)[0] == 2
    KnowledgeItem.objects.create(content="written", source="y", knowledge_type="z")
    copy_over = restore_over_live._copy_over

    def fail_in_the_middle(copy, path):
        if path.name.startswith("accuracy"):
            fail(copy, path)
        copy_over(copy, path)

    with monkeypatch.context() as patch:
        patch.setattr(restore_over_live, "_copy_over", fail_in_the_middle)
        status, text = run(*command)
    assert (status, "Restored until then: knowledge, continuum, rss" in text) == (2, True)
    assert reverse.is_frozen("default", target_tables(FILES))
    assert run(*command)[0] == 0
    assert_files_take_writes(live)
