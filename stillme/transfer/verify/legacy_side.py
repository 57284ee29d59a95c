"""The judge's own reading of the legacy side: plain lines by block, raw rows by key."""

from __future__ import annotations

import hashlib
import sqlite3
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from stillme.transfer.kinds import TextKey
from stillme.transfer.mapping import TableMapping
from stillme.transfer.sqlite.connect import quoted
from stillme.transfer.verify.documents import NotPlain, jsonb_spelling
from stillme.transfer.verify.lines import JSON, REAL, Lines
from stillme.transfer.verify.local_clock import row_minutes_sql

Raw = None | int | float | bytes
_DOUBLE = struct.Struct(">d").pack


@dataclass(frozen=True, slots=True)
class StoredRow:
    """One legacy row: rowid, (storage class, value) per column, its own offset, flags."""

    rowid: int | None
    cells: dict[str, tuple[str, Raw]]
    minutes: int | None
    lost_parents: frozenset[str]
    is_repeat: bool


@dataclass(slots=True)
class Block:
    """A block of rows in key order: the keys at its ends, the digest of its plain lines, and the
    rowids of the rows that have none. `broken` means that its text could not be read as UTF-8."""

    last: Any = None
    rows: int = 0
    plain: int = 0
    digest: str = ""
    unusual: list[int] = field(default_factory=list)
    unusual_keys: list[Any] = field(default_factory=list)
    broken: bool = False


class LegacySide:
    """Reads one table of a snapshot."""

    def __init__(
        self,
        connection: sqlite3.Connection,
        mapping: TableMapping,
        lines: Lines,
        parents: dict[str, str],
    ) -> None:
        self._db = connection
        self._mapping = mapping
        self._lines = lines
        self._parents = parents
        self._names = [c.legacy for c in mapping.columns] + list(mapping.extra)
        self._template = "".join(["%s"] * len(lines.how))
        self._special = [(i + 3, how) for i, how in enumerate(lines.how) if how in (REAL, JSON)]

    def block(self, where: str, values: Sequence[Any], limit: int) -> Block:
        """The next `limit` rows that meet the condition."""
        assert self._mapping.key is not None
        key = quoted(self._mapping.key.legacy)
        pieces = ", ".join(self._lines.legacy)
        query = (
            f"SELECT rowid, {key}, ({self._lines.plain}), {pieces} "
            f"FROM {quoted(self._mapping.table)} WHERE {where} ORDER BY {key} LIMIT {limit}"
        )
        try:
            rows = self._db.execute(query, tuple(values)).fetchall()
        except sqlite3.OperationalError as error:
            if "decode" not in str(error):
                raise
            return Block(broken=True)
        return self._digest(rows)

    def _digest(self, rows: list[tuple[Any, ...]]) -> Block:
        block = Block(rows=len(rows), last=rows[-1][1] if rows else None)
        lines: list[str] = []
        template = self._template
        for row in rows:
            line = template % self._pieces(row) if row[2] else None
            if line is None or "\0" in line:
                block.unusual.append(row[0])
                block.unusual_keys.append(row[1])
            else:
                lines.append(line)
        block.plain = len(lines)
        block.digest = hashlib.sha256("".join(lines).encode("utf-8")).hexdigest()
        return block

    def _pieces(self, row: tuple[Any, ...]) -> tuple[Any, ...]:
        """The pieces of the line, reals and documents spelled; a document that is not plain makes
        the line one that cannot be."""
        if not self._special:
            return row[3:]
        cells = list(row)
        for place, how in self._special:
            value = cells[place]
            if value is None:
                cells[place] = "-"
            elif how == REAL:
                cells[place] = _DOUBLE(value).hex()
            else:
                try:
                    cells[place] = _sized(value)
                except NotPlain:
                    cells[place] = "\0"
        return tuple(cells[3:])

    def rows(self, where: str, values: Sequence[Any] = ()) -> Iterator[StoredRow]:
        """Raw rows that meet an SQL condition."""
        mapping = self._mapping
        table = quoted(mapping.table)
        parts = [f"{table}.rowid" if mapping.has_rowid else "NULL"]
        parts.append(row_minutes_sql(mapping.clock) if mapping.clock else "NULL")
        parts.append(self._repeat())
        references = [c.legacy for c, _ in mapping.references()]
        for column, parent in mapping.references():
            test = self._parents[parent].format(f"{table}.{quoted(column.legacy)}")
            parts.append(f"NOT ({test})")
        for name in self._names:
            column_name = f"{table}.{quoted(name)}"
            as_bytes = f"iif(typeof({column_name}) = 'text', CAST({column_name} AS BLOB)"
            parts += [f"typeof({column_name})", f"{as_bytes}, {column_name})"]
        query = f"SELECT {', '.join(parts)} FROM {table} WHERE {where}"
        for rowid, minutes, repeat, *rest in self._db.execute(query, tuple(values)):
            flags, cells = rest[: len(references)], rest[len(references) :]
            yield StoredRow(
                rowid,
                {name: (cells[2 * i], cells[2 * i + 1]) for i, name in enumerate(self._names)},
                minutes,
                frozenset(n for n, lost in zip(references, flags, strict=True) if lost),
                bool(repeat),
            )

    def _repeat(self) -> str:
        mapping = self._mapping
        if mapping.key is None or mapping.key_is_unique:
            return "0"
        table, key = quoted(mapping.table), quoted(mapping.key.legacy)
        return (
            f"{table}.rowid > (SELECT min(o.rowid) FROM {table} AS o WHERE o.{key} = {table}.{key})"
        )

    def by_rowid(self, rowids: Sequence[int]) -> Iterator[StoredRow]:
        """Raw rows by rowid."""
        table = quoted(self._mapping.table)
        for start in range(0, len(rowids), 400):
            listed = ", ".join(str(rowid) for rowid in rowids[start : start + 400])
            yield from self.rows(f"{table}.rowid IN ({listed})")


@lru_cache(maxsize=5_000)
def _sized(document: str) -> str:
    spelled = jsonb_spelling(document)
    size = len(spelled) if spelled.isascii() else len(spelled.encode())
    return f"{size}:{spelled}"


def key_condition(
    mapping: TableMapping, after: Any, upto: Any, *, nulls: bool
) -> tuple[str, list[Any]]:
    """SQL for ``after < key <= upto`` on the legacy side; None is no bound."""
    assert mapping.key is not None
    name = f"{quoted(mapping.table)}.{quoted(mapping.key.legacy)}"
    tests, values = [], []
    if after is not None:
        tests.append(f"{name} > ?")
        values.append(after)
    if upto is not None:
        tests.append(f"({name} <= ?{f' OR {name} IS NULL' if nulls and after is None else ''})")
        values.append(upto)
    return " AND ".join(tests) or "1", values


def is_text_key(mapping: TableMapping) -> bool:
    """Whether keys are text."""
    return mapping.key is not None and isinstance(mapping.key.kind, TextKey)
