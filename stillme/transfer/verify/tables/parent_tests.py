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
    key = parent.key_columns.legacy()
    not_among = f"NOT IN (SELECT key FROM {excluded})"
    if column:
        if parent.column(column) is None:
            return "0"
        # Such a column is no rowid, and another row's may hold the same.
        of_row = f"typeof(up.{quoted(column)}), up.{quoted(column)}"
        there = f"FROM {quoted(parent.table)} AS up WHERE up.{quoted(column)} IS NOT NULL"
        there += f" AND up.{key} COLLATE BINARY {not_among}" if excluded else ""
        return f"((typeof({{0}}), {{0}} COLLATE BINARY) IN (SELECT {of_row} {there}))"
    # A NULL among them would turn "not among them" into NULL.
    there = f"FROM {quoted(parent.table)} AS up WHERE up.{key} IS NOT NULL"
    test = f"{{0}} IN (SELECT up.{key} {there})"
    if not parent.key_is_rowid:
        # 'a' is not 'A' and 7 not 7.0, whatever the two columns are declared as.
        test = "(typeof({0}), {0} COLLATE BINARY) "
        test += f"IN (SELECT typeof(up.{key}), up.{key} {there})"
    return f"({test} AND {{0}} COLLATE BINARY {not_among})" if excluded else test
