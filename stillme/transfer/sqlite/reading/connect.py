"""Opening legacy files without changing them."""

from __future__ import annotations

import errno
import os
import sqlite3
import stat
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

from stillme.transfer.errors import LegacyFileError
from stillme.transfer.plumbing.quoting import quoted as quoted
from stillme.transfer.plumbing.scratch import scratch_folder
from stillme.transfer.sqlite.copying.private_copy import (
    bytes_with_companions,
    copy_with_companions,
    needs_private_copy,
)
from stillme.transfer.sqlite.copying.room import TEMPORARY, ask_for_room
from stillme.transfer.sqlite.schema.foreign_names import is_about_a_name, know_collations

# SQLite only writes here to its copies; a full disk is no fault of the file it reads. A write
# beyond a quota or a size limit is an I/O error to SQLite, not a full disk.
_NO_ROOM = {
    "SQLITE_FULL",
    "SQLITE_IOERR_WRITE",
    "SQLITE_IOERR_TRUNCATE",
    "SQLITE_IOERR_FSYNC",
    "SQLITE_IOERR_SHMSIZE",
}
# What an error means for the file, by its code or its text.
_ROLLBACK = (
    # A follower waits for a file that is locked.
    "is locked by an unfinished transaction of a writer that was killed: start the old "
    "application, which undoes it, then run again"
)
_FULL = (
    "cannot be copied ({text}): free some space, or set TMPDIR to a folder that has it, then run "
    "the same command again"
)
_FOREIGN = (
    "needs what only the program has that wrote it ({text}): stop that program, and import what "
    "can be read with `manage.py import_sqlite`"
)
# SQLite gives 2,000 results at most, and each column needs two: its storage class and its value.
TOO_WIDE = (
    "has a table of 1,000 columns or more, which SQLite cannot hand over with their storage "
    "classes: import the other tables (--table), and leave this one (manage.py inventory)"
)
_SAID = {
    ("too many columns",): TOO_WIDE,
    ("locked", "busy"): "is locked by another writer: wait until it is free and run again",
    ("malformed", "disk image", "disk I/O"): (
        "is damaged or truncated ({text}): restore it from a backup, or see "
        "`manage.py backup_sqlite` for what can still be read"
    ),
    ("not a database",): "is not a SQLite database (or it is encrypted): name the right file",
    ("unable to open", "readonly"): (
        "cannot be opened where it is: give this user write access to its folder (a file in WAL "
        "mode needs it even for reading), then run again"
    ),
}

# SQL function: a number's text as Python prints it, which is how a text key is loaded.
EXACT_DOUBLE = "exact_double"


def exact_double(value: Any) -> str | None:
    """The shortest text that is the same number when read; None for NULL."""
    return None if value is None else repr(value)


# SQL function: a double as the ledger spells it (`plumbing.stored_cells`).
EXACT_HEX = "exact_hex"


def uri(path: Path, mode: str = "ro") -> str:
    """The SQLite URI of a file, percent-encoded."""
    return f"file:{quote(bytes(path.absolute()))}?mode={mode}"


def open_legacy(path: Path, *, timeout: float = 5.0, in_place: bool = False) -> sqlite3.Connection:
    """A read-only connection in autocommit mode. Raises LegacyFileError with a sentence.

    Where SQLite cannot open the file as it lies (`private_copy`), the connection is to a copy of
    it, which goes when the connection is closed. A copy does not move: whoever follows a file, or
    writes to it, must have it `in_place`.
    """
    check_readable(path)
    try:
        return _connected(uri(path), timeout)
    except sqlite3.Error as error:
        if in_place or not needs_private_copy(error) or not path.is_file():
            raise explain(path, error) from error
    return _open_private(path, timeout)


def _connected(
    location: str, timeout: float, factory: type[sqlite3.Connection] = sqlite3.Connection
) -> sqlite3.Connection:
    """A connection to a file that can be read."""
    connection = sqlite3.connect(
        location,
        uri=True,
        timeout=timeout,
        isolation_level=None,
        check_same_thread=False,
        factory=factory,
    )
    try:
        connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        know_collations(connection)
    except sqlite3.Error:
        connection.close()
        raise
    return connection


class _ToPrivateCopy(sqlite3.Connection):
    """A connection to a copy of a legacy file, which is deleted with it."""

    path: Path
    cleanup: ExitStack

    def close(self) -> None:
        """Close the connection and delete the copy."""
        super().close()
        if hasattr(self, "cleanup"):
            self.cleanup.close()


def _open_private(path: Path, timeout: float) -> sqlite3.Connection:
    with ExitStack() as stack:
        copy = stack.enter_context(scratch_folder("copy")) / "copy.db"
        needed = bytes_with_companions(path)
        ask_for_room(copy.parent, needed, f"A private copy of {path}", TEMPORARY)
        copy_with_companions(path, copy, patience=timeout)
        with explained(path):
            # Opening it for writing once rolls its journal back, and moves its -wal into it.
            with closing(sqlite3.connect(copy, isolation_level=None)) as writable:
                writable.execute("SELECT count(*) FROM sqlite_master").fetchone()
            connection = _connected(uri(copy), timeout, _ToPrivateCopy)
        assert isinstance(connection, _ToPrivateCopy)
        connection.path, connection.cleanup = copy, stack.pop_all()
    return connection


def database_bytes(connection: sqlite3.Connection) -> int:
    """The size that a copy of the whole database has; 0 where it cannot be told now."""
    # Locked, say: whoever copies waits for it, and says so.
    with suppress(sqlite3.Error):
        query = "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size"
        return int(connection.execute(query).fetchone()[0])
    return 0


def place_of(connection: sqlite3.Connection, path: Path) -> Path:
    """The file that a connection of `open_legacy(path)` reads: `path`, or the private copy."""
    return connection.path if isinstance(connection, _ToPrivateCopy) else path


def check_readable(path: Path) -> None:
    """Raise LegacyFileError where the file is missing or unreadable.

    The file is never opened here: closing a descriptor drops every POSIX lock that this process
    holds on the file, also those of SQLite's own connections, and a writer that then takes itself
    for the last one deletes a `-wal` that is in use (sqlite.org/howtocorrupt, 2.2). Whether it
    is a database SQLite itself says.
    """
    try:
        if stat.S_ISDIR(path.stat().st_mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        if not os.access(path, os.R_OK):
            raise PermissionError
    except FileNotFoundError as error:
        raise LegacyFileError(f"There is no file {path}: check the path.") from error
    except PermissionError as error:
        raise LegacyFileError(
            f"No permission to read {path}: run as its owner or grant read access."
        ) from error
    except OSError as error:
        raise LegacyFileError(f"{path} cannot be read: {error.strerror}.") from error


def wait_at_most(connection: sqlite3.Connection, seconds: float) -> None:
    """Let the connection wait for a lock no longer than this from now on."""
    connection.execute(f"PRAGMA busy_timeout = {max(1, int(seconds * 1000))}")


def no_room(error: sqlite3.Error) -> bool:
    """Whether SQLite could not write for want of space."""
    return getattr(error, "sqlite_errorname", "") in _NO_ROOM


def explain(path: Path, error: sqlite3.Error) -> LegacyFileError:
    """The sentence for an error that SQLite raised on `path` or on its copy."""
    text = str(error)
    if getattr(error, "sqlite_errorname", "") == "SQLITE_READONLY_ROLLBACK":
        what = _ROLLBACK
    elif no_room(error):
        what = _FULL
    elif is_about_a_name(error):
        what = _FOREIGN
    else:
        known = (said for words, said in _SAID.items() if any(word in text for word in words))
        what = next(known, "cannot be read: {text}")
    return LegacyFileError(f"{path} {what.format(text=text)}.")


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Raise LegacyFileError, with its sentence, for an error that SQLite raises on the file."""
    try:
        yield
    except sqlite3.Error as error:
        raise explain(path, error) from error


@contextmanager
def reading(connection: sqlite3.Connection) -> Iterator[None]:
    """One consistent view over several statements."""
    connection.execute("BEGIN")
    try:
        yield
    finally:
        # An error of the disk has ended it already, and is what is to be told.
        if connection.in_transaction:
            connection.execute("ROLLBACK")
