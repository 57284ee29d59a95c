"""Temporary folders for copies of legacy files, cleared after a run that was killed.

A run deletes its folder when it ends. `kill -9` gives it no chance to, and a copy of a large file
is a large thing to leave behind, with private rows in it: the next command deletes it, whether it
needs a folder of its own or not. Who is alive is known from a lock that the kernel holds for the
process (and its workers) and gives back however they end, so that pids of other containers or
users that share a folder mean nothing here.

    transfer-snapshot-x8k2/lock      held by the run
    transfer-snapshot-x8k2/files/    what the run keeps there
"""

from __future__ import annotations

import fcntl
import os
import shutil
import stat
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from stillme.transfer.conf import conf

_PREFIX = f"{conf().prefix}-"
_LOCK = "lock"
_FILES = "files"
_YOUNG = 3600.0


@contextmanager
def scratch_folder(purpose: str, directory: Path | None = None) -> Iterator[Path]:
    """A private folder in `directory` (default: the system's temporary one), deleted at the end.

    Folders of runs that died are deleted first. Raises OSError where there is no room or no right.
    """
    place = Path(directory or tempfile.gettempdir())
    clear_dead(place)
    folder, lock = _make(place, f"{_PREFIX}{purpose}-")
    try:
        yield folder / _FILES
    finally:
        _delete(folder)
        os.close(lock)


def clear_temporary() -> None:
    """`clear_dead` in the system's temporary folder; whoever needs one finds out that none is."""
    try:
        place = Path(tempfile.gettempdir())
    except OSError:
        return
    clear_dead(place)


def clear_dead(place: Path, purpose: str = "*", first: Callable[[], None] = lambda: None) -> None:
    """Delete this user's folders in `place` that no living process holds.

    `first` is called before each one goes, for what its run left outside it.
    """
    for folder in place.glob(f"{_PREFIX}{purpose}-*"):
        _clear(folder, first)


def _make(place: Path, prefix: str) -> tuple[Path, int]:
    """The folder and the descriptor that holds its lock."""
    while True:
        folder = Path(tempfile.mkdtemp(prefix=prefix, dir=place))
        try:
            lock = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError:
            folder.rmdir()
            raise
        # Another run may have looked at it before it was locked, and have deleted it.
        if _lock_at_once(lock, without_locks=True) and (folder / _LOCK).exists():
            (folder / _FILES).mkdir(0o700)
            return folder, lock
        os.close(lock)


def _clear(folder: Path, first: Callable[[], None]) -> None:
    """Delete the folder unless somebody holds it."""
    try:
        found = folder.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
            return
        lock = os.open(folder / _LOCK, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        _remove_empty(folder)
        return
    except OSError:
        return
    try:
        if _lock_at_once(lock, without_locks=False):
            first()
            _delete(folder)
    finally:
        os.close(lock)


def _delete(folder: Path) -> None:
    """Delete what a run kept, and last the lock by which a later run finds the rest."""
    files = folder / _FILES
    shutil.rmtree(files, ignore_errors=True)
    if not files.exists():
        shutil.rmtree(folder, ignore_errors=True)


def _remove_empty(folder: Path) -> None:
    """A run that died before it had a lock left an empty folder; a young one gets its lock now."""
    with suppress(OSError):
        if time.time() - folder.lstat().st_mtime > _YOUNG:
            folder.rmdir()


def _lock_at_once(lock: int, *, without_locks: bool) -> bool:
    """Whether the lock was free and is held now; where the file system has none, `without_locks`.

    Nobody clears there, so what was just made counts as held, and nothing is cleared.
    """
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return without_locks
    return True
