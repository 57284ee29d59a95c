"""Key ranges of a legacy table: the chunks that a run works through.

The ranges of a table partition its whole key space: ``after < key <= upto``, the first without
lower and the last without upper bound, so that no stored key can fall between two of them.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass

from stillme.transfer.kinds import TextKey
from stillme.transfer.mapping import TableMapping
from stillme.transfer.sqlite.connect import quoted

Bound = int | str | None


@dataclass(frozen=True, slots=True)
class KeyRange:
    """``after < key <= upto``; None is no bound."""

    number: int
    after: Bound
    upto: Bound

    def where(self, column: str, *, nulls: bool = True) -> tuple[str, list[int | str]]:
        """SQL condition on the quoted `column` and its parameters. NULL is in the first range.

        A rowid is never NULL: without `nulls` SQLite stops at the range's end, with them it would
        go through the whole table.
        """
        parts: list[str] = []
        values: list[int | str] = []
        if self.after is not None:
            parts.append(f"{column} > ?")
            values.append(self.after)
        if self.upto is not None:
            upper = f"{column} <= ?"
            open_below = nulls and self.after is None
            parts.append(f"({upper} OR {column} IS NULL)" if open_below else upper)
            values.append(self.upto)
        return (" AND ".join(parts) or "1", values)


def key_ranges(
    connection: sqlite3.Connection,
    mapping: TableMapping,
    rows: int,
    known: tuple[Bound, ...] = (),
    total: int = -1,
) -> list[KeyRange]:
    """Ranges of about `rows` rows. `known` are the upper bounds of an earlier run, kept.

    Keeping them lets a chunk's digest be compared with the one in the ledger. `total` is the
    table's number of rows, where it is known. Keys that the target orders otherwise are one range.
    """
    if not mapping.key_is_in_order:
        return [KeyRange(0, None, None)]
    bounds: list[Bound] = [bound for bound in known if bound is not None]
    if not bounds and (dense := _dense(connection, mapping, total)):
        bounds = list(dense[rows - 1 : -1 : rows])
    elif mapping.key is not None:
        start = bounds[-1] if bounds else None
        bounds += list(_walk(connection, mapping, rows, start))
    edges = [None, *bounds, None]
    return [KeyRange(n, edges[n], edges[n + 1]) for n in range(len(edges) - 1)]


def _dense(connection: sqlite3.Connection, mapping: TableMapping, total: int) -> range:
    """All keys of a table whose rowids have no gap; an empty range for any other."""
    if mapping.key is None or not mapping.key_is_rowid or total <= 0:
        return range(0)
    column, table = quoted(mapping.key.legacy), quoted(mapping.table)
    # One by one: only then SQLite goes straight to the ends of the table.
    low, high = (
        connection.execute(f"SELECT {end}({column}) FROM {table}").fetchone()[0]
        for end in ("min", "max")
    )
    return range(low, high + 1) if high - low + 1 == total else range(0)


def _walk(
    connection: sqlite3.Connection, mapping: TableMapping, rows: int, start: Bound
) -> Iterator[Bound]:
    """Every `rows`-th key after `start`, as long as more rows follow."""
    assert mapping.key is not None
    column, table = quoted(mapping.key.legacy), quoted(mapping.table)
    storage = "text" if isinstance(mapping.key.kind, TextKey) else "integer"
    position = start
    while True:
        where = f"typeof({column}) = '{storage}'"
        values: tuple[int | str, ...] = ()
        if position is not None:
            where += f" AND {column} > ?"
            values = (position,)
        value = f"CAST({column} AS BLOB)" if storage == "text" else column
        found = connection.execute(
            f"SELECT {value} FROM {table} WHERE {where} ORDER BY {column} LIMIT 2 OFFSET ?",
            (*values, rows - 1),
        ).fetchall()
        if len(found) < 2:
            return
        bound = _usable(found[0][0])
        if bound is None:
            return
        position = bound
        yield bound


def _usable(value: int | bytes) -> Bound:
    """The bound, None where a text key cannot stand in the ledger (not UTF-8, U+0000)."""
    if isinstance(value, int):
        return value
    try:
        text = value.decode("utf-8")
    except UnicodeDecodeError:
        return None
    return None if "\0" in text else text
