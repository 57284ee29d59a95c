"""A copy of a file that SQLite cannot open for reading where it lies, with its journal or -wal.

Two kinds of sound files are like that. A writer was killed inside a transaction: its journal must
be rolled back, and a reader may not do that. Or the file is in WAL mode and its folder cannot be
written (a read-only mount, somebody else's folder): SQLite cannot make the `-shm` that readers
need. A copy in a folder of our own has neither problem. SQLite rolls the journal back, or reads
the -wal, there; the live file is only read.
"""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

from stillme.transfer.errors import LegacyFileError
from stillme.transfer.sqlite.copying import copier

# A file system notes times in steps of 4 to 10 ms: two writes within one step look like one.
_STEP_SECONDS = 0.05
_PAUSE = 0.2
_Seen = list[tuple[str, int, int, int]]


def needs_private_copy(error: sqlite3.Error) -> bool:
    """Whether a read-only connection failed for want of something that a copy would have."""
    name = getattr(error, "sqlite_errorname", "") or ""
    return name.startswith(("SQLITE_READONLY", "SQLITE_CANTOPEN", "SQLITE_IOERR_SHM"))


def copy_with_companions(source: Path, copy: Path, *, patience: float = 5.0) -> None:
    """Copy a database and the `-journal` and `-wal` next to it, all of one moment.

    SQLite's read lock keeps a writer from rolling back, or writing to, the file meanwhile. Writers
    in WAL mode take other locks, so size, time and inode of each file are compared as well. Tries
    again for `patience` seconds. Raises LegacyFileError.
    """
    # SQLite looks for the companions where the file is, not where a link to it is.
    real = source.resolve()
    end = time.monotonic() + patience
    while True:
        before = _at_rest(real, end)
        is_locked = not _copied(real, copy)
        if not is_locked and _seen(real) == before:
            return
        forget(copy)
        if time.monotonic() > end:
            what = (
                "is locked by another writer: wait until it is free and run again"
                if is_locked
                else "changed while it was copied: stop the application and run again"
            )
            raise LegacyFileError(f"{source} {what}.")
        time.sleep(_PAUSE)


def bytes_with_companions(source: Path) -> int:
    """The size of a database with what lies next to it."""
    return sum(size for _, size, _, _ in _seen(source.resolve()))


def forget(copy: Path) -> None:
    """Remove a copy and what was copied next to it."""
    for suffix in ("", *copier.COMPANIONS):
        copy.with_name(copy.name + suffix).unlink(missing_ok=True)


def run_copier(source: Path, copy: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Copy in a process of its own, whose end closes no file of this one's."""
    command = [sys.executable, "-I", "-S", copier.__file__, *options]
    command += [str(source), str(copy), str(os.getpid())]
    return subprocess.run(command, capture_output=True, text=True, errors="backslashreplace")


def is_python(program: str | None) -> bool:
    """Whether the running program can run another Python: a server that embeds it names itself."""
    return Path(program or "").name.startswith("python")


def _seen(path: Path) -> _Seen:
    """Name, size, time and inode of the file and its companions."""
    found = []
    for suffix in ("", *copier.COMPANIONS):
        beside = path.with_name(path.name + suffix)
        try:
            stat = beside.stat()
        except FileNotFoundError:
            continue
        found.append((beside.name, stat.st_size, stat.st_mtime_ns, stat.st_ino))
    return found


def _at_rest(path: Path, end: float) -> _Seen:
    """What is there once the last write is old enough for another one to get another time."""
    while True:
        found = _seen(path)
        age = time.time_ns() - max((each[2] for each in found), default=0)
        # A time in the future is somebody else's clock.
        if not 0 <= age < _STEP_SECONDS * 1e9 or time.monotonic() > end:
            return found
        time.sleep(_STEP_SECONDS)


def _copied(source: Path, copy: Path) -> bool:
    """Copy it; False where a writer holds the lock.

    In a process of its own: if this one closed the file, the locks of its own SQLite connections
    on it would be lost.
    """
    if not is_python(sys.executable):
        try:
            return copier.copy_with_companions(str(source), str(copy))
        except OSError as error:
            raise _not_copied(source, copy, str(error)) from error
    done = run_copier(source, copy, copier.ALL)
    if done.returncode not in (0, copier.LOCKED):
        raise _not_copied(source, copy, done.stderr.strip())
    return done.returncode == 0


def _not_copied(source: Path, copy: Path, why: str) -> LegacyFileError:
    forget(copy)
    return LegacyFileError(
        f"{source} cannot be opened where it is, nor copied to {copy.parent} ({why}): give read "
        "access to the file and what lies next to it (-journal, -wal), and room for the copy, then "
        "run the same command again."
    )
