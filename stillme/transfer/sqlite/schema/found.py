"""The schema found in a legacy file, and what it holds as a whole, as data."""

from __future__ import annotations

import hashlib
import re
import sqlite3
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from stillme.transfer.sqlite.reading.connect import quoted
from stillme.transfer.sqlite.schema.foreign_names import (
    foreign_collations,
    is_computed_in_vain,
    names_of,
)

# SQLite's own. By PRAGMA writable_schema any table can be given a name that begins like theirs, or
# the type TABLE, and SQLite still reads it.
_NOT_OWN = (
    "lower(name) NOT IN ('sqlite_sequence', 'sqlite_stat1', 'sqlite_stat2', 'sqlite_stat3', "
    "'sqlite_stat4')"
)
_ASCII = {ord(c): ord(c) + 32 for c in "ABCDEFGHIJKLMNOPQRSTUVWXYZ"}


def folded(name: str) -> str:
    """A name as SQLite compares names: without the case of A to Z, but Ä and ä are two."""
    return name.translate(_ASCII)


# What table_xinfo says of a column under "hidden".
_GENERATED = {0: "", 2: "virtual", 3: "stored"}


@dataclass(frozen=True, slots=True)
class FoundColumn:
    """A column as PRAGMA table_xinfo tells it. `generated` is "virtual" or "stored" where SQLite
    computes its values (GENERATED ALWAYS AS), and nobody may write them."""

    name: str
    type: str
    not_null: bool
    default: str | None
    primary_key: int
    generated: str = ""

    @property
    def stores_text(self) -> bool:
        """Whether the column turns numbers into text (SQLite's affinity of its declared type)."""
        declared = self.type.upper()
        return "INT" not in declared and any(w in declared for w in ("CHAR", "CLOB", "TEXT"))


@dataclass(frozen=True, slots=True)
class FoundTable:
    """A table: its columns in file order, its indexes (name -> columns).

    `key_collation` is that of the primary key's own index (each one's, where its columns have
    several); without an index the key is the rowid.
    `vain` are virtual generated columns that cannot be computed here; nothing is stored of them,
    and they are not among the columns. `foreign` names the functions and collations of its
    declaration that only the program has which wrote the file.
    """

    name: str
    sql: str
    columns: tuple[FoundColumn, ...]
    indexes: dict[str, tuple[str, ...]]
    without_rowid: bool
    key_collation: str | None
    vain: tuple[str, ...] = ()
    foreign: str = ""

    def column(self, name: str) -> FoundColumn | None:
        """The column of that name (SQLite ignores case), or None."""
        return next((c for c in self.columns if folded(c.name) == folded(name)), None)

    @property
    def rowid_alias(self) -> str | None:
        """The column that is the rowid itself (INTEGER PRIMARY KEY), if any.

        `INTEGER PRIMARY KEY DESC` does not count: by an old bug SQLite gives it an index instead.
        """
        keys = [c for c in self.columns if c.primary_key]
        types = [key.type.upper() for key in keys]
        is_rowid = self.has_rowid and not self.key_collation and types == ["INTEGER"]
        return keys[0].name if is_rowid else None

    @property
    def has_rowid(self) -> bool:
        """Whether `rowid` names what SQLite means by it, not a column that somebody called so."""
        return not self.without_rowid and self.column("rowid") is None

    def is_unique(self, *columns: str) -> bool:
        """Whether the file itself guarantees that no two rows are equal in these columns."""
        keys = {folded(c.name) for c in self.columns if c.primary_key}
        return bool(keys) and keys == {folded(column) for column in columns}


@dataclass(frozen=True, slots=True)
class FoundSchema:
    """All that a file declares."""

    tables: dict[str, FoundTable]
    others: tuple[tuple[str, str], ...]
    user_version: int

    def table(self, name: str) -> FoundTable | None:
        """The table of that name (SQLite ignores case), or None."""
        wanted = folded(name)
        return next((t for n, t in self.tables.items() if folded(n) == wanted), None)

    @property
    def digest(self) -> str:
        """SHA-256 over every declaration."""
        text = "\n".join(f"{t.name}\0{t.sql}" for t in self.tables.values())
        return hashlib.sha256(text.encode()).hexdigest()


def read_schema(connection: sqlite3.Connection) -> FoundSchema:
    """Read the schema through an open connection. SQLite's own tables are left out."""
    rows = connection.execute(
        "SELECT lower(type), name, coalesce(sql, '') FROM sqlite_master "
        f"WHERE {_NOT_OWN} ORDER BY type, name"
    ).fetchall()
    collations = foreign_collations(connection)
    tables = {
        name: _read_table(connection, name, sql, collations)
        for kind, name, sql in rows
        if kind == "table" and not sql.upper().startswith("CREATE VIRTUAL")
    }
    return FoundSchema(
        tables=tables,
        others=tuple((kind, name) for kind, name, _ in rows if kind in ("view", "trigger")),
        user_version=int(connection.execute("PRAGMA user_version").fetchone()[0]),
    )


def _read_table(
    connection: sqlite3.Connection, name: str, sql: str, collations: dict[str, set[str]]
) -> FoundTable:
    columns = tuple(
        FoundColumn(row[1], row[2], bool(row[3]), row[4], row[5], _GENERATED[row[6]])
        for row in connection.execute(f"PRAGMA table_xinfo({quoted(name)})")
        if row[6] in _GENERATED
    )
    vain = tuple(
        c.name
        for c in columns
        if c.generated == "virtual" and is_computed_in_vain(connection, name, c.name)
    )
    columns = tuple(c for c in columns if c.name not in vain)
    writable = [c.name for c in columns if not c.generated]
    foreign = names_of(connection, name, sql, writable, collations)
    indexes = {}
    collation, without_rowid = None, False
    for row in connection.execute(f"PRAGMA index_list({quoted(name)})").fetchall():
        if row[3] == "pk":
            collation, without_rowid = _key_index(connection, str(row[1]))
        if not str(row[1]).startswith("sqlite_"):
            info = connection.execute(f"PRAGMA index_info({quoted(row[1])})").fetchall()
            indexes[str(row[1])] = tuple(str(part[2]) for part in info)
    return FoundTable(name, sql, columns, indexes, without_rowid, collation, vain, foreign)


def _key_index(connection: sqlite3.Connection, index: str) -> tuple[str, bool]:
    """The columns' collation, and whether the index leads to no rowid (column -1).

    Only that of a table without rowids does not. The text of CREATE TABLE would tell too, but
    comments and quotes may hide it there.
    """
    info = connection.execute(f"PRAGMA index_xinfo({quoted(index)})").fetchall()
    collations = sorted({str(row[4]) for row in info if row[5]})
    return " ".join(collations), all(row[1] != -1 for row in info)


def row_count(connection: sqlite3.Connection, table: str, database: str = "main") -> int:
    """The number of rows in a table, counted in the table itself and in no index of it."""
    return int(connection.execute(row_count_sql(table, database)).fetchone()[0])


def row_count_sql(table: str, database: str = "main") -> str:
    """The query of `row_count`."""
    return f"SELECT count(*) FROM {database}.{quoted(table)} NOT INDEXED"


def sequence_mark(connection: sqlite3.Connection, table: str) -> int:
    """The greatest AUTOINCREMENT mark of a table in sqlite_sequence, 0 where there is none."""
    exists = connection.execute(
        "SELECT 1 FROM sqlite_master WHERE name = 'sqlite_sequence'"
    ).fetchone()
    if not exists:
        return 0
    row = connection.execute(
        # As AUTOINCREMENT itself reads the mark: the column has no type, and a person may have
        # set a text there.
        "SELECT max(CAST(seq AS INTEGER)) FROM sqlite_sequence WHERE name = ? COLLATE NOCASE",
        (table,),
    ).fetchone()
    return int(row[0] or 0)


# The tables in which a virtual table keeps its rows (SQLite calls them shadow tables): the ends of
# their names, by its module. Of a module that nobody knows here, no table is taken for one.
_SHADOWS = {
    "fts5": ("data", "idx", "content", "docsize", "config"),
    "fts4": ("content", "segments", "segdir", "docsize", "stat"),
    "fts3": ("content", "segments", "segdir"),
    **dict.fromkeys(("rtree", "rtree_i32", "geopoly"), ("node", "rowid", "parent")),
}
_MODULE = re.compile(r"\bUSING\s+[\"'`\[]?(\w+)", re.IGNORECASE)
# With these options the virtual table makes no such table: one of that name is somebody's own.
_NOT_MADE = {
    "content": re.compile(r"\bCONTENT\s*=", re.IGNORECASE),
    "docsize": re.compile(r"\b(?:COLUMNSIZE|MATCHINFO)\s*=", re.IGNORECASE),
}


@dataclass(frozen=True, slots=True)
class Content:
    """A table, virtual table or view. `rows` is None where they were not counted, or cannot be."""

    name: str
    what: str
    rows: int | None


def contents(
    connection: sqlite3.Connection,
    *,
    count: bool = True,
    known: Mapping[str, int] = MappingProxyType({}),
) -> list[Content]:
    """Every table and virtual table that has rows, and every view.

    Without `count` a table is only asked whether it has a row, which is quick on a live file. A
    virtual table that cannot be read (its module is not here) is listed as well. Tables of which
    the number of rows is `known` are not counted again.
    """
    found = []
    named = connection.execute(
        "SELECT lower(type), name, upper(coalesce(sql, '')) FROM sqlite_master "
        f"WHERE lower(type) IN ('table', 'view') AND {_NOT_OWN} ORDER BY name"
    ).fetchall()
    virtual = {name: sql for _, name, sql in named if sql.startswith("CREATE VIRTUAL")}
    shadows = {shadow for name, sql in virtual.items() for shadow in _shadows(name, sql)}
    for kind, name, _ in named:
        has_row = f"SELECT 1 FROM {quoted(name)} NOT INDEXED LIMIT 1"
        if kind == "view":
            found.append(Content(name, "view", None))
        elif name in virtual:
            found += _virtual(connection, name)
        elif folded(name) not in shadows and connection.execute(has_row).fetchone():
            rows = known.get(name)
            if rows is None and count:
                rows = row_count(connection, name)
            found.append(Content(name, "table", rows))
    return found


def _shadows(name: str, sql: str) -> Iterator[str]:
    """The tables that a virtual table keeps its rows in, by their folded names."""
    found = _MODULE.search(sql, sql.find(name.upper()) + len(name))
    ends = _SHADOWS.get(found[1].lower(), ()) if found else ()
    for end in ends:
        if end not in _NOT_MADE or not _NOT_MADE[end].search(sql):
            yield folded(f"{name}_{end}")


def _virtual(connection: sqlite3.Connection, name: str) -> list[Content]:
    try:
        rows = int(connection.execute(f"SELECT count(*) FROM {quoted(name)}").fetchone()[0])
    except sqlite3.OperationalError:
        return [Content(name, "virtual table", None)]
    return [Content(name, "virtual table", rows)] if rows else []
