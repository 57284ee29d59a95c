"""After the cut-over the files are read-only; a rollback gives the permission back as it was."""

from __future__ import annotations

import ctypes
import io
import os
import shutil
import signal
import sqlite3
import sys
from contextlib import closing
from pathlib import Path

import pytest
from django.core.management import call_command
from django.test import Client
from rich.console import Console

from stillme.postgresql.base import DatabaseWrapper
from stillme.transfer.errors import LegacyFileError, StateError, TransferError
from stillme.transfer.findings import ignore_event
from stillme.transfer.models import Seal
from stillme.transfer.plumbing import permissions
from stillme.transfer.registry import legacy_files
from stillme.transfer.reports.terminal.switching import render_cutover
from stillme.transfer.sqlite.capture.freeze import drop_freeze
from stillme.transfer.sqlite.capture.tables import write_transaction
from stillme.transfer.steps import cutover, rehearse
from stillme.transfer.steps.install_capture import Selection, moved_files
from stillme.transfer.steps.restore_over_live import plan_restore, restore
from stillme.transfer.steps.rollback import plan_rollback
from stillme.transfer.steps.sealing import seal as sealing
from stillme.transfer.steps.sealing.broken import broken_seals
from stillme.transfer.steps.switching import to_legacy
from stillme.transfer.steps.switching.thaw import unfreeze_all
from tests.transfer.forked import fork_group

from .switching import cut_over, roll_back
from .test_follow import state

MODES = {
    "knowledge_retention.db": 0o644,
    "continuum_memory.db": 0o664,
    "rss_fetch_history.db": 0o600,
    "accuracy_scores.db": 0o640,
}
NOTE = "MOVED-TO-POSTGRESQL.txt"
READ_ONLY = {name: mode & ~0o222 for name, mode in MODES.items()}


def modes(folder: Path) -> dict[str, int]:
    return {name: permissions.mode_of(folder / name) for name in MODES}


def give_modes(folder: Path) -> Path:
    """Files as the application's umask made them; nothing is noted."""
    Seal.objects.all().delete()
    (folder / NOTE).unlink(missing_ok=True)
    for name, mode in MODES.items():
        (folder / name).chmod(mode)
    return folder


@pytest.fixture
def sealed(live: Path) -> Path:
    """The folder after a cut-over. (A scene that is put back has other times and permissions.)"""
    give_modes(live)
    assert sealing.seal("default", legacy_files(), ignore_event) == []
    assert broken_seals("default") == []
    return live


def said() -> str:
    """What `migration_status` says of seals."""
    told = io.StringIO()
    call_command("migration_status", stdout=told)
    return "\n".join(line for line in told.getvalue().splitlines() if line.startswith("seal"))


def test_there_and_back(data: Path) -> None:
    give_modes(data)
    told = io.StringIO()
    wanted = [word for name in cutover_overrides() for word in (f"--despite-{name}", "a test")]
    call_command("cutover", *wanted, stdout=told)
    assert "no write permission any more" in told.getvalue()
    assert "process of root" in told.getvalue()
    assert modes(data) == READ_ONLY
    assert "rollback_migration" in (data / NOTE).read_text()
    assert (said(), broken_seals("default")) == ("", [])
    assert cutover.finish_interrupted("default") is None
    roll_back()
    assert modes(data) == MODES
    assert not (data / NOTE).exists()
    assert (Seal.objects.count(), said()) == (0, "")


def cutover_overrides() -> tuple[str, ...]:
    from stillme.transfer.steps.readiness.go_no_go import OVERRIDES

    return OVERRIDES


def die_at(monkeypatch: pytest.MonkeyPatch, name: str, turn: int) -> None:
    """The process is killed when it changes the permission of the path of that number."""
    original = getattr(sealing, name)
    turns = iter(range(1, 100))

    def kill(*arguments: object) -> object:
        if next(turns) == turn:
            os.kill(os.getpid(), signal.SIGKILL)
        return original(*arguments)

    monkeypatch.setattr(sealing, name, kill)


@pytest.mark.slow
@pytest.mark.parametrize("turn", [1, 3])
def test_a_cut_over_killed_while_it_seals(
    data: Path, monkeypatch: pytest.MonkeyPatch, turn: int
) -> None:
    give_modes(data)
    with monkeypatch.context() as patched:
        die_at(patched, "take_write", turn)
        assert ended(cut_over) == -signal.SIGKILL
    assert state("rss") == "live"
    assert "cutover once more" in said()
    result = cutover.finish_interrupted("default")
    assert result is not None
    assert (result.unsealed, modes(data), said()) == ([], READ_ONLY, "")
    roll_back()
    assert modes(data) == MODES


@pytest.mark.slow
def test_a_cut_over_killed_before_it_seals(live: Path) -> None:
    give_modes(live)
    assert said().count("is not sealed") == len(MODES)
    told = io.StringIO()
    call_command("cutover", stdout=told)
    assert "no write permission any more" in told.getvalue()
    assert (modes(live), said()) == (READ_ONLY, "")


@pytest.mark.slow
@pytest.mark.parametrize("turn", [1, 3])
def test_a_rollback_killed_while_it_unseals(
    sealed: Path, monkeypatch: pytest.MonkeyPatch, turn: int
) -> None:
    with monkeypatch.context() as patched:
        die_at(patched, "give_write", turn)
        assert ended(roll_back) == -signal.SIGKILL
    assert state("rss") == "live"
    roll_back()
    assert (modes(sealed), Seal.objects.count()) == (MODES, 0)


def ended(work: object) -> int | None:
    process = fork_group(work)  # type: ignore[arg-type]
    process.join()
    return process.exitcode


@pytest.mark.slow
def test_a_rollback_that_is_given_up_seals_again(
    sealed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*arguments: object) -> None:
        assert modes(sealed) == MODES
        raise TransferError("the third file")

    with monkeypatch.context() as patched:
        patched.setattr(to_legacy.ToLegacy, "_prove_and_mark", fail)
        with pytest.raises(TransferError, match="the third file"):
            roll_back()
    # It had written to every file.
    assert (modes(sealed), said()) == (READ_ONLY, "")
    roll_back()
    assert modes(sealed) == MODES


@pytest.mark.slow
def test_a_rollback_that_is_given_up_seals_nothing_that_was_not(
    live: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a rehearsal: the vector store that `seal` would find is the real one."""
    give_modes(live)
    monkeypatch.setattr(to_legacy.ToLegacy, "_freeze_target", lambda self: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        roll_back()
    assert (modes(live), Seal.objects.count()) == (MODES, 0)


def test_a_file_that_takes_writes_is_left_so(sealed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """PostgreSQL was restored from before a rollback: the application writes to the files."""
    for file in legacy_files():
        file.path.chmod(MODES[file.path.name])
        with write_transaction(file.path) as connection:
            drop_freeze(connection)
    monkeypatch.setattr(to_legacy.ToLegacy, "_freeze_target", lambda self: 1 / 0)
    with pytest.raises(StateError, match=r"takes writes again.*into another database"):
        roll_back()
    assert modes(sealed) == MODES


@pytest.mark.slow
def test_staying_on_postgresql_seals_again(sealed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def kill(*arguments: object) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    with monkeypatch.context() as patched:
        patched.setattr(to_legacy.ToLegacy, "_prove_and_mark", kill)
        assert ended(roll_back) == -signal.SIGKILL
    assert "may be written" in said()
    unfreeze_all("default", legacy_files(), ignore_event)
    assert (modes(sealed), said()) == (READ_ONLY, "")


def test_a_permission_that_cannot_be_given_back_stops_the_rollback(
    sealed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path, mode: int) -> None:
        raise PermissionError(1, "Operation not permitted")

    with monkeypatch.context() as patched:
        patched.setattr(sealing, "give_write", refuse)
        with pytest.raises(LegacyFileError, match="run this as its owner"):
            roll_back()
    assert (state("rss"), modes(sealed)) == ("live", READ_ONLY)


def test_what_cannot_be_sealed_is_told_and_the_switch_stands(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    give_modes(data)
    with monkeypatch.context() as patched:
        why = "could not be made read-only: its file system keeps no permissions"
        patched.setattr(sealing, "take_write", lambda path: why if "rss" in path.name else "")
        result = cut_over()
    assert [sentence.rpartition("/")[2] for sentence in result.unsealed] == [
        f"rss_fetch_history.db {why}"
    ]
    assert state("rss") == "live"
    told = io.StringIO()
    render_cutover(Console(file=told, width=400), "text", result)
    assert "All other files have no write permission any more" in told.getvalue()


@pytest.mark.slow
def test_a_backup_is_laid_over_sealed_files(sealed: Path, tmp_path: Path) -> None:
    call_command("backup_sqlite", to=str(tmp_path / "backup"), stdout=io.StringIO())
    restore("default", plan_restore("default", tmp_path / "backup"))
    assert (modes(sealed), Seal.objects.count()) == (MODES, 0)


@pytest.mark.slow
def test_what_was_tightened_since_is_not_loosened(sealed: Path) -> None:
    (sealed / "knowledge_retention.db").chmod(0o400)
    sealing.unseal("default")
    assert modes(sealed)["knowledge_retention.db"] == 0o600


@pytest.mark.slow
def test_companions_can_be_written_again(sealed: Path) -> None:
    """SQLite gives -shm and -wal the permission of the file; a writer could not use them."""
    with closing(sqlite3.connect(f"file:{sealed}/rss_fetch_history.db?mode=ro", uri=True)) as db:
        db.execute("SELECT count(*) FROM rss_fetch_items").fetchone()
        shared = sealed / "rss_fetch_history.db-shm"
        assert permissions.mode_of(shared) == 0o400
        sealing.unseal("default")
        assert permissions.mode_of(shared) == 0o600


@pytest.mark.slow
def test_a_rehearsal_seals_nothing(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its files are copies, but the vector store is the real one."""
    given = []
    monkeypatch.setattr(rehearse, "cut_over", lambda options, judge: given.append(options))
    with pytest.raises(AttributeError):
        rehearse._cut_over(rehearse.Rehearsal(), None)  # type: ignore[arg-type]
    assert [options.seal for options in given] == [False]


@pytest.mark.slow
def test_moved_files_keep_their_seal(sealed: Path, tmp_path: Path, use_legacy_files) -> None:  # type: ignore[no-untyped-def]
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    for path in sealed.iterdir():
        path.rename(elsewhere / path.name)
    use_legacy_files(elsewhere)
    sealed.rmdir()
    try:
        moved_files("default", Selection())
        assert said() == ""
        roll_back()
    finally:
        sealed.mkdir()
    assert modes(elsewhere) == MODES


# --- who touches the files -----------------------------------------------------------------------


def touch(folder: Path) -> None:
    os.utime(folder / "accuracy_scores.db", (1, 1))


def replace(folder: Path) -> None:
    path = folder / "accuracy_scores.db"
    shutil.copy2(path, folder / "copy")
    (folder / "copy").rename(path)


def write_in_wal(folder: Path) -> None:
    """As root may, to a table that no trigger can freeze; the connection stays open."""
    path = folder / "rss_fetch_history.db"
    mode = path.stat().st_mode
    path.chmod(0o644)
    LEFT.append(sqlite3.connect(path))
    LEFT[-1].executescript("CREATE TABLE made_since (a); INSERT INTO made_since VALUES (1)")
    path.chmod(mode)


def begin_a_write(folder: Path) -> None:
    (folder / "knowledge_retention.db-journal").write_bytes(b"begun")


def open_for_writing(folder: Path) -> None:
    (folder / "continuum_memory.db").chmod(0o644)


LEFT: list[sqlite3.Connection] = []
TOUCHED = [
    (touch, "accuracy_scores.db was written to since the cut-over"),
    (replace, "accuracy_scores.db is another file than the cut-over froze"),
    (begin_a_write, "knowledge_retention.db-journal holds a write to a frozen file"),
    (write_in_wal, "rss_fetch_history.db-wal holds a write to a frozen file"),
    (open_for_writing, "continuum_memory.db may be written: run manage.py cutover once more"),
    (lambda folder: (folder / "new.db").touch(), "new.db was made since the cut-over"),
    (lambda folder: (folder / "x.sqlite3").touch(), "x.sqlite3 was made since the cut-over"),
    (lambda folder: (folder / "accuracy_scores.db").unlink(), "accuracy_scores.db is gone"),
    (shutil.rmtree, "{} is gone, or is not on this machine"),
]


@pytest.mark.slow_after(1)
@pytest.mark.parametrize(("change", "sentence"), TOUCHED)
def test_whoever_touches_the_files_is_told_of(
    sealed: Path, client: Client, change: object, sentence: str
) -> None:
    change(sealed)  # type: ignore[operator]
    sentence = sentence.format(sealed.name)
    try:
        answer = client.get("/readyz")
        # PostgreSQL is in charge and serves.
        assert answer.status_code == 200
        assert [said.startswith(sentence) for said in answer.json()["warnings"]] == [True]
        assert str(sealed) not in answer.content.decode()
        assert [b.sentence.startswith(f"{sealed.parent}/") for b in broken_seals("default")] == [
            True
        ]
    finally:
        sealed.mkdir(exist_ok=True)
        while LEFT:
            LEFT.pop().close()


@pytest.mark.slow_after(1)
@pytest.mark.parametrize("name", ["chat_history.db", "state.json", "feedback.db"])
def test_what_the_application_keeps_there_is_no_matter(
    sealed: Path, client: Client, name: str
) -> None:
    (sealed / name).write_text("x")
    assert "warnings" not in client.get("/readyz").json()


@pytest.mark.slow
def test_an_empty_file_of_a_feature_that_was_off(sealed: Path) -> None:
    """The old health endpoints make one; the old classes then write to it."""
    Seal.objects.filter(file="").update(
        seen={"databases": {"new.db": 0, **dict.fromkeys(MODES, 1)}}
    )
    (sealed / "new.db").touch()
    assert broken_seals("default") == []
    (sealed / "new.db").write_text("x")
    assert [broken.what[:12] for broken in broken_seals("default")] == ["was empty at"]


@pytest.mark.slow
def test_reading_breaks_no_seal(sealed: Path) -> None:
    call_command("backup_sqlite", to=str(sealed.parent / "read"), stdout=io.StringIO())
    call_command("rollback_migration", "--dry-run", stdout=io.StringIO())
    for path in sealed.glob("*.db"):
        # As the old classes and health endpoints do.
        with closing(sqlite3.connect(path)) as db:
            db.execute("SELECT 1")
            db.execute("CREATE TABLE IF NOT EXISTS stillme_change (a)")
    assert broken_seals("default") == []


@pytest.mark.slow
def test_a_note_only_where_the_old_reset_would_delete(sealed: Path) -> None:
    sealing.unseal("default")
    (sealed / "knowledge_version.json").write_text("{}")
    Seal.objects.all().delete()
    sealing.seal("default", legacy_files(), ignore_event)
    assert not (sealed / NOTE).exists()


# --- as a user who is not root -------------------------------------------------------------------


def override_permissions(may: bool) -> None:
    """Root may override permissions by two capabilities; without them it is as any other owner."""
    libc = ctypes.CDLL(None, use_errno=True)
    header, sets = (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()
    assert libc.capget(header, sets) == 0
    both = 0b110 & sets[1]
    sets[0] = sets[0] | both if may else sets[0] & ~both
    assert libc.capset(header, sets) == 0


def obey_permissions() -> None:
    """From now on in this process, but for reaching the server, which is another user's."""
    connect = DatabaseWrapper.get_new_connection

    def reach(*arguments: object) -> object:
        override_permissions(True)
        try:
            return connect(*arguments)
        finally:
            override_permissions(False)

    DatabaseWrapper.get_new_connection = reach
    override_permissions(False)


def refused(path: Path) -> str:
    """What SQLite says to a writer whom the permission concerns; reading goes on."""
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("SELECT count(*) FROM stillme_change").fetchone()[0]
        with pytest.raises(sqlite3.OperationalError) as caught:
            db.execute("CREATE TABLE made_since (a)")
    return str(caught.value)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="capabilities are Linux's")
def test_the_whole_way_where_permissions_count(sealed: Path) -> None:
    def work() -> None:
        obey_permissions()
        for path in sorted(sealed.glob("*.db")):
            assert refused(path) == "attempt to write a readonly database"
            with pytest.raises(LegacyFileError, match=r"chmod u\+w"):
                with write_transaction(path) as connection:
                    connection.execute("CREATE TABLE made_since (a)")
        assert said() == ""
        assert cutover.finish_interrupted("default") is None
        assert plan_rollback("default").unequal == 0
        roll_back()

    assert ended(work) == 0
    assert (modes(sealed), state("rss")) == (MODES, "rolled back")
    assert all(permissions.may_be_written(path) for path in sealed.glob("*.db-*"))
