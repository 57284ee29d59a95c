"""The judge's lines of rows that must be set aside for a frequent reason.

A line says what the quarantine must hold of the row: key, rowid, reason and column of the fault,
and the cells as PostgreSQL prints a jsonb. U+001F separates the parts::

    7|7|nul_in_text|source|{"id": ["integer", 7], "source": ["text", "YQBi"]}

The first column with a fault gives the reason (`KindJudge.faults`). If a column before it is
neither plain nor mended, the row is judged cell by cell. If the lines of the two sides differ, all
rows of the block are.
"""

from __future__ import annotations

import json
from binascii import b2a_base64
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import apsw

from stillme.transfer.keys import Key
from stillme.transfer.mapped_column import MappedColumn
from stillme.transfer.mapping import TableMapping
from stillme.transfer.plumbing.quoting import concatenated, stored_value
from stillme.transfer.sqlite.reading.connect import quoted
from stillme.transfer.verify.kinds import judge_of
from stillme.transfer.verify.kinds.base import Table
from stillme.transfer.verify.sides.mended_lines import SEPARATOR

# By the first letter of the class: its name, and the place for a value, of which NULL has none.
_STORAGES = {
    "i": (b"integer", b"%d"),
    "r": (b"real", b'"%b"'),
    "t": (b"text", b'"%b"'),
    "b": (b"blob", b'"%b"'),
    "n": (b"null", b"null"),
}
# Key, rowid, reason and column of a line.
_HEAD = b"%b\x1f%d\x1f%b\x1f"
# A row with more bytes is judged cell by cell: a block keeps the lines of all its rows.
_ROW_BYTES = 64_000
# So many combinations of storage classes are remembered.
_MOST_FORMS = 1_000


@dataclass(slots=True)
class AsideRows:
    """Rowids, keys and lines of rows that must be set aside, in any order, and their size."""

    rowids: list[int] = field(default_factory=list)
    keys: list[Key] = field(default_factory=list)
    lines: list[bytes] = field(default_factory=list)
    size: int = 0


@dataclass(frozen=True, slots=True)
class AsideQuery:
    """A SELECT of the rows in a JSON array of rowids: rowid, reason and column of the fault (NULL
    of a row that it does not know), the first letters of the cells' storage classes, and the cells
    of `names`, texts as their bytes. The key is the one in `key_place`."""

    sql: str
    names: tuple[str, ...]
    key_place: int
    _forms: dict[str, bytes] = field(default_factory=dict)

    def read(self, rows: Iterable[tuple[Any, ...]], found: AsideRows) -> None:
        """Add to `found` the rows of the query that it knows."""
        for rowid, why, storages, *cells in rows:
            if why is None:
                continue
            key = cells[self.key_place]
            spelled = key if isinstance(key, bytes) else b"%d" % key
            values: list[int | bytes] = [spelled, rowid, why]
            for cell in cells:
                if isinstance(cell, bytes):
                    values.append(b2a_base64(cell, newline=False))
                elif cell is not None:
                    values.append(cell.hex().encode() if isinstance(cell, float) else cell)
            line = (self._forms.get(storages) or self._form(storages)) % tuple(values)
            found.rowids.append(rowid)
            found.keys.append(Key.of(key.decode() if key is spelled else key))
            found.lines.append(line)
            found.size += len(line)

    def _form(self, storages: str) -> bytes:
        """A line whose cells have these storage classes, with a place for each value."""
        told: list[bytes] = []
        for name, letter in zip(self.names, storages, strict=True):
            storage, value = _STORAGES[letter]
            label = json.dumps(name, ensure_ascii=False).replace("%", "%%").encode()
            told.append(label + b': ["' + storage + b'", ' + value + b"]")
        if len(self._forms) == _MOST_FORMS:
            self._forms.clear()
        form = self._forms[storages] = _HEAD + b"{" + b", ".join(told) + b"}"
        return form


def know(connection: apsw.Connection, mapping: TableMapping) -> None:
    """Make the SQL functions that the query calls known to a connection."""
    for column in mapping.columns:
        for name, function in judge_of(column.kind).functions.items():
            called: Any = function
            connection.create_scalar_function(name, called, 1, deterministic=True)


def aside_lines(table: Table) -> AsideQuery | None:
    """The query for one table; None where no row of the table can have a line."""
    mapping = table.mapping
    keys = mapping.key_columns
    if not (mapping.sql_tells_unusual and mapping.key_is_unique):
        return None
    names = _names(mapping)
    cells = [quoted(each) for each in names]
    tests = [test for column in mapping.columns for test in _tests(column, table)]
    storages = concatenated([f"substr(typeof({cell}), 1, 1)" for cell in cells])
    why = f"CAST(CASE {' '.join(tests)} END AS BLOB)"
    parts = ", ".join(("rowid", why, storages, *map(stored_value, cells)))
    name = quoted(mapping.table)
    size = " + ".join(f"coalesce(octet_length({cell}), 0)" for cell in cells)
    return AsideQuery(
        f"SELECT {parts} FROM {name} NOT INDEXED WHERE {name}.rowid IN "
        f"(SELECT value FROM json_each(?)) AND {size} <= {_ROW_BYTES}",
        names,
        names.index(keys.names[0]),
    )


def _tests(column: MappedColumn, table: Table) -> list[str]:
    """The branches of one column: its faults, then nothing of what is not surely usual."""
    judge, name = judge_of(column.kind), quoted(column.legacy)
    if column in table.mapping.key_columns.columns:
        usual = f"{judge.plain_test(column, table)}) AND ({judge.is_usual(column, table)}"
        return [f"WHEN {name} IS NULL OR NOT ifnull(({usual}), 0) THEN NULL"]
    faults: list[tuple[str, str]] = []
    if column.required:
        faults.append((f"{name} IS NULL", "null_in_required"))
    if not judge.decides_blobs:
        faults.append((f"typeof({name}) = 'blob'", "blob"))
    faults += [(fault.test, fault.reason) for fault in judge.faults(column, table)]
    at = _literal(f"{chr(SEPARATOR)}{column.legacy}")
    # Not OR, of which SQLite works out both sides: some functions take no NULL.
    usual = f"iif({name} IS NULL, 1, {judge.is_usual(column, table)})"
    told = [f"WHEN {test} THEN '{reason}' || {at}" for test, reason in faults]
    return [*told, f"WHEN NOT ifnull({usual}, 0) THEN NULL"]


def _names(mapping: TableMapping) -> tuple[str, ...]:
    """All cells of the row; jsonb sorts names by their length in bytes, then by the bytes."""
    names = (*(column.legacy for column in mapping.columns), *mapping.extra)
    return tuple(sorted(names, key=lambda name: (len(name.encode()), name.encode())))


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
