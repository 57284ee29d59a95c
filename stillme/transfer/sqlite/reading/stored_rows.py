"""Rows as SQLite stores them: storage class and bytes of every value; is a row still there?"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from stillme.transfer.keys import Key
from stillme.transfer.keys import Raw as Raw
from stillme.transfer.mapping import TableMapping
from stillme.transfer.plumbing.quoting import stored_value
from stillme.transfer.sqlite.clock.evidence_sql import row_offset_sql
from stillme.transfer.sqlite.reading.connect import quoted
from stillme.transfer.sqlite.reading.huge_cells import HugeCell, is_huge
from stillme.transfer.sqlite.reading.other_rows import ParentTable, has_parent, no_earlier
from stillme.transfer.sqlite.reading.row_source import RowSource

# A range may be held as raw rows: what all of them share is there once.
_CLASSES = {name: name for name in ("null", "integer", "real", "text", "blob")}
_NONE_HUGE: dict[str, HugeCell] = {}


@dataclass(frozen=True, slots=True)
class RawRow:
    """A stored row. `cells` maps a legacy column to (storage class, value); text is bytes.

    `row_offset` is the row's own evidence of the local clock in minutes, `orphaned` the reference
    columns whose parent is missing or set aside, `repeated` tells that an earlier row has the key.
    A value in `huge` was left where it is: its cell has no value.
    """

    rowid: int | None
    cells: dict[str, tuple[str, Raw]]
    row_offset: int | None
    orphaned: frozenset[str]
    repeated: bool
    huge: dict[str, HugeCell] = field(default_factory=dict)

    def whole(self) -> RawRow:
        """The row with every value in it."""
        if not self.huge:
            return self
        cells = {**self.cells, **{n: ("text", cell.read()) for n, cell in self.huge.items()}}
        return replace(self, cells=cells, huge={})


class RawReader:
    """Reads raw rows of one table through one connection.

    Given a `source`, it reads through that instead and leaves huge values where they are.
    """

    def __init__(
        self,
        connection: sqlite3.Connection,
        mapping: TableMapping,
        parents: dict[str, ParentTable | None],
        source: RowSource | None = None,
    ) -> None:
        self._source = source or RowSource(connection)
        self._huge = self._source.huge(mapping)
        self._mapping = mapping
        self._names = [c.legacy for c in mapping.columns] + list(mapping.extra)
        self._references = [c.legacy for c, _ in mapping.references()]
        self._orphans: dict[tuple[object, ...], frozenset[str]] = {}
        self._select = f"SELECT {', '.join(self._parts(parents))} FROM {quoted(mapping.table)}"

    def _parts(self, parents: dict[str, ParentTable | None]) -> list[str]:
        mapping = self._mapping
        table = quoted(mapping.table)
        parts = [f"{table}.rowid" if mapping.has_rowid else "NULL"]
        parts.append(row_offset_sql(mapping.clock) if mapping.clock else "NULL")
        unsure = mapping.key_columns and not mapping.key_is_unique
        parts.append(f"NOT {no_earlier(mapping)}" if unsure else "0")
        parts += [
            f"NOT {has_parent(f'{table}.{quoted(c.legacy)}', parents[p], c.names)}"
            for c, p in mapping.references()
        ]
        for name in self._names:
            column = f"{table}.{quoted(name)}"
            value = stored_value(column)
            if name in self._huge:
                small = f"typeof({column}) <> 'text' OR NOT {is_huge(column)}"
                value = f"CASE WHEN {small} THEN {value} END"
            parts += [f"typeof({column})", value]
        return parts

    def where(self, condition: str, values: Iterable[object] = ()) -> Iterator[RawRow]:
        """The rows that meet an SQL condition, in key order."""
        mapping = self._mapping
        order = mapping.key_columns.legacy() or "1"
        query = f"{self._select} WHERE {condition} ORDER BY {order}"
        for row in self._source.rows(query, list(values)):
            yield self._row(row)

    def keys(self, keys: Iterable[Key]) -> Iterator[RawRow]:
        """The rows with the given keys, one look-up each."""
        columns, table = self._mapping.key_columns, quoted(self._mapping.table)
        for key in keys:
            where, values = columns.legacy_is(key, table)
            for row in self._source.rows(f"{self._select} WHERE {where}", values):
                yield self._row(row)

    def _row(self, row: tuple[object, ...]) -> RawRow:
        rowid, offset, repeated = row[:3]
        start = 3 + len(self._references)
        stored = zip(self._names, row[start::2], row[start + 1 :: 2], strict=True)
        cells = {name: (_CLASSES[storage], raw) for name, storage, raw in stored}  # type: ignore[index]
        orphaned = self._orphaned(row[3:start])
        return RawRow(
            rowid,  # type: ignore[arg-type]
            cells,  # type: ignore[arg-type]
            offset,  # type: ignore[arg-type]
            orphaned,
            bool(repeated),
            self._left(rowid, cells),
        )

    def _orphaned(self, flags: tuple[object, ...]) -> frozenset[str]:
        """One set for all rows that lack the same parents."""
        found = self._orphans.get(flags)
        if found is None:
            found = frozenset(n for n, bad in zip(self._references, flags, strict=True) if bad)
            self._orphans[flags] = found
        return found

    def _left(self, rowid: Any, cells: dict[str, tuple[str, object]]) -> dict[str, HugeCell]:
        left = [name for name in self._huge if cells[name] == ("text", None)]
        table = self._mapping.table
        return {n: self._source.cell(table, n, rowid) for n in left} if left else _NONE_HUGE


def is_stored(
    connection: sqlite3.Connection,
    mapping: TableMapping,
    cells: Mapping[str, tuple[str, Raw]],
    rowid: int | None,
) -> bool:
    """Whether a row with just these cells is there, at its rowid or (rowids move) anywhere.

    For rows that no key tells apart: without one, with one that is no text, with a repeated one.
    """
    query, values = _query(mapping, cells)
    if mapping.has_rowid and rowid is not None:
        there = connection.execute(f"{query} AND rowid = ?", (*values, rowid)).fetchone()
        if there is not None:
            return True
    return connection.execute(f"{query} LIMIT 1", values).fetchone() is not None


def stored_rowids(
    connection: sqlite3.Connection, mapping: TableMapping, cells: Mapping[str, tuple[str, Raw]]
) -> list[int | None]:
    """The rowids of the rows with just these cells, None each where the table has none."""
    return [rowid for (rowid,) in connection.execute(*_query(mapping, cells))]


def _query(
    mapping: TableMapping, cells: Mapping[str, tuple[str, Raw]]
) -> tuple[str, tuple[Any, ...]]:
    found = {*(c.legacy for c in mapping.columns), *mapping.extra}
    tests: list[str] = []
    values: list[Any] = []
    for name, (storage, raw) in cells.items():
        if name not in found:
            continue
        column = quoted(name)
        if raw is None:
            tests.append(f"{column} IS NULL")
            continue
        tests.append(f"typeof({column}) = '{storage}'")
        if name in mapping.key_columns.names:
            # By the key's index; without it each row is a whole scan.
            ((mark, bound),) = Key(((storage, raw),)).bindings
            tests.append(f"{column} = {mark}")
            values.append(bound)
        tests.append(f"CAST({column} AS BLOB) = ?" if storage == "text" else f"{column} = ?")
        values.append(raw)
    rowid, where = "rowid" if mapping.has_rowid else "NULL", " AND ".join(tests) or "1"
    return f"SELECT {rowid} FROM {quoted(mapping.table)} WHERE {where}", tuple(values)
