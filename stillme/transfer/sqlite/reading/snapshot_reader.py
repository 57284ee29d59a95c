"""Reading a snapshot through APSW, whose own SQLite is newer and faster than Python's.

Only snapshots: a live file stays with the sqlite3 connection that opened it, because the POSIX
locks of one library are lost when another one closes its descriptor of the same file.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterator, Sequence
from contextlib import closing, contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

import apsw

from stillme.transfer.sqlite.reading.connect import (
    EXACT_DOUBLE,
    EXACT_HEX,
    exact_double,
    quoted,
    uri,
)

# As many rows of LARGE_BYTES, with their documents next to them, are 17 MB.
FEW, LARGE_BYTES = 32, 256 << 10


@contextmanager
def reading(path: Path) -> Iterator[apsw.Connection]:
    """A read-only connection to a snapshot. Raises sqlite3.Error where it is damaged."""
    with as_sqlite3_errors(), closing(open_reader(path)) as connection:
        yield connection


def open_reader(path: Path) -> apsw.Connection:
    """A read-only connection to a snapshot. Nobody writes it: immutable takes no locks."""
    flags = apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI
    connection = apsw.Connection(uri(path) + "&immutable=1", flags=flags)
    connection.pragma("temp_store", "MEMORY")
    connection.create_scalar_function(
        EXACT_DOUBLE, lambda *v: exact_double(*v), 1, deterministic=True
    )
    connection.create_scalar_function(EXACT_HEX, lambda *v: float.hex(v[0]), 1, deterministic=True)
    return connection


def open_scratch(path: Path) -> apsw.Connection:
    """A connection that writes to a private copy, or makes it: no journal, no fsync."""
    flags = apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE | apsw.SQLITE_OPEN_URI
    connection = apsw.Connection(uri(path, "rwc"), flags=flags)
    connection.pragma("journal_mode", "OFF")
    connection.pragma("synchronous", "OFF")
    return connection


def rows_of(
    connection: apsw.Connection, query: str, values: Sequence[Any]
) -> Iterator[tuple[Any, ...]]:
    """The rows of a query. Raises sqlite3.Error where the file is damaged."""
    with as_sqlite3_errors():
        yield from connection.execute(query, tuple(values))


def few_of(
    connection: apsw.Connection, query: str, values: Sequence[Any]
) -> Iterator[list[tuple[Any, ...]]]:
    """The rows of a query, `FEW` at a time. Raises sqlite3.Error where the file is damaged; the
    rows that would have come with it are lost."""
    with as_sqlite3_errors():
        rows = connection.execute(query, tuple(values))
        while few := list(islice(rows, FEW)):
            yield few


def keep_keys(
    connection: sqlite3.Connection | apsw.Connection, table: str, keys: Collection[int | str]
) -> None:
    """Make the temporary table `table` with one column, `key`, of these keys.

    Each statement alone, and with rowids, took four times as long.
    """
    name = f"temp.{quoted(table)}"
    connection.execute("SAVEPOINT keys")
    connection.execute(f"DROP TABLE IF EXISTS {name}")
    connection.execute(f"CREATE TABLE {name} (key PRIMARY KEY) WITHOUT ROWID")
    connection.executemany(f"INSERT OR IGNORE INTO {name} VALUES (?)", ((key,) for key in keys))
    connection.execute("RELEASE keys")


@contextmanager
def as_sqlite3_errors() -> Iterator[None]:
    """Callers know the errors of Python's sqlite3."""
    try:
        yield
    except apsw.TooBigError as error:
        raise sqlite3.DataError(str(error)) from error
    except apsw.Error as error:
        known = sqlite3.DatabaseError(str(error))
        # A full disk is told from a damaged file by it.
        code = getattr(error, "extendedresult", 0)
        names = {**apsw.mapping_result_codes, **apsw.mapping_extended_result_codes}
        known.sqlite_errorname = str(names.get(code, ""))
        raise known from error
