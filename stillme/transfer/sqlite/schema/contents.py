"""What a legacy file holds as a whole: every table with rows, declared or not.

Asked of the file itself, not of anybody's models. Internal tables of SQLite (`sqlite_sequence`,
`sqlite_stat1`) hold nothing that an application wrote.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

from stillme.transfer.sqlite.reading.connect import quoted
from stillme.transfer.sqlite.schema.found import row_count

# The tables in which a virtual table keeps its rows (SQLite calls them shadow tables), by the end
# of their names: FTS5, FTS3 and FTS4, R-Tree.
_SHADOWS = (
    "data", "idx", "content", "docsize", "config", "segments", "segdir", "stat", "node", "rowid",
    "parent",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Content:
    """A table, virtual table or view. `rows` is None where they were not counted, or cannot be."""

    name: str
    what: str
    rows: int | None


def contents(connection: sqlite3.Connection, *, count: bool = True) -> list[Content]:
    """Every table and virtual table that has rows, and every view.

    Without `count` a table is only asked whether it has a row, which is quick on a live file. A
    virtual table that cannot be read (its module is not here) is listed as well.
    """
    found = []
    named = connection.execute(
        "SELECT type, name, upper(coalesce(sql, '')) FROM sqlite_master "
        "WHERE type IN ('table', 'view') AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY name"
    ).fetchall()
    virtual = {name for _, name, sql in named if sql.startswith("CREATE VIRTUAL")}
    shadows = {f"{name}_{end}" for name in virtual for end in _SHADOWS}
    for kind, name, _ in named:
        if kind == "view":
            found.append(Content(name, "view", None))
        elif name in virtual:
            found += _virtual(connection, name)
        elif name not in shadows and _has_row(connection, name):
            rows = row_count(connection, name) if count else None
            found.append(Content(name, "table", rows))
    return found


def _has_row(connection: sqlite3.Connection, table: str) -> bool:
    query = f"SELECT 1 FROM {quoted(table)} NOT INDEXED LIMIT 1"
    return connection.execute(query).fetchone() is not None


def _virtual(connection: sqlite3.Connection, name: str) -> list[Content]:
    try:
        rows = int(connection.execute(f"SELECT count(*) FROM {quoted(name)}").fetchone()[0])
    except sqlite3.OperationalError:
        return [Content(name, "virtual table", None)]
    return [Content(name, "virtual table", rows)] if rows else []
