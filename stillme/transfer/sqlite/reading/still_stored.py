"""Whether a snapshot still has a row, told by everything that is stored in it."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from typing import Any

from stillme.transfer.keys import Key
from stillme.transfer.mapping import TableMapping
from stillme.transfer.sqlite.reading.connect import quoted

Raw = None | int | float | bytes


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
    query, values = _query(mapping, cells)
    if mapping.has_rowid:
        query = query.replace("SELECT 1", "SELECT rowid", 1)
    found = connection.execute(query, values)
    return [row[0] if mapping.has_rowid else None for row in found]


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
    query = f"SELECT 1 FROM {quoted(mapping.table)} WHERE {' AND '.join(tests) or '1'}"
    return query, tuple(values)
