"""A scan of a whole table of a snapshot, cut into parts that are read side by side.

SQLite and APSW let go of Python's lock while they read: two threads scan with two cores.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import apsw

from stillme.transfer.mapping import TableMapping
from stillme.transfer.sqlite.reading.connect import quoted
from stillme.transfer.sqlite.reading.snapshot_reader import reading

# Below this many rowids a thread costs more than it saves.
_LEAST_ROWIDS = 100_000
_Row = tuple[Any, ...]
# Given a table and what makes a SELECT of a condition on its rowid: the rows of all parts.
Scan = Callable[[TableMapping, Callable[[str], str]], Iterable[_Row]]


def scan_on(connection: sqlite3.Connection | apsw.Connection) -> Scan:
    """Scans as one part, on the connection that has the file open."""
    return lambda _, query: connection.execute(query("1"))


def scan_in_parts(
    path: Path, mapping: TableMapping, query: Callable[[str], str], threads: int
) -> list[_Row]:
    """The rows of `query` for every part of the table, one part after the other.

    `query` is given an SQL condition on the rowid and returns a SELECT over the rows for which
    it holds. Raises sqlite3.Error where the file is damaged.
    """
    with reading(path) as connection:
        conditions = _conditions(connection, mapping, threads)
        if len(conditions) == 1:
            return list(connection.execute(query(conditions[0])))

    def scan(condition: str) -> list[_Row]:
        with reading(path) as part:
            return list(part.execute(query(condition)))

    with ThreadPoolExecutor(max_workers=threads) as pool:
        return [row for rows in pool.map(scan, conditions) for row in rows]


def _conditions(connection: apsw.Connection, mapping: TableMapping, parts: int) -> list[str]:
    """Conditions that share out every rowid there can be."""
    if parts < 2 or not mapping.has_rowid:
        return ["1"]
    table = quoted(mapping.table)
    # One by one: only then SQLite goes straight to the ends of the table.
    low, high = (
        next(iter(connection.execute(f"SELECT {end}(rowid) FROM {table}")))[0]
        for end in ("min", "max")
    )
    if low is None or high - low < _LEAST_ROWIDS:
        return ["1"]
    bounds = [low + (high - low) * part // parts for part in range(1, parts)]
    inner = [f"rowid > {bounds[n]} AND rowid <= {bounds[n + 1]}" for n in range(len(bounds) - 1)]
    return [f"rowid <= {bounds[0]}", *inner, f"rowid > {bounds[-1]}"]
