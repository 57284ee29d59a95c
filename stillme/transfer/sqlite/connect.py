"""Opening legacy files without changing them."""

from __future__ import annotations

import os
import sqlite3
import stat
from pathlib import Path
from typing import Any
from urllib.parse import quote

from stillme.transfer.errors import LegacyFileError
from stillme.transfer.sqlite.foreign_names import is_about_a_name, know_collations

# SQLite only writes here to its copies; a full disk is no fault of the file it reads. A write
# beyond a quota or a size limit is an I/O error to SQLite, not a full disk.
_NO_ROOM = {
    "SQLITE_FULL",
    "SQLITE_IOERR_WRITE",
    "SQLITE_IOERR_TRUNCATE",
    "SQLITE_IOERR_FSYNC",
    "SQLITE_IOERR_SHMSIZE",
}


# SQL function: a number's text as Python prints it, which is how a text key is loaded.
EXACT_DOUBLE = "exact_double"


def exact_double(value: Any) -> str | None:
    """The shortest text that is the same number when read; None for NULL."""
    return None if value is None else repr(value)


def uri(path: Path, mode: str = "ro") -> str:
    """The SQLite URI of a file, percent-encoded."""
    return f"file:{quote(str(path.absolute()))}?mode={mode}"


def open_legacy(path: Path, *, timeout: float = 5.0) -> sqlite3.Connection:
    """A read-only connection in autocommit mode. Raises LegacyFileError with a sentence."""
    check_readable(path)
    try:
        connection = sqlite3.connect(
            uri(path), uri=True, timeout=timeout, isolation_level=None, check_same_thread=False
        )
        connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        know_collations(connection)
    except sqlite3.Error as error:
        raise explain(path, error) from error
    return connection


def check_readable(path: Path) -> None:
    """Raise LegacyFileError where the file is missing or unreadable.

    The file is never opened here: closing a descriptor drops every POSIX lock that this process
    holds on the file, also those of SQLite's own connections, and a writer that then takes itself
    for the last one deletes a `-wal` that is in use (sqlite.org/howtocorrupt, 2.2). Whether it
    is a database SQLite itself says.
    """
    try:
        mode = path.stat().st_mode
    except FileNotFoundError as error:
        raise LegacyFileError(f"There is no file {path}: check the path.") from error
    except PermissionError as error:
        raise LegacyFileError(
            f"No permission to read {path}: run as its owner or grant read access."
        ) from error
    except OSError as error:
        raise LegacyFileError(f"{path} cannot be read: {error.strerror}.") from error
    if stat.S_ISDIR(mode):
        raise LegacyFileError(f"{path} cannot be read: Is a directory.")
    if not os.access(path, os.R_OK):
        raise LegacyFileError(
            f"No permission to read {path}: run as its owner or grant read access."
        )


def no_room(error: sqlite3.Error) -> bool:
    """Whether SQLite could not write for want of space."""
    return getattr(error, "sqlite_errorname", "") in _NO_ROOM


def explain(path: Path, error: sqlite3.Error) -> LegacyFileError:
    """The sentence for an error that SQLite raised on `path` or on its copy."""
    text = str(error)
    if no_room(error):
        what = (
            f"cannot be copied ({text}): free some space, or set TMPDIR to a folder that has it, "
            "then run the same command again"
        )
    elif is_about_a_name(error):
        what = (
            f"needs what only the program has that wrote it ({text}): stop that program, and "
            "import what can be read with `manage.py import_sqlite`"
        )
    elif "locked" in text or "busy" in text:
        what = "is locked by another writer: wait until it is free and run again"
    elif "malformed" in text or "disk image" in text or "disk I/O" in text:
        what = (
            f"is damaged or truncated ({text}): restore it from a backup, "
            "or see `manage.py backup_sqlite` for what can still be read"
        )
    elif "not a database" in text:
        what = "is not a SQLite database (or it is encrypted): name the right file"
    elif "unable to open" in text or "readonly" in text:
        what = (
            "cannot be opened: the folder must be readable, and writable too where the file "
            "is in WAL mode"
        )
    else:
        what = f"cannot be read: {text}"
    return LegacyFileError(f"{path} {what}.")


def quoted(name: str) -> str:
    """A SQLite identifier, quoted."""
    return '"' + name.replace('"', '""') + '"'
