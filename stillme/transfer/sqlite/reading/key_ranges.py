"""Key ranges of a legacy table: the chunks that a run works through.

The ranges of a table partition its whole key space: ``after < key <= upto``, the first without
lower and the last without upper bound, so that no stored key can fall between two of them.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from stillme.transfer.key_columns import Condition
from stillme.transfer.keys import Key
from stillme.transfer.mapping import TableMapping
from stillme.transfer.sqlite.reading.connect import quoted


@dataclass(frozen=True, slots=True)
class KeyRange:
    """``after < key <= upto``; None is no bound."""

    number: int
    after: Key | None = None
    upto: Key | None = None

    def where(self, mapping: TableMapping, table: str = "") -> Condition:
        """SQL condition on the legacy rows, and its parameters. NULL is in the first range."""
        nulls = not mapping.key_is_rowid
        return mapping.key_columns.legacy_within(self.after, self.upto, table, nulls=nulls)

    def in_target(self, mapping: TableMapping, table: str = "") -> Condition:
        """The same of the target's rows."""
        return mapping.key_columns.target_within(self.after, self.upto, table)


def key_ranges(
    connection: sqlite3.Connection,
    mapping: TableMapping,
    rows: int,
    known: Sequence[Key] = (),
    total: int = -1,
) -> list[KeyRange]:
    """Ranges of about `rows` rows. `known` are the upper bounds of an earlier run, kept.

    Keeping them lets a chunk's digest be compared with the one in the ledger. `total` is the
    table's number of rows, where it is known. Keys that the target orders otherwise are one range.
    """
    if not mapping.key_is_in_order:
        return [KeyRange(0)]
    bounds = list(known)
    if not bounds and (dense := _dense(connection, mapping, total)):
        bounds = [Key.of(number) for number in dense[rows - 1 : -1 : rows]]
    else:
        bounds += _walk(connection, mapping, rows, bounds[-1] if bounds else None)
    edges = [None, *bounds, None]
    return [KeyRange(n, edges[n], edges[n + 1]) for n in range(len(edges) - 1)]


def _dense(connection: sqlite3.Connection, mapping: TableMapping, total: int) -> range:
    """All keys of a table whose rowids have no gap; an empty range for any other."""
    if not mapping.key_is_rowid or total <= 0:
        return range(0)
    column, table = mapping.key_columns.legacy(), quoted(mapping.table)
    # One by one: only then SQLite goes straight to the ends of the table.
    low, high = (
        connection.execute(f"SELECT {end}({column}) FROM {table}").fetchone()[0]
        for end in ("min", "max")
    )
    return range(low, high + 1) if high - low + 1 == total else range(0)


def _walk(
    connection: sqlite3.Connection, mapping: TableMapping, rows: int, start: Key | None
) -> Iterator[Key]:
    """Every `rows`-th key after `start`, as long as more rows follow."""
    keys, table = mapping.key_columns, quoted(mapping.table)
    position = start
    while True:
        where, values = keys.legacy_within(position, None)
        found = connection.execute(
            f"SELECT {keys.legacy_parts()} FROM {table} WHERE {keys.legacy_usual()} AND {where} "
            f"ORDER BY {keys.legacy()} LIMIT 2 OFFSET ?",
            (*values, rows - 1),
        ).fetchall()
        if len(found) < 2:
            return
        bound = Key.of_flat(found[0])
        # A text that is not UTF-8, or has U+0000, cannot stand in the ledger.
        if keys.in_target(bound) is None:
            return
        position = bound
        yield bound
