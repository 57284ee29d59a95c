"""Files that SQLite cannot open for reading where they lie: all commands read a private copy."""

from __future__ import annotations

import os
import shutil
import sqlite3
import tempfile
from collections.abc import Callable
from contextlib import closing, contextmanager
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command

from stillme.transfer.console.row.side_by_side import legacy_table
from stillme.transfer.errors import LegacyFileError
from stillme.transfer.models import QuarantinedRow
from stillme.transfer.sqlite.copying import private_copy
from stillme.transfer.sqlite.copying.plain_files import journal_mode
from stillme.transfer.sqlite.copying.private_copy import copy_with_companions
from stillme.transfer.sqlite.copying.snapshot import take_snapshot
from stillme.transfer.sqlite.reading.connect import open_legacy, place_of
from stillme.transfer.steps.back_up import back_up
from tests.made_once import put_samples
from tests.transfer.load.support import query, run_import
from tests.transfer.verify.support import accept_all, judge

Bytes = dict[str, tuple[bytes, int]]


def leave_hot_journal(path: Path) -> None:
    """A writer is killed inside a transaction of which a part has reached the file."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA cache_size = 2")
        connection.execute("BEGIN IMMEDIATE")
        for number in range(400):
            connection.execute(
                "INSERT INTO knowledge_items (content, source, knowledge_type) "
                "VALUES (?, 's', 't')",
                (f"never committed {number} " * 20,),
            )
        kept = [path, path.with_name(path.name + "-journal")]
        for each in kept:
            shutil.copyfile(each, each.with_name(each.name + ".kept"))
        connection.execute("ROLLBACK")
    for each in kept:
        each.with_name(each.name + ".kept").replace(each)


def leave_log(path: Path) -> None:
    """A last row is in a -wal only, and nobody can make the -shm that readers need."""
    kept = path.with_name("kept")
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA wal_autocheckpoint = 0")
        connection.execute(
            "INSERT INTO knowledge_items (content, source, knowledge_type) "
            "VALUES ('in the log', 's', 't')"
        )
        kept.mkdir()
        for suffix in ("", "-wal"):
            shutil.copyfile(f"{path}{suffix}", kept / f"{path.name}{suffix}")
    for each in kept.iterdir():
        each.replace(path.with_name(each.name))
    kept.rmdir()
    forbid(path, "-shm")


def forbid(path: Path, suffix: str) -> None:
    """As good as a read-only folder, and it stops root too: SQLite follows no link here."""
    path.with_name(path.name + suffix).symlink_to("nowhere")


def leave_empty_log(path: Path) -> None:
    """In WAL mode, all of it in the file, in a folder where nothing can be made."""
    leave_log(path)
    path.with_name(path.name + "-wal").unlink()
    forbid(path, "-wal")


LEFT = {"journal": leave_hot_journal, "wal": leave_log, "no wal": leave_empty_log}


@pytest.fixture(params=list(LEFT))
def left(
    request: pytest.FixtureRequest, tmp_path: Path, use_legacy_files: Callable[[Path], None]
) -> Path:
    """The folder; its knowledge file cannot be opened in place."""
    folder = tmp_path / "data"
    put_samples(folder, rows=30, files=["knowledge"])
    LEFT[request.param](folder / "knowledge_retention.db")
    use_legacy_files(folder)
    return folder


def everything(folder: Path) -> Bytes:
    """The file and what lies beside it, each with its bytes and its time."""
    files = [path for path in sorted(folder.glob("knowledge*")) if path.is_file()]
    return {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in files}


@contextmanager
def untouched(folder: Path) -> Any:
    """The files are as they were, and no copy of them is left."""
    before = everything(folder)
    yield
    assert everything(folder) == before


@pytest.fixture(autouse=True)
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The temporary folder of the test, which must be empty at its end."""
    place = tmp_path / "scratch"
    place.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(place))
    yield place
    assert list(place.iterdir()) == []


@pytest.mark.slow_after(1)
@pytest.mark.django_db(transaction=True)
def test_every_command_reads_it(left: Path, tmp_path: Path) -> None:
    from knowledge.models import KnowledgeItem

    with untouched(left):
        assert run_import().exit_status == 0
        accept_all()
        assert judge(round_trip=True).exit_status == 0
        call_command("migration_status", stdout=(told := StringIO()))
        assert "cannot be opened" not in told.getvalue()
        assert "is locked" not in told.getvalue()
        with pytest.raises(SystemExit):
            call_command("inspect_sqlite", stdout=StringIO())
        assert "No cell differs." in legacy_table(KnowledgeItem.objects.earliest("pk"))
        manifest = back_up(tmp_path / "backup")
    assert all(entry.sound for entry in manifest.files)
    never = "SELECT count(*) FROM knowledge.knowledge_items WHERE content LIKE %s"
    assert query(never, "never committed%") == [(0,)]
    with closing(sqlite3.connect(tmp_path / "backup" / "knowledge_retention.db")) as copy:
        ids = {str(key) for (key,) in copy.execute("SELECT id FROM knowledge_items")}
    held = {str(key) for (key,) in query("SELECT id FROM knowledge.knowledge_items")}
    aside = QuarantinedRow.objects.filter(table="knowledge_items").values_list("key", flat=True)
    assert held | set(aside) == ids


@pytest.mark.parametrize("left", ["wal"], indirect=True)
def test_the_log_is_read_and_the_mode_remembered(left: Path, tmp_path: Path) -> None:
    path = left / "knowledge_retention.db"
    with untouched(left):
        with closing(open_legacy(path)) as connection:
            assert place_of(connection, path) != path
            found = connection.execute(
                "SELECT count(*) FROM knowledge_items WHERE content = 'in the log'"
            ).fetchone()
            assert found == (1,)
        assert journal_mode(path) == "wal"
        entry = next(e for e in back_up(tmp_path / "backup").files if e.file == "knowledge")
    assert (entry.journal_mode, entry.copied) == ("wal", "bytes")


@pytest.mark.parametrize("left", ["journal"], indirect=True)
def test_a_snapshot_is_what_the_next_writer_will_find(left: Path, tmp_path: Path) -> None:
    path = left / "knowledge_retention.db"
    with untouched(left):
        before = take_snapshot("a", path, tmp_path)
        # Through a link the journal is found as well.
        (tmp_path / "link.db").symlink_to(path)
        linked = take_snapshot("b", tmp_path / "link.db", tmp_path)
    with closing(sqlite3.connect(path)) as writer:
        writer.execute("BEGIN IMMEDIATE")
    assert before.sha256 == linked.sha256 == take_snapshot("c", path, tmp_path).sha256


@pytest.mark.parametrize("left", ["journal"], indirect=True)
def test_a_follower_needs_the_file_itself(left: Path) -> None:
    with untouched(left), pytest.raises(LegacyFileError, match="is locked by an unfinished tran"):
        open_legacy(left / "knowledge_retention.db", in_place=True)


@pytest.mark.parametrize("left", ["journal"], indirect=True)
def test_a_writer_that_is_at_it_now(left: Path, tmp_path: Path) -> None:
    """It holds SQLite's lock, by which the copy is refused and not torn."""
    path = left / "knowledge_retention.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as writer:
        writer.execute("BEGIN EXCLUSIVE")
        with pytest.raises(LegacyFileError, match="is locked by another writer"):
            copy_with_companions(path, tmp_path / "copy.db", patience=0.1)
        assert not (tmp_path / "copy.db").exists()
        writer.execute("ROLLBACK")
        copy_with_companions(path, tmp_path / "copy.db", patience=0.1)
    assert not (tmp_path / "copy.db-journal").exists()


@pytest.mark.parametrize("left", ["wal"], indirect=True)
@pytest.mark.parametrize("times", [1, 1000])
def test_a_file_that_moves_under_the_copy(
    left: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, times: int
) -> None:
    """Writers in WAL mode take none of the locks that a copy can take."""
    path = left / "knowledge_retention.db"
    log = path.with_name(path.name + "-wal")
    copied, moves = private_copy._copied, 0

    def moving(source: Path, copy: Path) -> bool:
        nonlocal moves
        done = copied(source, copy)
        if moves < times:
            moves += 1
            os.utime(log)
        return done

    monkeypatch.setattr(private_copy, "_copied", moving)
    copy = tmp_path / "copy.db"
    if times == 1:
        copy_with_companions(path, copy)
        assert moves == 1
    else:
        with pytest.raises(LegacyFileError, match="changed while it was copied"):
            copy_with_companions(path, copy, patience=0.1)
        assert not copy.exists()


@pytest.mark.parametrize("left", ["journal"], indirect=True)
def test_a_journal_that_cannot_be_read_is_not_passed_over(left: Path) -> None:
    journal = left / "knowledge_retention.db-journal"
    journal.unlink()
    journal.mkdir()
    (journal / "inside").touch()
    path = left / "knowledge_retention.db"
    with pytest.raises(LegacyFileError, match="-journal, -wal"):
        copy_with_companions(path, left / "copy.db")
    assert not (left / "copy.db").exists()
