"""backup_sqlite: complete copies of live files, a manifest that tells, a restore that was tried."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import closing
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from stillme.demo.samples import make_samples
from stillme.transfer.errors import Busy, LegacyFileError, TransferError
from stillme.transfer.sqlite.copying import backup, snapshot
from stillme.transfer.sqlite.copying.backup import copy_database
from stillme.transfer.sqlite.copying.backup_manifest import read_manifest
from stillme.transfer.sqlite.copying.plain_files import journal_mode
from stillme.transfer.steps.back_up import back_up, check_backup
from stillme.transfer.steps.restore_backup import restore_backup
from tests.conftest import legacy_variables

RSS = "rss_fetch_history.db"


def run(*arguments: str) -> tuple[str, int]:
    out = StringIO()
    try:
        call_command("backup_sqlite", *arguments, stdout=out)
    except SystemExit as ended:
        return out.getvalue(), int(ended.code or 0)
    return out.getvalue(), 0


def dump(path: Path) -> list[str]:
    """Every row of every table, read from a copy with its write-ahead log."""
    with closing(sqlite3.connect(path)) as connection:
        return [line for line in connection.iterdump() if "sqlite_sequence" not in line]


def copied(path: Path, folder: Path) -> Path:
    folder.mkdir()
    for suffix in ("", "-wal"):
        beside = path.with_name(path.name + suffix)
        if beside.exists():
            shutil.copyfile(beside, folder / beside.name)
    return folder / path.name


def test_copies_hold_what_is_only_in_the_write_ahead_log(legacy: Path, tmp_path: Path) -> None:
    expected = dump(copied(legacy / RSS, tmp_path / "expected"))
    manifest = back_up(tmp_path / "backup")
    assert manifest.sound
    assert dump(tmp_path / "backup" / RSS) == expected
    entry = next(e for e in manifest.files if e.name == RSS)
    assert entry.journal_mode == "wal"
    assert entry.rows["rss_fetch_items"] == 66
    assert not list((tmp_path / "backup").glob("*-wal"))


def test_files_of_one_name_are_refused(legacy: Path, tmp_path: Path, settings: Any) -> None:
    """In one folder the copy of the second would take the place of the first's."""
    other = copied(legacy / RSS, tmp_path / "other")
    files = {**settings.TRANSFER["FILES"], "again": {"path": other}}
    settings.TRANSFER = {**settings.TRANSFER, "FILES": files}
    with pytest.raises(LegacyFileError, match="have one file name"):
        back_up(tmp_path / "backup")
    assert not (tmp_path / "backup").exists()


def test_the_manifest_tells_what_was_copied(legacy: Path, tmp_path: Path) -> None:
    directory = tmp_path / "backup"
    out, status = run("--to", str(directory), "--format", "json")
    told = json.loads(out)
    assert status == 0
    assert told["sound"]
    assert told["files"] == json.loads((directory / "manifest.json").read_text())["files"]
    for entry in told["files"]:
        assert entry["size"] == (directory / entry["name"]).stat().st_size
        assert entry["pages"] * entry["page_size"] == entry["size"]
        assert entry["integrity"] == ["ok"]
        assert len(entry["sha256"]) == 64
    references = next(e for e in told["files"] if e["file"] == "knowledge")["foreign_keys"]
    assert references["knowledge_relationships"] > 0
    assert (directory / RSS).stat().st_mode & 0o077 == 0


def test_check_finds_a_changed_a_missing_and_a_strange_file(legacy: Path, tmp_path: Path) -> None:
    directory = tmp_path / "backup"
    back_up(directory)
    assert check_backup(directory) == []
    assert run("--check", str(directory))[1] == 0
    with (directory / RSS).open("r+b") as stream:
        stream.seek(5000)
        stream.write(b"\xff")
    (directory / "accuracy_scores.db").unlink()
    (directory / "strange.db").touch()
    problems = check_backup(directory)
    assert f"{RSS} has another SHA-256 than the manifest" in problems
    assert "accuracy_scores.db is missing" in problems
    assert "strange.db is not in the manifest" in problems
    assert run("--check", str(directory))[1] == 1


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"files": [{}], "folders": []}'])
def test_a_folder_without_a_readable_manifest_is_no_backup(text: str, tmp_path: Path) -> None:
    with pytest.raises(LegacyFileError, match=r"no manifest\.json"):
        check_backup(tmp_path)
    (tmp_path / "manifest.json").write_text(text)
    with pytest.raises(LegacyFileError, match="is damaged"):
        check_backup(tmp_path)


def test_asking_for_the_journal_mode_keeps_the_locks_of_this_process(legacy: Path) -> None:
    path = legacy / "knowledge_retention.db"
    other = (
        "import sqlite3, sys\n"
        "db = sqlite3.connect(sys.argv[1], timeout=0, isolation_level=None)\n"
        "db.execute('BEGIN IMMEDIATE')\n"
    )
    command = [sys.executable, "-c", other, str(path)]
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = DELETE")
        connection.execute("BEGIN IMMEDIATE")
        assert journal_mode(path) == "rollback"
        held = subprocess.run(command, capture_output=True, text=True)
        assert "database is locked" in held.stderr
        # The bad twin: a descriptor of our own, closed, takes SQLite's lock with it.
        path.open("rb").close()
        assert subprocess.run(command, capture_output=True).returncode == 0


def test_restore_gives_back_the_same_rows(legacy: Path, tmp_path: Path) -> None:
    before = {path.name: dump(copied(path, tmp_path / path.stem)) for path in legacy.glob("*.db")}
    back_up(tmp_path / "backup")
    with closing(sqlite3.connect(legacy / RSS)) as connection:
        connection.execute("DELETE FROM rss_fetch_items")
        connection.commit()
    with pytest.raises(CommandError, match="add --yes"):
        call_command("backup_sqlite", "--restore", str(tmp_path / "backup"), "--to", str(legacy))
    _, status = run("--restore", str(tmp_path / "backup"), "--to", str(legacy), "--yes")
    assert status == 0
    assert journal_mode(legacy / RSS) == "wal"
    assert {path.name: dump(path) for path in legacy.glob("*.db")} == before
    (aside,) = legacy.glob("before-restore-*")
    assert not any("rss_fetch_items" in line for line in dump(aside / RSS) if "INSERT" in line)


def test_restore_into_an_empty_folder_and_a_backup_of_an_empty_file(
    tmp_path: Path, use_legacy_files: Callable[[Path], None]
) -> None:
    make_samples(tmp_path / "data", rows=20, variant="disabled")
    use_legacy_files(tmp_path / "data")
    assert back_up(tmp_path / "backup").sound
    restored = restore_backup(tmp_path / "backup", tmp_path / "elsewhere")
    assert restored.before is None
    assert (tmp_path / "elsewhere" / "continuum_memory.db").stat().st_size == 0
    assert dump(tmp_path / "elsewhere" / RSS) == dump(tmp_path / "data" / RSS)


def test_restore_refuses_an_unsound_backup_and_a_file_in_use(legacy: Path, tmp_path: Path) -> None:
    back_up(tmp_path / "backup")
    with closing(sqlite3.connect(legacy / RSS)) as connection:
        connection.execute("SELECT count(*) FROM rss_fetch_items").fetchone()
        with pytest.raises(Busy, match="in use"):
            restore_backup(tmp_path / "backup", legacy, overwrite=True)
    (tmp_path / "backup" / RSS).unlink()
    with pytest.raises(LegacyFileError, match="not sound"):
        restore_backup(tmp_path / "backup", legacy, overwrite=True)
    assert not list(legacy.glob("before-restore-*"))


def test_a_backup_never_goes_into_a_folder_that_holds_something(
    legacy: Path, tmp_path: Path
) -> None:
    with pytest.raises(TransferError, match="not empty"):
        back_up(legacy)


KILLED = """
import os, signal, sys
from pathlib import Path
import django
django.setup()
from stillme.transfer.steps import back_up as step
done = step._back_up_file
def killed(file, directory, on_event):
    done(file, directory, on_event)
    if file.name == "rss":
        os.kill(os.getpid(), signal.SIGKILL)
step._back_up_file = killed
step.back_up(Path(sys.argv[1]))
"""


def test_a_killed_backup_is_made_again_by_the_same_command(
    legacy: Path, tmp_path: Path, settings: Any
) -> None:
    folder = tmp_path / "backup"
    environment = {
        **os.environ,
        **legacy_variables(settings.TRANSFER["FILES"], settings.LEGACY_VECTOR_DIR),
    }
    done = subprocess.run([sys.executable, "-c", KILLED, str(folder)], env=environment)
    assert done.returncode == -signal.SIGKILL
    assert (folder / RSS).exists()
    (folder / "of somebody else").touch()
    with pytest.raises(TransferError, match="not empty"):
        back_up(folder)
    (folder / "of somebody else").unlink()
    assert back_up(folder).sound
    assert check_backup(folder) == []


def test_a_killed_backup_in_the_files_own_folder_deletes_none_of_them(legacy: Path) -> None:
    """A mark of a killed backup does not make the live files its copies."""
    mark = legacy / "stillme-backup-dead"
    mark.mkdir()
    (mark / "lock").touch()
    with pytest.raises(TransferError, match="not empty"):
        back_up(legacy)
    assert (legacy / RSS).exists()


def test_the_vector_folder_is_copied_with_its_digests(legacy: Path, tmp_path: Path) -> None:
    store = legacy / "vector_db"
    (store / "segment").mkdir(parents=True)
    (store / "segment" / "data_level0.bin").write_bytes(b"vectors")
    with closing(sqlite3.connect(store / "chroma.sqlite3")) as connection:
        connection.execute("CREATE TABLE collections (id)")
    manifest = back_up(tmp_path / "backup")
    paths = [file["path"] for file in manifest.folders[0].files]
    assert paths == ["chroma.sqlite3", "segment/data_level0.bin"]
    (tmp_path / "backup" / "vector_db" / "segment" / "data_level0.bin").write_bytes(b"vectorz")
    assert len(check_backup(tmp_path / "backup")) == 1
    assert back_up(tmp_path / "without", with_stores=False).folders == []


WRITER = """
import os, sqlite3, sys, time
connection = sqlite3.connect(sys.argv[1], timeout=30, isolation_level=None)
print("ready", flush=True)
n, slowest = 0, 0.0
while not os.path.exists(sys.argv[2]):
    begun = time.monotonic()
    connection.execute("INSERT INTO t (text) VALUES (?)", (str(n),))
    slowest = max(slowest, time.monotonic() - begun)
    n += 1
    time.sleep(0.01)
print(n, slowest)
"""


@pytest.mark.parametrize("mode", ["wal", "delete"])
def test_a_writer_goes_on_and_the_copy_is_one_moment(mode: str, tmp_path: Path) -> None:
    """A writer commits all the time: the copy starts over, then is taken in one step."""
    live = tmp_path / "live.db"
    with closing(sqlite3.connect(live, isolation_level=None)) as connection:
        connection.execute(f"PRAGMA journal_mode = {mode}")
        connection.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, text)")
        connection.execute("BEGIN")
        connection.executemany("INSERT INTO t (text) VALUES (?)", [("x" * 400,)] * 20_000)
        connection.execute("COMMIT")
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(live), str(tmp_path / "stop")],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert writer.stdout is not None
    assert writer.stdout.readline() == "ready\n"
    try:
        result = copy_database(live, tmp_path / "copy.db", step_pages=50)
    finally:
        (tmp_path / "stop").touch()
    written, slowest = writer.communicate()[0].split()
    assert result.how in ("steps", "one step")
    assert int(written) > 0
    assert float(slowest) < 10
    with closing(sqlite3.connect(tmp_path / "copy.db")) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        numbers = [row[0] for row in connection.execute("SELECT id FROM t ORDER BY id")]
    assert numbers == list(range(1, len(numbers) + 1))
    assert 20_000 <= len(numbers) <= 20_000 + int(written)


def test_a_locked_file_is_waited_for_and_then_named(tmp_path: Path) -> None:
    live = tmp_path / "live.db"
    with closing(sqlite3.connect(live, isolation_level=None)) as connection:
        connection.execute("CREATE TABLE t (a)")
        connection.execute("BEGIN EXCLUSIVE")
        with pytest.raises(LegacyFileError, match="locked by another writer"):
            copy_database(live, tmp_path / "copy.db", patience=0.2)


@pytest.mark.parametrize("module", [backup, snapshot])
def test_a_file_locked_in_the_middle_of_the_copy_does_not_hang(
    module: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    live = tmp_path / "live.db"
    with closing(sqlite3.connect(live, isolation_level=None)) as connection:
        connection.execute("CREATE TABLE t (a)")
        connection.executemany("INSERT INTO t VALUES (?)", [("x" * 3000,)] * 50)
    holder = sqlite3.connect(live, isolation_level=None, check_same_thread=False)
    original = module.open_legacy

    def then_lock(path: Path, **options: Any) -> sqlite3.Connection:
        opened = original(path, **options)
        opened.execute("PRAGMA busy_timeout = 0")
        holder.execute("BEGIN EXCLUSIVE")
        return opened

    monkeypatch.setattr(module, "open_legacy", then_lock)
    ended = threading.Event()

    def copy() -> None:
        with pytest.raises(LegacyFileError, match="locked"):
            if module is backup:
                copy_database(live, tmp_path / "copy.db", patience=0.3)
            else:
                snapshot.take_snapshot("copy", live, tmp_path, patience=0.3)
        ended.set()

    thread = threading.Thread(target=copy, daemon=True)
    thread.start()
    thread.join(300)
    holder.close()
    assert ended.is_set()


def test_a_hot_journal_is_rolled_back_in_the_copy(tmp_path: Path) -> None:
    """A process killed within a transaction: the file is half written, the journal undoes it."""
    live, crashed = tmp_path / "live.db", tmp_path / "crashed"
    crashed.mkdir()
    with closing(sqlite3.connect(live, isolation_level=None)) as connection:
        connection.execute("CREATE TABLE t (a)")
        connection.executemany("INSERT INTO t VALUES (?)", [("old" * 500,)] * 200)
        connection.execute("PRAGMA cache_size = 5")
        connection.execute("BEGIN")
        connection.execute("UPDATE t SET a = 'new' || a")
        for path in tmp_path.glob("live.db*"):
            shutil.copyfile(path, crashed / path.name)
        connection.execute("ROLLBACK")
    (crashed / "live.db").chmod(0o444)
    before = {path.name: path.read_bytes() for path in crashed.iterdir()}
    copy_database(crashed / "live.db", tmp_path / "copy.db")
    with closing(sqlite3.connect(tmp_path / "copy.db")) as connection:
        assert connection.execute("SELECT count(*) FROM t WHERE a LIKE 'old%'").fetchone() == (200,)
    assert {path.name: path.read_bytes() for path in crashed.iterdir()} == before


def test_read_manifest_refuses_another_format(legacy: Path, tmp_path: Path) -> None:
    back_up(tmp_path / "backup")
    path = tmp_path / "backup" / "manifest.json"
    path.write_text(path.read_text().replace('"format": 1', '"format": 2'))
    with pytest.raises(LegacyFileError, match="format 2"):
        read_manifest(tmp_path / "backup")
