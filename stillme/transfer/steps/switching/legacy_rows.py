"""INSERT, UPDATE and DELETE on a legacy table, for the way back."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from stillme.transfer.keys import Key
from stillme.transfer.mapping import TableMapping
from stillme.transfer.sqlite.reading.connect import quoted as sqlite_quoted
from stillme.transfer.steps.kinds.base import Stored
from stillme.transfer.steps.switching.legacy_format import RawText


class LegacyRows:
    """INSERT, UPDATE and DELETE on one legacy table."""

    def __init__(self, connection: sqlite3.Connection, mapping: TableMapping) -> None:
        self._connection = connection
        self._mapping = mapping
        self._table = sqlite_quoted(mapping.table)
        self._keys = mapping.key_columns

    def insert(self, cells: dict[str, Stored]) -> None:
        names = ", ".join(sqlite_quoted(name) for name in cells)
        marks = ", ".join(_mark(value) for value in cells.values())
        self._connection.execute(
            f"INSERT INTO {self._table} ({names}) VALUES ({marks})", list(cells.values())
        )

    def update(self, key: Key, cells: dict[str, Stored]) -> None:
        parts = ", ".join(f"{sqlite_quoted(n)} = {_mark(v)}" for n, v in cells.items())
        where, values = self._keys.legacy_is(key)
        self._connection.execute(
            f"UPDATE {self._table} SET {parts} WHERE {where}", [*cells.values(), *values]
        )

    def delete(self, keys: Sequence[Key]) -> int:
        for key in keys:
            where, values = self._keys.legacy_is(key)
            self._connection.execute(f"DELETE FROM {self._table} WHERE {where}", values)
        return len(keys)

    def raise_sequence(self, keys: Sequence[Key]) -> None:
        """AUTOINCREMENT never gives a number again that PostgreSQL has given out."""
        if not self._keys.is_whole or not keys:
            return
        sql = self._connection.execute(
            "SELECT sql FROM sqlite_master WHERE type = 'table' AND name = ?",
            (self._mapping.table,),
        ).fetchone()
        if sql is None or "AUTOINCREMENT" not in str(sql[0]).upper():
            return
        # As SQLite itself: the mark of a table with none but negative keys is 0.
        mark = max(0, *(key.values[0] for key in keys))
        cursor = self._connection.execute(
            "UPDATE sqlite_sequence SET seq = max(seq, ?) WHERE name = ?",
            (mark, self._mapping.table),
        )
        if not cursor.rowcount:
            self._connection.execute(
                "INSERT INTO sqlite_sequence (name, seq) VALUES (?, ?)",
                (self._mapping.table, mark),
            )


def _mark(value: Stored) -> str:
    # Text that is not UTF-8 can be bound as bytes only.
    return "CAST(? AS TEXT)" if isinstance(value, RawText) else "?"
