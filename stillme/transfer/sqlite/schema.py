"""The schema found in a legacy file, as data."""

from __future__ import annotations

import hashlib
import sqlite3
from dataclasses import dataclass

from stillme.transfer.sqlite.connect import quoted


@dataclass(frozen=True, slots=True)
class FoundColumn:
    """A column as PRAGMA table_xinfo tells it."""

    name: str
    type: str
    not_null: bool
    default: str | None
    primary_key: int


@dataclass(frozen=True, slots=True)
class FoundTable:
    """A table: its columns in file order, its indexes (name -> columns)."""

    name: str
    sql: str
    columns: tuple[FoundColumn, ...]
    indexes: dict[str, tuple[str, ...]]
    without_rowid: bool

    def column(self, name: str) -> FoundColumn | None:
        """The column of that name (SQLite ignores case), or None."""
        return next((c for c in self.columns if c.name.lower() == name.lower()), None)

    @property
    def rowid_alias(self) -> str | None:
        """The column that is the rowid itself (INTEGER PRIMARY KEY), if any."""
        keys = [c for c in self.columns if c.primary_key]
        if self.without_rowid or len(keys) != 1 or keys[0].type.upper() != "INTEGER":
            return None
        return keys[0].name

    def is_unique(self, column: str) -> bool:
        """Whether the file itself guarantees that `column` holds no value twice."""
        keys = [c.name.lower() for c in self.columns if c.primary_key]
        return keys == [column.lower()]


@dataclass(frozen=True, slots=True)
class FoundSchema:
    """All that a file declares."""

    tables: dict[str, FoundTable]
    others: tuple[tuple[str, str], ...]
    user_version: int
    application_id: int
    journal_mode: str

    def table(self, name: str) -> FoundTable | None:
        """The table of that name (SQLite ignores case), or None."""
        lowered = name.lower()
        return next((t for n, t in self.tables.items() if n.lower() == lowered), None)

    @property
    def digest(self) -> str:
        """SHA-256 over every declaration."""
        text = "\n".join(f"{t.name}\0{t.sql}" for t in self.tables.values())
        return hashlib.sha256(text.encode()).hexdigest()


def read_schema(connection: sqlite3.Connection) -> FoundSchema:
    """Read the schema through an open connection. Internal tables (`sqlite_*`) are left out."""
    rows = connection.execute(
        "SELECT type, name, tbl_name, coalesce(sql, '') FROM sqlite_master "
        "WHERE name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY type, name"
    ).fetchall()
    tables = {
        name: _read_table(connection, name, sql)
        for kind, name, _, sql in rows
        if kind == "table" and not sql.upper().startswith("CREATE VIRTUAL")
    }
    others = tuple((kind, name) for kind, name, _, _ in rows if kind in ("view", "trigger"))
    return FoundSchema(
        tables=tables,
        others=others,
        user_version=_pragma(connection, "user_version"),
        application_id=_pragma(connection, "application_id"),
        journal_mode=str(connection.execute("PRAGMA journal_mode").fetchone()[0]),
    )


def _pragma(connection: sqlite3.Connection, name: str) -> int:
    return int(connection.execute(f"PRAGMA {name}").fetchone()[0])


def _read_table(connection: sqlite3.Connection, name: str, sql: str) -> FoundTable:
    columns = tuple(
        FoundColumn(row[1], row[2], bool(row[3]), row[4], row[5])
        for row in connection.execute(f"PRAGMA table_xinfo({quoted(name)})")
        if row[6] == 0
    )
    indexes = {}
    for row in connection.execute(f"PRAGMA index_list({quoted(name)})").fetchall():
        if not str(row[1]).startswith("sqlite_"):
            info = connection.execute(f"PRAGMA index_info({quoted(row[1])})").fetchall()
            indexes[str(row[1])] = tuple(str(part[2]) for part in info)
    without_rowid = "WITHOUTROWID" in "".join(sql.upper().rsplit(")", 1)[-1].split())
    return FoundTable(name, sql, columns, indexes, without_rowid)


def row_count(connection: sqlite3.Connection, table: str) -> int:
    """The number of rows in a table."""
    return int(connection.execute(f"SELECT count(*) FROM {quoted(table)}").fetchone()[0])


def sequence_mark(connection: sqlite3.Connection, table: str) -> int:
    """The greatest AUTOINCREMENT mark of a table in sqlite_sequence, 0 where there is none."""
    exists = connection.execute(
        "SELECT 1 FROM sqlite_master WHERE name = 'sqlite_sequence'"
    ).fetchone()
    if not exists:
        return 0
    row = connection.execute(
        "SELECT max(seq) FROM sqlite_sequence WHERE name = ? COLLATE NOCASE "
        "AND typeof(seq) = 'integer'",
        (table,),
    ).fetchone()
    return int(row[0] or 0)
