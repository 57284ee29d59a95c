"""A consistent, complete and durable copy of one live SQLite file.

Pages are copied in steps, so that writers get in between; a file that is written so often that
the copy keeps starting over is copied in one step. What SQLite cannot open for reading (damaged,
or left with a journal to roll back) is copied byte by byte with what belongs to it, and recovered
in the copy.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path

from stillme.transfer.errors import LegacyFileError
from stillme.transfer.sqlite.copying.plain_files import journal_mode_of_copy
from stillme.transfer.sqlite.copying.private_copy import copy_with_companions
from stillme.transfer.sqlite.reading.connect import (
    check_readable,
    explain,
    no_room,
    open_legacy,
    uri,
)

STEP_PAGES = 1000
MOST_RESTARTS = 5
STEPS, ONE_STEP, BYTES = "steps", "one step", "bytes"


@dataclass(frozen=True, slots=True)
class Copied:
    """How a file was copied: `steps`, `one step` or `bytes`; how often the copy started over.

    A copy by bytes knows the journal mode that the file had; in an online one it is lost.
    """

    how: str
    restarts: int = 0
    journal_mode: str = ""


class _RestartedTooOften(Exception):
    """Another connection writes faster than the pages are copied."""


class CopyProgress:
    """Watches a copy: raises where it starts over too often or waits too long for a lock."""

    def __init__(
        self, source: Path, patience: float, on_pages: Callable[[int, int], None] | None = None
    ) -> None:
        self._source = source
        self._on_pages = on_pages
        self.patience = patience
        self._waiting_since: float | None = None
        self._left: int | None = None
        self.restarts = 0

    def __call__(self, status: int, left: int, total: int) -> None:
        if status in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            now = time.monotonic()
            self._waiting_since = self._waiting_since or now
            if now - self._waiting_since > self.patience:
                raise explain(self._source, sqlite3.OperationalError("database is locked"))
            return
        self._waiting_since = None
        if self._left is not None and left > self._left:
            self.restarts += 1
            if self.restarts > MOST_RESTARTS:
                raise _RestartedTooOften
        self._left = left
        if self._on_pages is not None:
            self._on_pages(total - left, total)


def copy_database(
    source: Path,
    copy: Path,
    *,
    patience: float = 30.0,
    step_pages: int = STEP_PAGES,
    on_pages: Callable[[int, int], None] | None = None,
) -> Copied:
    """Copy `source` to the new file `copy` and bring it to the disk. Raises LegacyFileError.

    `on_pages` is told how many pages of how many are copied.
    """
    check_readable(source)
    try:
        copied = _online(source, copy, CopyProgress(source, patience, on_pages), step_pages)
    except LegacyFileError:
        if not _may_be_copied_by_bytes(source):
            raise
        copy_with_companions(source, copy)
        mode = journal_mode_of_copy(copy)
        _recover(copy)
        copied = Copied(BYTES, journal_mode=mode)
    except OSError as error:
        raise LegacyFileError(f"{source} cannot be copied to {copy}: {error.strerror}.") from error
    flush(copy)
    return copied


def _online(source: Path, copy: Path, progress: CopyProgress, step_pages: int) -> Copied:
    patience = progress.patience
    with closing(open_legacy(source, timeout=patience, in_place=True)) as origin:
        try:
            try:
                copy_pages(origin, copy, step_pages, progress)
                return Copied(STEPS, progress.restarts)
            except _RestartedTooOften:
                copy_pages(origin, copy, -1, CopyProgress(source, patience))
                return Copied(ONE_STEP, progress.restarts)
        except sqlite3.Error as error:
            if no_room(error):
                raise LegacyFileError(
                    f"{copy} cannot be written ({error}): free some space or name another folder, "
                    "then run the same command again."
                ) from error
            raise explain(source, error) from error


def copy_pages(origin: sqlite3.Connection, copy: Path, pages: int, progress: CopyProgress) -> None:
    """SQLite's online backup into the new file `copy`, so many pages a step (-1: all at once).

    Without a progress, Python would wait for a locked file for ever. Raises sqlite3.Error, and what
    the progress raises.
    """
    copy.unlink(missing_ok=True)
    with closing(sqlite3.connect(copy, isolation_level=None)) as target:
        # No journal, no fsync: whoever wants it on the disk flushes the whole file.
        target.execute("PRAGMA journal_mode = OFF")
        target.execute("PRAGMA synchronous = OFF")
        origin.backup(target, pages=pages, progress=progress, sleep=0.02)
        # One file that is complete by itself; the manifest keeps the mode of the live one.
        target.execute("PRAGMA journal_mode = DELETE")


def _may_be_copied_by_bytes(source: Path) -> bool:
    """Whether the file is damaged or left with a journal, and not merely locked."""
    try:
        with closing(sqlite3.connect(uri(source), uri=True, timeout=0)) as connection:
            connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except sqlite3.Error as error:
        return not any(word in str(error) for word in ("locked", "busy", "not a database"))
    return False


def _recover(copy: Path) -> None:
    """Let SQLite apply or roll back what lies next to the copy, where the damage permits it."""
    # Damaged beyond that: the copy is the bytes as they are, and its check says so.
    with (
        suppress(sqlite3.Error),
        closing(sqlite3.connect(copy, isolation_level=None)) as connection,
    ):
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        connection.execute("PRAGMA journal_mode = DELETE")


def flush(path: Path) -> None:
    """Bring a file and its folder's entry to the disk."""
    for place in (path, path.parent):
        descriptor = os.open(place, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
