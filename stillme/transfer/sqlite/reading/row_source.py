"""Where the stream of common rows comes from: SQL run on a snapshot or on a live connection.

Both print a double so that PostgreSQL reads the same 64 bits. A snapshot is read by APSW, whose
SQLite prints the shortest exact decimal itself (performance.md has what that saves); a live
connection belongs to Python's sqlite3, and there Python prints it. A live file is never opened by
both: the POSIX locks of one library are lost when the other closes its descriptor.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import apsw

from stillme.transfer.mapping import TableMapping
from stillme.transfer.plumbing.quoting import chained, concatenated
from stillme.transfer.sqlite.reading.connect import EXACT_DOUBLE, exact_double
from stillme.transfer.sqlite.reading.huge_cells import HugeCell, may_be_huge, open_bounded
from stillme.transfer.sqlite.reading.snapshot_reader import few_of, keep_keys, open_reader, rows_of


class RowSource:
    """Runs the stream's SQL on a live connection, which somebody else opened and closes."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection: sqlite3.Connection | apsw.Connection = connection
        connection.create_function(EXACT_DOUBLE, 1, exact_double, deterministic=True)

    def joined(self, parts: Sequence[str]) -> str:
        """SQL: the texts and integers `parts`, one after the other; NULL is nothing.

        The system's SQLite may be too old for `concat`.
        """
        return chained([f"coalesce({part}, '')" for part in parts], "||")

    def double_text(self, name: str) -> str:
        """SQL: the double `name` as text that is the same double when read; NULL for NULL.

        Python's shortest text: the system's SQLite may print 15 digits.
        """
        return f"{EXACT_DOUBLE}({name})"

    def all_hex(self, name: str) -> str:
        """SQL: the text `name` is nothing but lower-case hex digits, an even number of them."""
        return f"{name} NOT GLOB '*[^0-9a-f]*'"

    def size(self, name: str) -> str:
        """SQL: the bytes of the value `name`. The system's SQLite may have no octet_length."""
        return f"length(CAST({name} AS BLOB))"

    def know(self, functions: Mapping[str, Callable[[Any], Any]]) -> None:
        """Make SQL functions of one value known by their names."""
        assert isinstance(self._connection, sqlite3.Connection)
        for name, function in functions.items():
            self._connection.create_function(name, 1, function, deterministic=True)

    def rows(self, query: str, values: Sequence[Any]) -> Iterator[tuple[Any, ...]]:
        """The rows of a query. Raises sqlite3.Error where the file is damaged."""
        # `yield from` closes a cursor with the stream. That fails where a signal broke off the
        # stream and its connection is closed already; `chain` has nothing to close.
        yield from chain(self._connection.execute(query, values))

    def bounded(self, query: str, values: Sequence[Any]) -> Iterator[list[tuple[Any, ...]]]:
        """The same, as many at a time as surely fit into memory: here one, whatever its size.

        Raises sqlite3.DataError at a row with something large, where this source knows; the rows
        that would have come with it are still to come.
        """
        for row in self.rows(query, values):
            yield [row]

    def huge(self, mapping: TableMapping) -> tuple[str, ...]:
        """The columns whose huge values this source can leave where they are.

        None: Python's blob handle may be missing, and the system's SQLite too old.
        """
        return ()

    def cell(self, table: str, column: str, rowid: int) -> HugeCell:
        """One of them."""
        raise AssertionError("a live file is read row by row")

    def close(self) -> None:
        """Release what this source opened itself: nothing."""


class SnapshotRows(RowSource):
    """Reads a snapshot, which nobody writes, through APSW."""

    def __init__(self, path: Path) -> None:
        self._connection = self._reader = open_reader(path)
        self._bounded = open_bounded(path)

    def know(self, functions: Mapping[str, Callable[[Any], Any]]) -> None:
        for connection in (self._reader, self._bounded):
            for name, function in functions.items():
                called: Any = function
                connection.create_scalar_function(name, called, 1, deterministic=True)

    def joined(self, parts: Sequence[str]) -> str:
        """One call, which allocates once."""
        return concatenated(parts)

    def double_text(self, name: str) -> str:
        """SQLite's own shortest text. It prints -0.0 as 0.0: the sign is asked for."""
        zero = f"CASE WHEN atan2({name}, -1) < 0 THEN '-0' ELSE '0' END"
        return f"CASE WHEN {name} <> 0 THEN {name} WHEN {name} = 0 THEN {zero} END"

    def all_hex(self, name: str) -> str:
        """By SQLite's `unhex`, in half of the time."""
        return f"unhex({name}) IS NOT NULL AND lower({name}) = {name} COLLATE BINARY"

    def size(self, name: str) -> str:
        """Without reading it."""
        return f"octet_length({name})"

    def keep_keys(self, table: str, keys: Sequence[int | str]) -> None:
        """The same as the function, for the rows of this source."""
        for connection in (self._reader, self._bounded):
            keep_keys(connection, table, keys)

    def rows(self, query: str, values: Sequence[Any]) -> Iterator[tuple[Any, ...]]:
        return rows_of(self._reader, query, values)

    def bounded(self, query: str, values: Sequence[Any]) -> Iterator[list[tuple[Any, ...]]]:
        return few_of(self._bounded, query, values)

    def huge(self, mapping: TableMapping) -> tuple[str, ...]:
        return may_be_huge(mapping)

    def cell(self, table: str, column: str, rowid: int) -> HugeCell:
        return HugeCell(self._reader, table, column, rowid)

    def close(self) -> None:
        self._reader.close()
        self._bounded.close()
