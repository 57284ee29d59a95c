"""The copy of a legacy file: the same bytes, hashed while they are written, under SQLite's lock."""

from __future__ import annotations

import hashlib
import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from stillme.transfer.sqlite.copying import copier, private_copy
from stillme.transfer.sqlite.copying.copier import copy_file
from stillme.transfer.sqlite.copying.snapshot import copied_whole, take_snapshot


@pytest.fixture
def live(tmp_path: Path) -> Path:
    """A legacy file of some 3 MB, several blocks of the copier."""
    path = tmp_path / "live.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("CREATE TABLE t (a)")
        connection.execute("BEGIN")
        connection.executemany("INSERT INTO t VALUES (?)", [("x" * 3000,)] * 1000)
        connection.execute("COMMIT")
    assert path.stat().st_size > 2 << 20
    return path


@pytest.fixture
def origin(live: Path) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(live, isolation_level=None, timeout=0)) as connection:
        yield connection


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_the_copy_is_the_file_and_its_digest_is_known(
    live: Path, origin: sqlite3.Connection, tmp_path: Path
) -> None:
    copy = tmp_path / "copy.db"
    digest = copied_whole(origin, live, copy)
    assert digest == sha256(live) == sha256(copy)
    assert copy.stat().st_mode & 0o777 == 0o600
    assert not origin.in_transaction


def test_nobody_writes_while_it_is_copied(
    live: Path, origin: sqlite3.Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[str] = []

    def run(command: list[str], **options: bool) -> subprocess.CompletedProcess[str]:
        # What follows is what another process would meet: this one's locks are its own.
        writing = "import sqlite3, sys; c = sqlite3.connect(sys.argv[1], timeout=0); "
        writing += "c.execute('INSERT INTO t VALUES (1)'); c.commit()"
        done = original([sys.executable, "-c", writing, str(live)], capture_output=True, text=True)
        tried.append(done.stderr)
        return original(command, **options)

    original = subprocess.run
    monkeypatch.setattr(private_copy.subprocess, "run", run)
    before = sha256(live)
    assert copied_whole(origin, live, tmp_path / "copy.db") == before == sha256(live)
    assert "database is locked" in tried[0]


@pytest.mark.parametrize("why", ["a wal", "a writer", "no program", "no room"])
def test_otherwise_the_online_backup_makes_the_copy(
    live: Path,
    origin: sqlite3.Connection,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    why: str,
) -> None:
    copy = tmp_path / "copy.db"
    with closing(sqlite3.connect(live, isolation_level=None)) as writer:
        if why == "a wal":
            writer.execute("PRAGMA journal_mode = wal")
        elif why == "a writer":
            writer.execute("BEGIN EXCLUSIVE")
        elif why == "no program":
            monkeypatch.setattr(private_copy.sys, "executable", "/usr/bin/uwsgi")
        else:
            copy = tmp_path / "no such folder" / "copy.db"
        assert copied_whole(origin, live, copy) is None
    assert not origin.in_transaction
    assert not copy.exists()


@pytest.mark.parametrize("journal", ["delete", "wal"])
def test_a_snapshot_is_hashed_either_way(live: Path, tmp_path: Path, journal: str) -> None:
    with closing(sqlite3.connect(live, isolation_level=None)) as writer:
        writer.execute(f"PRAGMA journal_mode = {journal}")
        writer.execute("INSERT INTO t VALUES ('the last')")
        (tmp_path / "copies").mkdir()
        taken = take_snapshot("live", live, tmp_path / "copies")
    assert taken.sha256 == sha256(taken.path)
    with closing(taken.open()) as copy:
        assert copy.execute("SELECT count(*), max(a > 'a') FROM t").fetchone() == (1001, 1)


def test_a_file_of_two_names_is_told(live: Path, tmp_path: Path) -> None:
    """Rows in the -wal next to the name that the application opens are not found by the other."""
    (tmp_path / "other.db").hardlink_to(live)
    assert "another name" in take_snapshot("a", tmp_path / "other.db", tmp_path).notices[0]
    (tmp_path / "other.db").unlink()
    assert take_snapshot("a", live, tmp_path).notices == ()


def test_the_digest_is_of_every_byte(tmp_path: Path) -> None:
    source, copy = tmp_path / "source", tmp_path / "copy"
    for size in (0, 1, (1 << 20) - 1, 1 << 20, (12 << 20) + 7):
        source.write_bytes(bytes(range(256)) * (size // 256) + b"x" * (size % 256))
        assert copy_file(str(source), str(copy)) == sha256(source) == sha256(copy)


def test_the_program_says_what_it_cannot_do(tmp_path: Path) -> None:
    command = [sys.executable, "-I", "-S", copier.__file__]
    command += [str(tmp_path / "none"), str(tmp_path), str(os.getpid())]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (1, "")
    assert "No such file or directory" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_program_ends_with_who_wanted_the_copy(live: Path, tmp_path: Path) -> None:
    somebody_else = os.getppid()
    command = [sys.executable, "-I", "-S", copier.__file__, str(live), str(tmp_path / "copy")]
    done = subprocess.run([*command, str(somebody_else)], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (1, "")
    assert "has ended" in done.stderr
