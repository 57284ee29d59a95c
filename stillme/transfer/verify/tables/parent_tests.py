"""The judge's SQL test of a reference: the row that it names is there, and is not set aside.

A row is named by its key, or by another unique column (Django's `to_field`).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterable, Mapping
from typing import Any

import apsw

from stillme.transfer.mapping import TableMapping
from stillme.transfer.sqlite.reading.connect import quoted
from stillme.transfer.sqlite.reading.snapshot_reader import keep_keys

# No table is called so: {} is a column of the child's own table, which may be the same.
_UP = quoted("parent row")


def parent_tests(
    mapping: TableMapping,
    parents: Mapping[str, TableMapping | None],
    excluded: Mapping[str, Collection[Any]],
    sides: Iterable[sqlite3.Connection | apsw.Connection],
) -> dict[tuple[str, str], str]:
    """Parent table and named column ("" for its key) -> SQL with ``{}`` for the reference.

    `excluded` maps a parent table to its keys in quarantine; each of the `sides`, connections to
    the same file, gets them as tables.
    """
    listed = {name: f"temp.{quoted('out_' + name)}" for name, keys in excluded.items() if keys}
    for side in sides:
        for name in listed:
            keep_keys(side, f"out_{name}", excluded[name])
    return {
        (name, column.names): _test(parents[name], column.names, listed.get(name))
        for column, name in mapping.references()
    }


def _test(parent: TableMapping | None, column: str, excluded: str | None) -> str:
    if parent is None or not parent.key_columns.is_single:
        return "0"
    if column and parent.column(column) is None:
        return "0"
    # One look-up a row. A list of all parents would be made again for every block.
    key = parent.key_columns.legacy(_UP)
    named = f"{_UP}.{quoted(column)}" if column else key
    # The first comparison finds the row. 'a' is not 'A' and 7 not 7.0, whatever is declared.
    tests = [f"{named} = {{0}}", f"{named} = {{0}} COLLATE BINARY"]
    tests.append(f"typeof({named}) = typeof({{0}})")
    if excluded:
        tests.append(f"{key} COLLATE BINARY NOT IN (SELECT key FROM {excluded})")
    there = f"SELECT 1 FROM {quoted(parent.table)} AS {_UP} WHERE {' AND '.join(tests)}"
    return f"EXISTS ({there})"
