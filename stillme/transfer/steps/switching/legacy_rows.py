"""Target values in the formats of a legacy file, and the rows that the way back writes there."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from stillme.transfer.errors import TransferError
from stillme.transfer.keys import Key
from stillme.transfer.mapping import TableMapping
from stillme.transfer.sqlite.reading.connect import quoted
from stillme.transfer.sqlite.schema.found import folded
from stillme.transfer.steps.kinds.base import Stored

# A row with such a value is in the file as told, and would be set aside by a load.
UNREADABLE = frozenset(
    {"beyond_the_calendar", "beyond_places", "json_too_large", "not_a_number", "not_an_address"}
)

_WRITING = (sqlite3.SQLITE_INSERT, sqlite3.SQLITE_UPDATE, sqlite3.SQLITE_DELETE)


class RawText(bytes):
    """Text as its bytes: what is not UTF-8 cannot be bound as str."""


def extra_cells(document: str | None, columns: Sequence[str]) -> dict[str, Stored]:
    """The undeclared legacy columns rebuilt from `legacy_extra`."""
    found = json.loads(document) if document else {}
    return {name: _extra(found.get(name)) for name in columns}


def _extra(value: Any) -> Stored:
    if isinstance(value, dict):
        if "real" in value:
            return float.fromhex(value["real"])
        if "text" in value:
            return RawText(bytes.fromhex(value["text"]))
        return bytes.fromhex(value["blob"])
    return value  # type: ignore[no-any-return]


@dataclass(frozen=True, slots=True)
class Lost:
    """A target value that the legacy file could not take as it is."""

    table: str
    key: str
    column: str
    value: str
    reason: str


@dataclass(slots=True)
class Carried:
    """What was carried back into one legacy table."""

    file: str
    table: str
    keys: list[Key] = field(default_factory=list)
    inserted: int = 0
    updated: int = 0
    deleted: int = 0
    unchanged: int = 0
    cells: int = 0
    lost: list[Lost] = field(default_factory=list)
    unequal: list[str] = field(default_factory=list)


class LegacyRows:
    """INSERT, UPDATE and DELETE on one legacy table.

    Rows may have changed places in a unique index: a row that clashes with what another one still
    is leaves the table, and comes back with `write_held`, when all others are written.
    """

    def __init__(self, connection: sqlite3.Connection, mapping: TableMapping) -> None:
        self._connection = connection
        self._mapping = mapping
        self._table = quoted(mapping.table)
        self._keys = mapping.key_columns
        self._held: list[tuple[Key, dict[str, Stored]]] = []

    def insert(self, key: Key, cells: dict[str, Stored]) -> None:
        self._write(key, cells, *self._insertion(cells))

    def update(self, key: Key, cells: dict[str, Stored]) -> None:
        parts = ", ".join(f"{quoted(n)} = {_mark(v)}" for n, v in cells.items())
        where, values = self._keys.legacy_is(key)
        # OR ABORT: a constraint declared ON CONFLICT REPLACE would delete another row.
        sql = f"UPDATE OR ABORT {self._table} SET {parts} WHERE {where}"
        self._write(key, cells, sql, [*cells.values(), *values])

    def write_held(self) -> None:
        """Insert the rows that clashed. Raises TransferError where one still does."""
        for key, cells in self._held:
            try:
                self._connection.execute(*self._insertion(cells))
            except sqlite3.IntegrityError as error:
                raise TransferError(
                    f"{self._mapping.table} row {key.shown()} cannot be written into the file "
                    f"{self._mapping.file} as PostgreSQL has it ({error}): change the row in "
                    "PostgreSQL so that the file can take it, then roll back again "
                    "(rollback_migration --dry-run tries it)."
                ) from error
        self._held.clear()

    def _write(
        self, key: Key, cells: dict[str, Stored], sql: str, values: Sequence[object]
    ) -> None:
        try:
            self._connection.execute(sql, values)
        except sqlite3.IntegrityError:
            if not self._connection.in_transaction:
                # A trigger of the file's own ended it: nothing may be written any more.
                raise
            self._held.append((key, self._take_out(key) | cells))

    def _insertion(self, cells: dict[str, Stored]) -> tuple[str, list[Stored]]:
        names = ", ".join(quoted(name) for name in cells)
        marks = ", ".join(_mark(value) for value in cells.values())
        sql = f"INSERT OR ABORT INTO {self._table} ({names}) VALUES ({marks})"
        return sql, list(cells.values())

    def _take_out(self, key: Key) -> dict[str, Stored]:
        """Delete the row; its cells as they are stored. Nothing where the file has no such row."""
        info = self._connection.execute(f"PRAGMA table_xinfo({self._table})")
        names = [str(row[1]) for row in info if not row[6]]
        if self._mapping.has_rowid and not self._mapping.key_is_rowid:
            names.append("rowid")
        where, values = self._keys.legacy_is(key)
        query = f"SELECT {', '.join(map(quoted, names))} FROM {self._table} WHERE {where}"
        self._connection.text_factory = RawText
        try:
            row = self._connection.execute(query, values).fetchone()
        finally:
            self._connection.text_factory = str
        self.delete([key])
        return dict(zip(names, row, strict=True)) if row else {}

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


@contextmanager
def without_triggers(
    connection: sqlite3.Connection, mappings: Sequence[TableMapping]
) -> Iterator[None]:
    """Take out the file's own triggers that write to carried tables, and put them back.

    They would change rows again that come from PostgreSQL. Others go on: those of a full-text
    index, for example.
    """
    found = _writing_triggers(connection, {folded(mapping.table) for mapping in mappings})
    for name, _ in found:
        connection.execute(f"DROP TRIGGER {quoted(name)}")
    yield
    for _, sql in found:
        connection.execute(sql)


def _writing_triggers(connection: sqlite3.Connection, tables: set[str]) -> list[tuple[str, str]]:
    """(name, statement), as SQLite tells when it compiles a write to each table."""
    names: set[str] = set()

    def note(action: int, table: str | None, _: object, __: object, trigger: str | None) -> int:
        if trigger and action in _WRITING and folded(table or "") in tables:
            names.add(trigger)
        return sqlite3.SQLITE_OK

    connection.set_authorizer(note)
    try:
        for table in map(quoted, sorted(tables)):
            info = connection.execute(f"PRAGMA table_xinfo({table})")
            cells = ", ".join(f"{quoted(row[1])} = {quoted(row[1])}" for row in info if not row[6])
            connection.execute(f"EXPLAIN INSERT INTO {table} DEFAULT VALUES")
            connection.execute(f"EXPLAIN UPDATE {table} SET {cells}")
            connection.execute(f"EXPLAIN DELETE FROM {table}")
    finally:
        connection.set_authorizer(None)
    rows = connection.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'")
    return [(name, sql) for name, sql in rows.fetchall() if name in names]


def _mark(value: Stored) -> str:
    # Text that is not UTF-8 can be bound as bytes only.
    return "CAST(? AS TEXT)" if isinstance(value, RawText) else "?"
