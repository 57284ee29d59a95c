"""The judge's lines of rows that must be set aside for a frequent reason.

A line says what the quarantine must hold of the row: key, rowid, reason and column of the fault,
and the cells as PostgreSQL prints a jsonb. U+001F separates the parts::

    7|7|nul_in_text|source|{"id": ["integer", 7], "source": ["text", "YQBi"]}

The first column with a fault gives the reason (`KindJudge.faults`). If a column before it is
neither plain nor mended, the row is judged cell by cell. If the lines of the two sides differ, all
rows of the block are.
"""

from __future__ import annotations

import binascii
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import apsw

from stillme.transfer.keys import Key
from stillme.transfer.mapped_column import MappedColumn
from stillme.transfer.mapping import TableMapping
from stillme.transfer.plumbing.quoting import concatenated
from stillme.transfer.sqlite.reading.connect import EXACT_HEX, quoted
from stillme.transfer.verify.kinds import judge_of
from stillme.transfer.verify.kinds.base import Table
from stillme.transfer.verify.sides.mended_lines import SEPARATOR

_BYTES = "bytes_in_base64"


@dataclass(slots=True)
class AsideRows:
    """Rowids, keys and lines of rows that must be set aside, in any order."""

    rowids: list[int] = field(default_factory=list)
    keys: list[Key] = field(default_factory=list)
    lines: list[bytes] = field(default_factory=list)


def functions_of(mapping: TableMapping) -> dict[str, Callable[[Any], Any]]:
    """The SQL functions that the lines call, by name."""
    # It answers a blob, which concat() takes as a text.
    found: dict[str, Callable[[Any], Any]] = {_BYTES: partial(binascii.b2a_base64, newline=False)}
    for column in mapping.columns:
        found.update(judge_of(column.kind).functions)
    return found


def know(connection: apsw.Connection, mapping: TableMapping) -> None:
    """Make these functions known to a connection."""
    for name, function in functions_of(mapping).items():
        called: Any = function
        connection.create_scalar_function(name, called, 1, deterministic=True)


def aside_lines(table: Table) -> str | None:
    """A SELECT of rowid, key and line of the rows in a JSON array of rowids, key and line NULL
    where they are unknown; None where no row of the table can have a line."""
    mapping = table.mapping
    keys = mapping.key_columns
    if not (mapping.sql_tells_unusual and mapping.key_is_unique):
        return None
    tests = [test for column in mapping.columns for test in _tests(column, table)]
    name, key = quoted(mapping.table), keys.legacy()
    reason = f'CASE {" ".join(tests)} END AS "why aside"'
    listed = f"{name}.rowid IN (SELECT value FROM json_each(?))"
    told = f"SELECT rowid AS rowid, *, {reason} FROM {name} WHERE {listed} LIMIT -1 OFFSET 0"
    told_by = f", char({SEPARATOR}), ".join((key, "rowid", '"why aside"'))
    line = f"concat({told_by}, char({SEPARATOR}), {_cells(mapping)})"
    text = f'CASE WHEN "why aside" IS NOT NULL THEN CAST({line} AS BLOB) END'
    named = f'CASE WHEN "why aside" IS NOT NULL THEN {key} END'
    return f"SELECT rowid, {named}, {text} FROM ({told})"


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


def _cells(mapping: TableMapping) -> str:
    """All cells of the row; jsonb sorts names by their length in bytes, then by the bytes."""
    names = [*(column.legacy for column in mapping.columns), *mapping.extra]
    names.sort(key=lambda name: (len(name.encode()), name.encode()))
    parts: list[str] = []
    for name in names:
        head = f'{", " if parts else "{"}{json.dumps(name, ensure_ascii=False)}: ["'
        parts += [_literal(head), f"typeof({quoted(name)})", _value(name)]
    return concatenated([*parts, "'}'"])


def _value(name: str) -> str:
    cell = quoted(name)
    return (
        f"CASE typeof({cell}) WHEN 'null' THEN '\", null]'"
        f" WHEN 'integer' THEN '\", ' || {cell} || ']'"
        f" WHEN 'real' THEN '\", \"' || {EXACT_HEX}({cell}) || '\"]' "
        f"ELSE '\", \"' || {_BYTES}(CAST({cell} AS BLOB)) || '\"]' END"
    )


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
