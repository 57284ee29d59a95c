"""Files with everything SQLite permits and the old application never wrote.

Every case is a row of its own, good but for the one cell that is named, so that a test can look
each of them up. The schemas drift too: columns in another order, constraints missing, columns,
tables, a view, a trigger and an index that the user added.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stillme.demo.samples import schema
from stillme.demo.samples.generate import chosen_files
from stillme.demo.samples.hostile import values
from stillme.demo.samples.hostile.plan import (
    ADDED,
    DRIFT,
    EXTRA_COLUMN,
    GOOD,
    ODD_CELLS,
    ODD_IDS,
    UTC_STAMP,
)
from stillme.demo.samples.hostile.values import Value

FIRST_CASE_ID = 1001
SEQUENCE_MARK = 50_000

Key = int | str | bytes | None


@dataclass(frozen=True)
class HostileCase:
    """One planted oddity. Without a column it concerns the row, without a key the table or file."""

    file: str
    table: str
    key: Key
    column: str
    what: str
    storage: str = ""
    rowid: int | None = None


def make_hostile(directory: Path, *, files: Iterable[str] | None = None) -> list[HostileCase]:
    """Write the hostile files into a folder and name every case planted in them."""
    directory.mkdir(parents=True, exist_ok=True)
    cases: list[HostileCase] = []
    for name in chosen_files(files):
        path = directory / name
        if path.exists():
            raise FileExistsError(f"{path} exists already; choose an empty folder.")
        with closing(sqlite3.connect(path, isolation_level=None)) as connection:
            connection.execute("PRAGMA synchronous=OFF")
            _create(connection, name)
            connection.execute("BEGIN")
            cases += _plant(connection, name)
            connection.execute("COMMIT")
    return cases


def _create(connection: sqlite3.Connection, file: str) -> None:
    """The declared schema, drifted."""
    if file == schema.RSS:
        connection.execute("PRAGMA journal_mode=WAL")
    for table, statement in schema.TABLES[file].items():
        connection.execute(DRIFT.get(table, statement))
    for statement in schema.INDEXES[file]:
        connection.execute(statement)
    if file == schema.KNOWLEDGE:
        connection.execute(f'ALTER TABLE knowledge_items ADD COLUMN "{EXTRA_COLUMN}"')
    if file == schema.CONTINUUM:
        schema.upgrade(connection)


def _plant(connection: sqlite3.Connection, file: str) -> list[HostileCase]:
    """Good rows first, then one row per case, then what concerns the whole file."""
    cases: list[HostileCase] = []
    if file == schema.RSS:
        twice = "a cycle number that other cycles have too"
        cases.append(HostileCase(file, "rss_fetch_cycles", 2, "cycle_number", twice, "integer", 2))
    for table in schema.TABLES[file]:
        _good_rows(connection, table)
        cases += [
            _plant_cell(connection, file, table, column, value)
            for where, column, found in ODD_CELLS
            if where == table
            for value in found
        ]
        for where, number, what in ODD_IDS:
            if where == table:
                _insert(connection, table, {"id": str(number)})
                cases.append(HostileCase(file, table, number, "id", what, "integer", number))
    cases += _bad_row(connection, file)
    cases += _sequences(connection, file)
    for name, what, statement in ADDED.get(file, ()):
        connection.execute(statement)
        cases.append(HostileCase(file, name, None, "", what))
    return cases


def _good_rows(connection: sqlite3.Connection, table: str) -> None:
    """Three rows that nothing is wrong with; the ids of the cases start higher."""
    for number in range(3):
        key = {"item_id": f"'good-{number}'"} if table == "tier_metrics" else {}
        _insert(connection, table, key)
    if table != "tier_metrics":
        connection.execute(
            "UPDATE sqlite_sequence SET seq = ? WHERE name = ?", (FIRST_CASE_ID - 1, table)
        )


def _insert(connection: sqlite3.Connection, table: str, cells: dict[str, str]) -> int:
    """A good row with some cells replaced by other expressions; returns its rowid."""
    row = {"created_at": UTC_STAMP, **GOOD[table], **cells}
    names = ", ".join(f'"{name}"' for name in row)
    sql = f"INSERT INTO {table} ({names}) VALUES ({', '.join(row.values())})"
    rowid = connection.execute(sql).lastrowid
    assert rowid is not None
    return rowid


def _plant_cell(
    connection: sqlite3.Connection, file: str, table: str, column: str, value: Value
) -> HostileCase:
    cells = {column: value.sql}
    if table == "tier_metrics" and column != "item_id":
        cells["item_id"] = f"'case-{column}-' || (SELECT count(*) FROM tier_metrics)"
    rowid = _insert(connection, table, cells)
    key = _key(connection, table, rowid)
    return HostileCase(file, table, key, column, value.what, value.storage, rowid)


def _key(connection: sqlite3.Connection, table: str, rowid: int) -> Key:
    """The primary key as stored; text with bytes that are no UTF-8 keeps them as surrogates."""
    if table != "tier_metrics":
        return rowid
    sql = "SELECT typeof(item_id), CAST(item_id AS BLOB) FROM tier_metrics WHERE rowid = ?"
    storage, raw = connection.execute(sql, (rowid,)).fetchone()
    if storage == "text":
        return bytes(raw).decode("utf-8", "surrogateescape")
    return None if raw is None else bytes(raw)


def _bad_row(connection: sqlite3.Connection, file: str) -> list[HostileCase]:
    """One row in which several cells are wrong at once."""
    if file != schema.KNOWLEDGE:
        return []
    bad: dict[str, Value] = {
        "content": values.TEXTS[3],
        "confidence_score": values.REALS[0],
        "access_count": values.INTEGERS[0],
        "created_at": values.TIMES[8],
        "metadata": values.JSONS[1],
    }
    cells = {name: value.sql for name, value in bad.items()}
    rowid = _insert(connection, "knowledge_items", {"id": "3001", **cells})
    return [
        HostileCase(file, "knowledge_items", rowid, name, value.what, value.storage, rowid)
        for name, value in bad.items()
    ]


def _sequences(connection: sqlite3.Connection, file: str) -> list[HostileCase]:
    """High-water marks above every id, several of them for one table, one for no table at all."""
    marks: list[tuple[str, Any, str]] = [("no_such_table", 77, "a mark of a table that is gone")]
    if file == schema.RSS:
        marks += [
            ("rss_fetch_items", SEQUENCE_MARK, "a second mark, above every id"),
            ("rss_fetch_items", 3, "a third mark, below the ids"),
        ]
    if file == schema.CONTINUUM:
        marks.append(("tier_audit", 2**62, "a second mark, far above every id"))
    for name, mark, _ in marks:
        connection.execute("INSERT INTO sqlite_sequence (name, seq) VALUES (?, ?)", (name, mark))
    if file == schema.KNOWLEDGE:
        marks.append(("knowledge_items", 3, "a mark below the largest id"))
        connection.execute("UPDATE sqlite_sequence SET seq = 3 WHERE name = 'knowledge_items'")
    return [
        HostileCase(file, "sqlite_sequence", name, "seq", what, "integer")
        for name, _, what in marks
    ]
