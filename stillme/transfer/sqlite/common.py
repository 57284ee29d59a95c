"""The common row: SQL that tells it apart and hands it over as a CSV line.

SQLite itself checks the storage classes and shapes, doubles the quotes, prints the doubles, and
appends the offset of a time; Python only joins the lines that come back (law 4). Whatever the
predicate does not vouch for goes through `steps.rows.policy` cell by cell.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from stillme.transfer import kinds
from stillme.transfer.csv_format import QUOTE, quoted_cell
from stillme.transfer.key_columns import MappedColumn
from stillme.transfer.mapping import TableMapping
from stillme.transfer.sqlite.clock import Clock, format_offset
from stillme.transfer.sqlite.clock_sql import (
    FRACTION_GLOB,
    ISO_GLOB,
    row_offset_sql,
)
from stillme.transfer.sqlite.connect import EXACT_DOUBLE, quoted
from stillme.transfer.sqlite.huge_cell import none_is_huge
from stillme.transfer.sqlite.row_source import RowSource

# As a literal, so that neighbours become one.
_QUOTE = f"'{QUOTE}'"
_LITERAL = re.compile("'(?:[^']|'')*'")
# SQL expressions, to be joined.
_Cell = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ParentTable:
    """Where a reference's parent rows are: the found table and key, and a table of parents that
    were set aside (`excluded`, in the connection's temp schema), if any."""

    table: str
    key: str
    excluded: str | None = None


@dataclass(frozen=True, slots=True)
class CommonRows:
    """`predicate` is true for a common row, whose `line` is then its CSV line.

    The line is one value because each value that crosses into Python costs time. `documents` are
    the JSON columns, to be looked at: jsonb would silently drop a repeated key. `quoted_cells` is
    how many other cells of each line are quoted: more quotes than these and the documents' are
    part of a text. It is None where the predicate has looked for quotes itself. `small` is to be
    asked before the predicate where a value may be huge.
    """

    predicate: str
    small: str
    line: str
    documents: tuple[str, ...]
    quoted_cells: int | None


def common_rows(
    mapping: TableMapping, clock: Clock, parents: dict[str, ParentTable | None], source: RowSource
) -> CommonRows:
    """The SQL for one table. `parents` maps each declared parent table to where it was found."""
    tests: list[str] = []
    cells: list[_Cell] = []
    for column in mapping.columns:
        test, cell = _column(column, mapping, clock, parents)
        tests.append(test)
        cells.append(_in_parts(column, cell, source))
    cells += [(_derived(mapping, rule),) for _, rule in mapping.derived]
    cells += [("''",)] * len(mapping.nulls)
    if mapping.extra:
        tests += [f"{quoted(name)} IS NULL" for name in mapping.extra]
        cells.append(("''",))
    if mapping.key is None or mapping.impossible:
        tests = ["0"]
    texts = [c for c in mapping.columns if isinstance(c.kind, kinds.Text | kinds.TextKey)]
    constant = all(column.required for column in texts)
    if not constant:
        tests += [f"ifnull(instr({quoted(c.legacy)}, {_QUOTE}) = 0, 1)" for c in texts]
    return CommonRows(
        predicate=" AND ".join(test for test in tests if test) or "1",
        small=none_is_huge(source.huge(mapping)),
        line=source.joined(_in_line(cells)),
        documents=tuple(
            quoted(c.legacy) for c in mapping.columns if isinstance(c.kind, kinds.Json)
        ),
        quoted_cells=len(texts) + len(mapping.derived) if constant else None,
    )


def _in_parts(column: MappedColumn, cell: str, source: RowSource) -> _Cell:
    """A cell as parts of its line: a text that is never NULL is copied once, quotes beside it."""
    if isinstance(column.kind, kinds.Real):
        return (source.double_text(cell),)
    name = quoted(column.legacy)
    if column.required and cell == _quoted_text(name):
        return (_QUOTE, name, _QUOTE)
    return (cell,)


def _in_line(cells: list[_Cell]) -> list[str]:
    """The parts of a line: cells, separators and its end, neighbouring literals as one."""
    separated = [part for cell in cells for part in ("','", *cell)]
    parts: list[str] = []
    for part in (*separated[1:], "'\n'"):
        if parts and _is_literal(parts[-1]) and _is_literal(part):
            parts[-1] = parts[-1][:-1] + part[1:]
        else:
            parts.append(part)
    return parts


def _is_literal(part: str) -> bool:
    return _LITERAL.fullmatch(part) is not None


def _derived(mapping: TableMapping, rule: kinds.WhenSet) -> str:
    column = mapping.column(rule.column)
    if column is None:
        return _literal(rule.otherwise)
    then, otherwise = _literal(rule.then), _literal(rule.otherwise)
    return f"CASE WHEN {quoted(column.legacy)} IS NULL THEN {otherwise} ELSE {then} END"


def _literal(text: str) -> str:
    return "'" + quoted_cell(text).replace("'", "''") + "'"


def _column(
    column: MappedColumn,
    mapping: TableMapping,
    clock: Clock,
    parents: dict[str, ParentTable | None],
) -> tuple[str, str]:
    name = quoted(column.legacy)
    match column.kind:
        case kinds.Key():
            return _key(name, mapping), name
        case kinds.Reference(parent=parent):
            return _reference(column, mapping, parents[parent]), name
        case kinds.TextKey():
            unique = "" if mapping.key_is_unique else f" AND {no_earlier(mapping)}"
            return f"typeof({name}) = 'text'{unique}", _quoted_text(name)
        case kinds.Text(choices=choices):
            inside = f" AND {_choice(name, choices)}" if choices else ""
            return _storage(name, column, "text") + inside, _quoted_text(name)
        case kinds.Integer(low=low, high=high):
            within = f" AND ({name} IS NULL OR {name} BETWEEN {low} AND {high})"
            return _storage(name, column, "integer") + within, name
        case kinds.Real():
            return _storage(name, column, "real"), name
        case kinds.Json():
            return _storage(name, column, "text"), _quoted_text(name)
        case kinds.Timestamp(stamp=stamp):
            return _timestamp(name, column, stamp, mapping, clock)
        case kinds.Date():
            shape = f"{name} GLOB '[0-9][0-9][0-9][0-9]-[01][0-9]-[0-3][0-9]'"
            return _optional(name, column, shape), f"{name} || ' 00:00:00+00'"
    raise AssertionError(f"no common row for {column.kind!r}")


def _storage(name: str, column: MappedColumn, storage: str) -> str:
    if column.required:
        return f"typeof({name}) = '{storage}'"
    return f"typeof({name}) IN ('{storage}', 'null')"


def _optional(name: str, column: MappedColumn, shape: str) -> str:
    test = f"(typeof({name}) = 'text' AND {shape})"
    return test if column.required else f"({name} IS NULL OR {test})"


def _quoted_text(name: str) -> str:
    """NULL for NULL. Texts that hold the quote are told apart by the predicate or by the stream."""
    return f"{_QUOTE} || {name} || {_QUOTE}"


def _choice(name: str, choices: tuple[str, ...]) -> str:
    listed = ", ".join("'" + choice.replace("'", "''") + "'" for choice in choices)
    return f"({name} IS NULL OR {name} IN ({listed}))"


def _key(name: str, mapping: TableMapping) -> str:
    # A rowid alias is an integer and unique by construction: SQLite need not look.
    if mapping.key_is_unique and mapping.key_is_rowid:
        return ""
    unique = "" if mapping.key_is_unique else f" AND {no_earlier(mapping)}"
    return f"typeof({name}) = 'integer'{unique}"


def no_earlier(mapping: TableMapping) -> str:
    """SQL: no row with a smaller rowid has the same key (for tables without that guarantee).

    Without rowids nothing tells which of two rows is the first: then no other row may have it.
    """
    assert mapping.key is not None
    key, table = quoted(mapping.key.legacy), quoted(mapping.table)
    before = f" AND earlier.rowid < {table}.rowid" if mapping.has_rowid else ""
    test = (
        f"NOT EXISTS (SELECT 1 FROM {table} AS earlier WHERE earlier.{key} = {table}.{key}{before})"
    )
    if not mapping.has_rowid:
        test = f"(SELECT count(*) FROM {table} AS other WHERE other.{key} = {table}.{key}) < 2"
    if isinstance(mapping.key.kind, kinds.TextKey):
        test += "".join(
            f" AND NOT EXISTS (SELECT 1 FROM {table} AS earlier WHERE {alike}{before})"
            for alike in _reads_alike(f"{table}.{key}", f"earlier.{key}")
        )
    return f"({test})"


def _reads_alike(this: str, that: str) -> tuple[str, str]:
    """SQL: one is a text and the other a number that is loaded as that very text.

    In a form that an index on `that` serves.
    """
    number = f"CAST({this} AS NUMERIC), 9e999, -9e999"
    return (
        f"typeof({this}) = 'text' AND {that} IN ({number})"
        f" AND typeof({that}) IN ('integer', 'real') AND {EXACT_DOUBLE}({that}) = {this}",
        f"typeof({this}) IN ('integer', 'real') AND {that} = {EXACT_DOUBLE}({this})"
        f" AND typeof({that}) = 'text'",
    )


def _reference(column: MappedColumn, mapping: TableMapping, parent: ParentTable | None) -> str:
    name = f"{quoted(mapping.table)}.{quoted(column.legacy)}"
    whole = f"typeof({name}) = 'integer' AND {has_parent(name, parent)}"
    return whole if column.required else f"({name} IS NULL OR ({whole}))"


def has_parent(name: str, parent: ParentTable | None) -> str:
    """SQL: the qualified column `name` holds the key of a parent that was not set aside."""
    if parent is None:
        return "0"
    # No table is called so: the name of the row's own table must mean that row.
    up = quoted("transfer parent")
    test = f"{up}.{quoted(parent.key)} = {name}"
    test = f"EXISTS (SELECT 1 FROM {quoted(parent.table)} AS {up} WHERE {test})"
    if parent.excluded:
        test += f" AND {name} NOT IN (SELECT key FROM temp.{quoted(parent.excluded)})"
    return f"({test})"


def _timestamp(
    name: str, column: MappedColumn, stamp: kinds.Stamp, mapping: TableMapping, clock: Clock
) -> tuple[str, str]:
    # What SQLite itself would print for the value: text of this very shape, of a day and an hour
    # that exist. Measured: 0.44 s a million rows, the GLOB 0.54 s. The hour 24 it prints as it is,
    # and PostgreSQL would take it for the next day.
    sql_test = f"(datetime({name}) = {name} AND substr({name}, 12, 2) < '24')"
    sql_cell = f"{name} || '+00'"
    if stamp is kinds.Stamp.SQL:
        test = sql_test if column.required else f"({name} IS NULL OR {sql_test})"
        return test, sql_cell
    iso_test = _local_test(name, mapping, clock, whole=stamp is kinds.Stamp.ISO)
    iso_cell = f"{name} || '{format_offset(clock.usual)}'"
    if stamp is kinds.Stamp.ISO:
        return _optional(name, column, iso_test), iso_cell
    cell = f"CASE substr({name}, 11, 1) WHEN ' ' THEN {sql_cell} ELSE {iso_cell} END"
    return _optional(name, column, f"({sql_test} OR {iso_test})"), cell


def _local_test(name: str, mapping: TableMapping, clock: Clock, *, whole: bool) -> str:
    """SQL: a local stamp of the default shape whose offset is the usual one."""
    fine = f"({name} GLOB '{ISO_GLOB}{FRACTION_GLOB}' AND substr({name}, 21) <> '000000')"
    shape = f"({fine} OR {name} GLOB '{ISO_GLOB}')" if whole else fine
    # The first and last days of the calendar may leave it when the offset is applied.
    inside = f"substr({name}, 12, 2) < '24' AND {name} BETWEEN '0001-01-03' AND '9999-12-29'"
    test = f"{shape} AND {inside}"
    if clock.zone is not None:
        return f"({test} AND {name} >= '{clock.steady_from}')"
    if clock.unanimous:
        return f"({test})"
    if mapping.clock is None:
        return "0"
    return f"({test} AND {row_offset_sql(mapping.clock)} = {clock.usual})"
