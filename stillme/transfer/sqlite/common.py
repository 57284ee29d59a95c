"""SQL of the loader about more than one row, and about times.

Whether a row is the first of its key, whether its parent is there, and which texts are common
times. The kinds of value ask for it (`steps/kinds`), and the reader of raw rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

from stillme.transfer import kinds
from stillme.transfer.key_columns import MappedColumn
from stillme.transfer.mapping import TableMapping
from stillme.transfer.sqlite.clock import Clock, format_offset
from stillme.transfer.sqlite.clock_sql import (
    FRACTION_GLOB,
    ISO_GLOB,
    iso_shape_sql,
    row_offset_sql,
)
from stillme.transfer.sqlite.connect import EXACT_DOUBLE, quoted
from stillme.transfer.sqlite.zone_sql import offset_in_zone_sql


@dataclass(frozen=True, slots=True)
class ParentTable:
    """Where a reference's parent rows are: the found table and key, and a table of parents that
    were set aside (`excluded`, in the connection's temp schema), if any."""

    table: str
    key: str
    excluded: str | None = None


def no_earlier(mapping: TableMapping) -> str:
    """SQL: no row with a smaller rowid has the same key (for tables without that guarantee).

    Without rowids nothing tells which of two rows is the first: then no other row may have it.
    """
    table, keys = quoted(mapping.table), mapping.key_columns
    before = f" AND earlier.rowid < {table}.rowid" if mapping.has_rowid else ""
    same, *alike = product(*(_readings(table, column) for column in keys))
    tests = [
        f"NOT EXISTS (SELECT 1 FROM {table} AS earlier WHERE {' AND '.join(reading)}{before})"
        for reading in ((same, *alike) if mapping.has_rowid else alike)
    ]
    if not mapping.has_rowid:
        among = keys.legacy_same("other", table)
        tests.append(f"(SELECT count(*) FROM {table} AS other WHERE {among}) < 2")
    return f"({' AND '.join(tests)})"


def _readings(table: str, column: MappedColumn) -> tuple[str, ...]:
    """SQL: the earlier row has the same value in a column of the key, or one that reads alike.

    That is a text and a number that is loaded as that very text; in a form that an index serves.
    """
    name = quoted(column.legacy)
    this, that = f"{table}.{name}", f"earlier.{name}"
    if not column.holds_text:
        return (f"{that} = {this}",)
    number = f"CAST({this} AS NUMERIC), 9e999, -9e999"
    return (
        f"{that} = {this}",
        f"typeof({this}) = 'text' AND {that} IN ({number})"
        f" AND typeof({that}) IN ('integer', 'real') AND {EXACT_DOUBLE}({that}) = {this}",
        f"typeof({this}) IN ('integer', 'real') AND {that} = {EXACT_DOUBLE}({this})"
        f" AND typeof({that}) = 'text'",
    )


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


def timestamp_sql(
    column: MappedColumn, kind: kinds.Timestamp, mapping: TableMapping, clock: Clock
) -> tuple[str, str]:
    """A test of a common time, and its cell."""
    name, stamp = quoted(column.legacy), kind.stamp
    # What SQLite itself would print for the value: text of this very shape, of a day and an hour
    # that exist. Measured: 0.44 s a million rows, the GLOB 0.54 s. The hour 24 it prints as it is,
    # and PostgreSQL would take it for the next day.
    sql_test = f"(datetime({name}) = {name} AND substr({name}, 12, 2) < '24')"
    sql_cell = f"{name} || '+00'"
    if stamp is kinds.Stamp.SQL:
        test = sql_test if column.required else f"({name} IS NULL OR {sql_test})"
        return test, sql_cell
    iso_test = _local_test(name, kind, mapping, clock)
    iso_cell = f"{name} || {_offset(name, clock)}"
    if stamp is kinds.Stamp.ISO:
        return _optional(name, column, iso_test), iso_cell
    # By the T: of a year before Christ, which SQLite prints too, another character is the eleventh.
    cell = f"CASE substr({name}, 11, 1) WHEN 'T' THEN {iso_cell} ELSE {sql_cell} END"
    return _optional(name, column, f"({sql_test} OR {iso_test})"), cell


def _optional(name: str, column: MappedColumn, shape: str) -> str:
    test = f"(typeof({name}) = 'text' AND {shape})"
    return test if column.required else f"({name} IS NULL OR {test})"


def _offset(name: str, clock: Clock) -> str:
    """SQL for the offset of a local stamp, as PostgreSQL reads it; NULL where SQL cannot tell."""
    if clock.zone is None:
        return f"'{format_offset(clock.usual)}'"
    return f"({offset_in_zone_sql(name, clock.zone, _as_literal)})"


def _as_literal(minutes: int) -> str:
    return f"'{format_offset(minutes)}'"


def _local_test(name: str, kind: kinds.Timestamp, mapping: TableMapping, clock: Clock) -> str:
    """SQL: a local stamp of the default shape whose offset is the usual one, or the zone's."""
    fine = f"({name} GLOB '{ISO_GLOB}{FRACTION_GLOB}' AND substr({name}, 21) <> '000000')"
    is_iso = kind.stamp is kinds.Stamp.ISO
    shape = f"({fine} OR {name} GLOB '{ISO_GLOB}')" if is_iso else fine
    # The first and last days of the calendar may leave it when the offset is applied.
    inside = f"substr({name}, 12, 2) < '24' AND {name} BETWEEN '0001-01-03' AND '9999-12-29'"
    return f"({shape} AND {inside} AND {_offset_test(name, kind, mapping, clock)})"


def _offset_test(name: str, kind: kinds.Timestamp, mapping: TableMapping, clock: Clock) -> str:
    """SQL: the offset that `_offset` gives is the one by docs/values.md."""
    if clock.zone is not None:
        return f"{_offset(name, clock)} IS NOT NULL"
    if clock.has_one_offset and not (clock.is_recorded and mapping.clock):
        return "1"
    if mapping.clock is None:
        return "0"
    test = f"{row_offset_sql(mapping.clock)} = {clock.usual}"
    earlier = mapping.column(kind.after) if kind.after else None
    if earlier is None:
        return test
    other = quoted(earlier.legacy)
    return f"{test} AND ({other} IS NULL OR ({iso_shape_sql(other)} AND {other} <= {name}))"
