"""A consistent copy of a live legacy file, whole under SQLite's read lock or by its online backup
(law 6).

The backup reads through SQLite, so what is committed in a `-wal` is in the copy. The copy is what
every later step reads: it cannot move.
"""

from __future__ import annotations

import sqlite3
import sys
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from stillme.transfer.errors import LegacyFileError
from stillme.transfer.sqlite.copying.backup import CopyProgress, copy_pages
from stillme.transfer.sqlite.copying.file_indexes import distrust_indexes
from stillme.transfer.sqlite.copying.private_copy import is_python, run_copier
from stillme.transfer.sqlite.copying.room import TEMPORARY, ask_for_room
from stillme.transfer.sqlite.copying.sparse import file_sha256
from stillme.transfer.sqlite.copying.utf16 import UTF_8, convert
from stillme.transfer.sqlite.reading.connect import (
    EXACT_DOUBLE,
    check_readable,
    database_bytes,
    exact_double,
    explained,
    open_legacy,
    place_of,
    uri,
)
from stillme.transfer.sqlite.schema.found import FoundSchema, read_schema

SMALL = 1 << 20  # bytes

_CONVERTED = (
    "its texts are stored in {encoding} and were read from a copy converted to UTF-8; such a file "
    "cannot be followed, so keep its writers stopped"
)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A copy of the legacy file `source` at `path`, with the schema found in it.

    `sha256` and `size` (bytes) are those of the copy as it was made. `notices` are sentences on
    indexes of the file that disagree with their tables, and on its encoding. Where the file is not
    in UTF-8, `path` is a converted copy and `original` the copy that was made.
    """

    file: str
    source: Path
    path: Path
    schema: FoundSchema
    size: int
    sha256: str
    notices: tuple[str, ...] = ()
    original: Path | None = None

    def open(self) -> sqlite3.Connection:
        """A fresh read-only connection to the copy. Nobody writes it, so it is immutable."""
        connection = sqlite3.connect(
            uri(self.path) + "&immutable=1",
            uri=True,
            isolation_level=None,
            check_same_thread=False,
        )
        connection.execute("PRAGMA temp_store = MEMORY")
        connection.create_function(EXACT_DOUBLE, 1, exact_double, deterministic=True)
        return connection


def take_snapshot(
    file: str,
    source: Path,
    directory: Path,
    *,
    patience: float = 30.0,
    keep_indexes: bool = False,
    whole: bool = False,
) -> Snapshot:
    """Copy `source` into `directory` and read its schema.

    The copy is for reading: the indexes of the file are taken out of it, so that no row is believed
    from one (`file_indexes`). `keep_indexes` is for a copy that is to be written to as the file is.
    With `whole` every page is checked, however large the file is.

    Waits up to `patience` seconds for a writer that holds the file. Raises LegacyFileError where
    the file is missing, no database, locked for longer, damaged, or the disk is full; and where it
    is not in UTF-8 and the copy is to be written to.
    """
    check_readable(source)
    copy = directory / f"{file}.db"
    sha256 = _copied(source, copy, patience)
    with explained(source), closing(open_legacy(copy)) as connection:
        schema = read_schema(connection)
        encoding = str(connection.execute("PRAGMA encoding").fetchone()[0])
    if encoding != UTF_8 and keep_indexes:
        raise LegacyFileError(
            f"{source} stores its texts in {encoding}: it can be imported and proven, but capture, "
            "following, cut-over and rehearsal work on files in UTF-8 only. Stop the old "
            "application for good, then run import_sqlite and verify_migration."
        )
    size = copy.stat().st_size
    notices: tuple[str, ...] = ()
    original = None
    with explained(source):
        if not keep_indexes:
            notices = distrust_indexes(copy, source, whole=whole)
        if encoding != UTF_8:
            original = directory / f"{file}.original.db"
            copy.rename(original)
            convert(original, copy, source, encoding)
            notices += (_CONVERTED.format(encoding=encoding),)
    return Snapshot(file, source, copy, schema, size, sha256, notices, original)


def _copied(source: Path, copy: Path, patience: float) -> str:
    """Make the copy; its SHA-256."""
    with closing(open_legacy(source, timeout=min(patience, 5.0))) as origin:
        ask_for_room(copy.parent, database_bytes(origin), f"The snapshot of {source}", TEMPORARY)
        if digest := copied_whole(origin, place_of(origin, source), copy):
            return digest
        # All pages in one step: the read lock is held for the time of one copy, and a writer that
        # keeps committing cannot make the backup start over for ever.
        with explained(source):
            copy_pages(origin, copy, -1, CopyProgress(source, patience))
    return file_sha256(copy)


def copied_whole(origin: sqlite3.Connection, source: Path, copy: Path) -> str | None:
    """Copy the file as a whole under SQLite's read lock: its SHA-256; None where the backup must.

    A small file is left to the backup: it takes 2 ms, where another process takes 30 to start.

    Without a WAL, a reader's lock keeps writers from changing the file, just as one step of the
    online backup does, for a quarter of the time (436 MB: 0.3 s instead of 1.3, the digest
    included). The copy is made by another process: if this one closed the file, its own SQLite
    locks on it would be lost.
    """
    try:
        is_wal = origin.execute("PRAGMA journal_mode").fetchone()[0] == "wal"
        if is_wal or database_bytes(origin) < SMALL or not is_python(sys.executable):
            return None
        origin.execute("BEGIN")
        origin.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except sqlite3.OperationalError:
        # A writer is at work: the backup waits for it.
        if origin.in_transaction:
            origin.execute("ROLLBACK")
        return None
    try:
        done = run_copier(source, copy)
    finally:
        origin.execute("ROLLBACK")
    if done.returncode != 0:
        copy.unlink(missing_ok=True)
        return None
    return done.stdout
