"""Huge texts and documents of a snapshot: which they are, and reading one in pieces.

A value of 100 MB that crosses into Python is there several times over: as SQLite's value, as
bytes, as a line of CSV, in a buffer to the server. A huge text stays where it is instead and is
read through SQLite's blob handle, which walks the pages and holds none of them. `octet_length`
reads the row's header only.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import apsw

from stillme.transfer.mapping import TableMapping
from stillme.transfer.sqlite import snapshot_reader
from stillme.transfer.sqlite.connect import quoted
from stillme.transfer.sqlite.snapshot_reader import as_sqlite3_errors, open_reader

# A block of usual rows is 200 kB; ten texts just below this make a row of 40 MB.
HUGE_BYTES = 4 << 20
# What psycopg sends at a time is 128 kB.
PIECE_BYTES = 128 << 10


def may_be_huge(mapping: TableMapping) -> tuple[str, ...]:
    """The legacy columns whose huge texts are read in pieces, of tables with rowids.

    SQLite opens no blob handle in a table that has generated columns.
    """
    if not mapping.has_rowid or mapping.generated:
        return ()
    return tuple(column.legacy for column in mapping.columns if column.kind.may_be_huge)


def is_huge(column: str) -> str:
    """SQL: the value of a column (quoted) is huge; false for NULL. Not for old SQLites."""
    return f"ifnull(octet_length({column}) > {HUGE_BYTES}, 0)"


def none_is_huge(columns: Iterable[str]) -> str:
    """SQL: none of the columns holds a huge value."""
    return " AND ".join(f"NOT {is_huge(quoted(name))}" for name in columns) or "1"


def open_bounded(path: Path) -> apsw.Connection:
    """A reader of a snapshot that refuses (sqlite3.DataError) to touch what is large.

    That makes rows that are read a few at a time fit into memory, and huge ones be noticed.
    SQLite keeps the limit at no cost. Asking every row for its `octet_length`s made reading 3 %
    slower in the loader, 7 % in the judge.
    """
    connection = open_reader(path)
    largest = min(HUGE_BYTES, snapshot_reader.LARGE_BYTES)
    connection.limit(apsw.SQLITE_LIMIT_LENGTH, largest)
    return connection


@dataclass(frozen=True, slots=True)
class HugeCell:
    """One huge text or document, to be read as often as it is needed."""

    connection: apsw.Connection
    table: str
    column: str
    rowid: int

    def pieces(self) -> Iterator[bytes]:
        """Its bytes. Raises sqlite3.Error where the file is damaged."""
        with as_sqlite3_errors():
            handle = self.connection.blob_open("main", self.table, self.column, self.rowid, False)
            with handle:
                while piece := handle.read(PIECE_BYTES):
                    yield piece

    def read(self) -> bytes:
        """The whole of it, for a row that must be kept whole."""
        query = f"SELECT CAST({quoted(self.column)} AS BLOB) FROM {quoted(self.table)}"
        with as_sqlite3_errors():
            found = self.connection.execute(f"{query} WHERE rowid = ?", (self.rowid,))
            return bytes(next(iter(found))[0])
