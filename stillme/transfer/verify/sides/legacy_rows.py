"""Legacy rows as SQLite stores them, read one by one for the judge.

Example: `StoredRow(7, {"id": ("integer", 7), "score": ("text", b"0.5")}, None, frozenset(), False)`
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import apsw

from stillme.transfer.mapped_column import MappedColumn
from stillme.transfer.mapping import TableMapping
from stillme.transfer.sqlite.reading.connect import EXACT_DOUBLE, quoted
from stillme.transfer.sqlite.reading.huge_cells import HugeCell, is_huge, may_be_huge_text
from stillme.transfer.sqlite.reading.snapshot_reader import rows_of
from stillme.transfer.verify.kinds.huge_text import HugeText, of_cell
from stillme.transfer.verify.kinds.local_clock import row_minutes_sql

Raw = None | int | float | bytes | HugeText


@dataclass(frozen=True, slots=True)
class StoredRow:
    """One legacy row.

    `cells` maps each column to its storage class and value; text is bytes, and a huge text is its
    size and SHA-256. `minutes` is the offset of the local clock that the row itself gives evidence
    of, `lost_parents` are the columns that refer to a row which is missing or set aside, and
    `is_repeat` tells that an earlier row has the key.
    """

    rowid: int | None
    cells: Mapping[str, tuple[str, Raw]]
    minutes: int | None
    lost_parents: frozenset[str]
    is_repeat: bool

    @property
    def stored(self) -> bytes:
        """Everything that is known of it, spelled."""
        parts = (self.rowid, self.cells, self.minutes, sorted(self.lost_parents), self.is_repeat)
        return repr(parts).encode()

    @property
    def size(self) -> int:
        """About how many bytes it holds."""
        return sum(len(value) for _, value in self.cells.values() if isinstance(value, bytes))


class Readers(NamedTuple):
    """Two connections to a snapshot: any row, and rows without anything large (else an error)."""

    any: apsw.Connection
    bounded: apsw.Connection


class StoredRows:
    """Reads the rows of one table as they are stored.

    With `readers` it reads a snapshot and leaves huge texts in it; without, it reads a live file
    through `connection`. `parents` maps a parent table and its named column to an SQL
    test with ``{}`` for the referring column: the parent is there and not set aside.
    """

    def __init__(
        self,
        connection: sqlite3.Connection,
        readers: Readers | None,
        mapping: TableMapping,
        parents: dict[tuple[str, str], str],
    ) -> None:
        self._db, self._readers = connection, readers
        self._mapping = mapping
        self._names = [c.legacy for c in mapping.columns] + list(mapping.extra)
        self._references = [column.legacy for column, _ in mapping.references()]
        self._huge = may_be_huge_text(mapping) if readers else ()
        self._select = f"SELECT {', '.join(self._parts(parents))} FROM {quoted(mapping.table)}"

    def rows(self, where: str, values: Sequence[Any] = ()) -> Iterator[StoredRow]:
        """Yield the rows that meet an SQL condition."""
        references = len(self._references)
        for rowid, minutes, is_repeat, *rest in self._run(f"{self._select} WHERE {where}", values):
            flags, found = rest[:references], rest[references:]
            cells = dict(zip(self._names, zip(found[::2], found[1::2], strict=True), strict=True))
            for name in self._huge:
                if cells[name] == ("text", None):
                    cells[name] = ("text", self._huge_value(name, rowid))
            lost = (name for name, is_lost in zip(self._references, flags, strict=True) if is_lost)
            yield StoredRow(rowid, cells, minutes, frozenset(lost), bool(is_repeat))

    def _parts(self, parents: dict[tuple[str, str], str]) -> list[str]:
        """What is selected: rowid, offset, whether the key is a repeat, then for each reference
        whether its parent is missing, then for each cell its storage class and value."""
        mapping, table = self._mapping, quoted(self._mapping.table)
        parts = [f"{table}.rowid" if mapping.has_rowid else "NULL"]
        parts.append(row_minutes_sql(mapping.clock) if mapping.clock else "NULL")
        parts.append(self._repeat())
        for column, parent in mapping.references():
            test = parents[parent, column.names]
            parts.append(f"NOT ({test.format(f'{table}.{quoted(column.legacy)}')})")
        for name in self._names:
            column_name = f"{table}.{quoted(name)}"
            as_bytes = f"iif(typeof({column_name}) = 'text', CAST({column_name} AS BLOB)"
            value = f"{as_bytes}, {column_name})"
            if name in self._huge:
                left = f"typeof({column_name}) = 'text' AND {is_huge(column_name)}"
                value = f"iif({left}, NULL, {value})"
            parts += [f"typeof({column_name})", value]
        return parts

    def _run(self, query: str, values: Sequence[Any]) -> Iterator[tuple[Any, ...]]:
        if self._readers is None:
            return self._db.execute(query, tuple(values))
        return rows_of(self._readers.any, query, values)

    def _huge_value(self, name: str, rowid: int) -> HugeText:
        assert self._readers is not None
        return of_cell(HugeCell(self._readers.any, self._mapping.table, name, rowid))

    def _repeat(self) -> str:
        mapping = self._mapping
        if not mapping.key_columns or mapping.key_is_unique:
            return "0"
        table = quoted(mapping.table)
        tests = [_reads_alike(column, "o", table) for column in mapping.key_columns]
        others = f"SELECT %s FROM {table} AS o WHERE {' AND '.join(tests)}"
        if not mapping.has_rowid:
            return f"1 < ({others % 'count(*)'})"
        return f"{table}.rowid > ({others % 'min(o.rowid)'})"

    def by_rowid(self, rowids: Sequence[int]) -> Iterator[StoredRow]:
        """Raw rows by rowid."""
        table = quoted(self._mapping.table)
        for start in range(0, len(rowids), 400):
            listed = ", ".join(str(rowid) for rowid in rowids[start : start + 400])
            yield from self.rows(f"{table}.rowid IN ({listed})")


def _reads_alike(column: MappedColumn, one: str, other: str) -> str:
    """Whether the target would hold the same value of two rows in a column of the key."""
    name = quoted(column.legacy)
    one, other = f"{one}.{name}", f"{other}.{name}"
    if not column.holds_text:
        return f"{one} = {other}"
    # A number is loaded as its text, and may be the text of another row.
    return (
        f"({one} = {other} OR typeof({one}) <> typeof({other})"
        f" AND typeof({one}) <> 'blob' AND typeof({other}) <> 'blob'"
        f" AND {_as_text(one)} = {_as_text(other)})"
    )


def _as_text(name: str) -> str:
    return f"iif(typeof({name}) = 'real', {EXACT_DOUBLE}({name}), CAST({name} AS TEXT))"
