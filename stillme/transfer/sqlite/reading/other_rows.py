"""SQL of the loader about other rows: is a row the first of its key, and is its parent there.

The kinds of value ask for it (`steps/kinds`), and the reader of raw rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

from stillme.transfer.mapped_column import MappedColumn
from stillme.transfer.mapping import TableMapping
from stillme.transfer.sqlite.reading.connect import EXACT_DOUBLE, quoted
from stillme.transfer.sqlite.schema.found import row_count_sql


@dataclass(frozen=True, slots=True)
class ParentTable:
    """The found table and key of a reference's parents.

    `excluded` is the table of parents that were set aside (in the connection's temp schema), if
    any. A rowid key holds integers only; another key may hold 7.0 for 7, or compare texts without
    case. `gapless` are the least and the greatest of rowid keys that are all there.
    """

    table: str
    key: str
    excluded: str | None = None
    key_is_rowid: bool = False
    gapless: tuple[int, int] | None = None


Run = Callable[[str, Sequence[Any]], Iterable[tuple[Any, ...]]]


def gapless_keys(run: Run, table: str, key: str, child: str) -> tuple[int, int] | None:
    """The least and greatest of a table's rowid keys if all between are there; else None.

    Then two comparisons tell whether a parent is there: to seek it took a fifth of the time of a
    row. The table is counted only if `child`, which refers to it, may have half of its rows.
    """
    low, high = _ends(run, table, quoted(key))
    first, last = _ends(run, child, "rowid")
    if None in (low, first) or 2 * (last - first + 1) < high - low + 1:
        return None
    ((rows,),) = run(row_count_sql(table), ())
    return (low, high) if rows == high - low + 1 else None


def _ends(run: Run, table: str, key: str) -> tuple[Any, Any]:
    # Each alone is one look into the tree.
    ends = (next(iter(run(f"SELECT {e}({key}) FROM {quoted(table)}", ()))) for e in ("min", "max"))
    (low,), (high,) = ends
    return low, high


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


def has_parent(name: str, parent: ParentTable | None, column: str) -> str:
    """SQL: the qualified column `name` holds the key of a parent that was not set aside.

    Unless `column` is "", it holds what that column of the parent does.
    """
    if parent is None:
        return "0"
    # No table is called so: the name of the row's own table must mean that row.
    up = quoted("transfer parent")
    key = f"{up}.{quoted(column or parent.key)}"
    # The first comparison is the index's, the others are those of the target.
    test = f"{key} = {name}"
    if column or not parent.key_is_rowid:
        test += f" AND {key} = {name} COLLATE BINARY AND typeof({key}) = typeof({name})"
    if column and parent.excluded:
        listed = f"SELECT key FROM temp.{quoted(parent.excluded)}"
        test += f" AND {up}.{quoted(parent.key)} COLLATE BINARY NOT IN ({listed})"
    test = f"EXISTS (SELECT 1 FROM {quoted(parent.table)} AS {up} WHERE {test})"
    if parent.gapless and not column:
        low, high = parent.gapless
        within = f"{name} BETWEEN {low} AND {high}"
        test = f"CASE typeof({name}) WHEN 'integer' THEN {within} ELSE {test} END"
    if parent.excluded and not column:
        listed = f"SELECT key FROM temp.{quoted(parent.excluded)}"
        test += f" AND {name} COLLATE BINARY NOT IN ({listed})"
    return f"({test})"
