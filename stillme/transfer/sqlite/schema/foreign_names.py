"""Collations and functions that only the program which wrote a file has.

SQLite keeps their names in the schema, and not what they do. A file with them is as sound as any:
every stored value can be read. What cannot be had are the order of such an index, and the values
of a virtual generated column, of which nothing is stored.

Example: ``CREATE TABLE t (item_id TEXT COLLATE vi_icu PRIMARY KEY)``. Every query that would look
into the key's index ends with "no such collation sequence: vi_icu". In a private copy the column
is made to compare bytes, and its index is built again (`compare_bytes`); a live file is read with
a stand-in that compares bytes (`know_collations`), which serves as long as no row is sought there.
"""

from __future__ import annotations

import itertools
import re
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import TypeVar

import apsw

from stillme.transfer.plumbing.quoting import quoted

R = TypeVar("R")
_NAME = r"""("(?:[^"]|"")*"|'(?:[^']|'')*'|`(?:[^`]|``)*`|\[[^\]]*\]|[^\s,()"'`\[\];]+)"""
_COLLATE = re.compile(r"(\bCOLLATE\s+)" + _NAME, re.IGNORECASE)
_UNKNOWN = re.compile(r"(?:no such|unknown) function: ([^()]+)")
_WITH_COLLATION = (
    "SELECT type, name, tbl_name, CAST(sql AS BLOB) FROM sqlite_master WHERE sql LIKE '%collate%'"
)
_OWN = {"BINARY", "NOCASE", "RTRIM"}
# PRAGMA encoding -> Python's name of it, which takes no byte order mark for one.
CODECS = {"UTF-8": "utf-8", "UTF-16le": "utf-16-le", "UTF-16be": "utf-16-be"}
_NUMBERS = itertools.count()
AnyConnection = sqlite3.Connection | apsw.Connection


def _bare(name: str) -> str:
    """A name without its quotes."""
    if name[0] in "\"'`":
        return name[1:-1].replace(name[0] * 2, name[0])
    return name[1:-1] if name[0] == "[" else name


def foreign_collations(connection: AnyConnection) -> dict[str, set[str]]:
    """Collations that this SQLite has not -> the tables whose columns or indexes use them."""
    found: dict[str, set[str]] = {}
    for _, _, table, sql in _declared(connection):
        for _, name in _COLLATE.findall(sql):
            # Not asked by PRAGMA collation_list, which lists what a schema merely mentions.
            if _bare(name).upper() not in _OWN:
                found.setdefault(_bare(name), set()).add(table)
    return found


def _declared(connection: AnyConnection) -> list[tuple[str, str, str, str]]:
    """(type, name, table, SQL) of what is declared with a collation; no text raises an error."""
    rows = list(connection.execute(_WITH_COLLATION))
    if not rows:
        return []
    codec = CODECS[_text(next(iter(connection.execute("PRAGMA encoding")))[0])]
    return [
        (_text(kind), _text(name), _text(table), sql.decode(codec, "replace"))
        for kind, name, table, sql in rows
    ]


def _text(found: str | bytes) -> str:
    """The text of a connection that may give bytes for texts."""
    return found if isinstance(found, str) else found.decode("utf-8", "surrogateescape")


def know_collations(connection: sqlite3.Connection) -> None:
    """Let a live file with foreign collations be read: a stand-in for each compares bytes.

    Only for reading: an entry that were written by it would stand in the wrong place of its index.
    """
    for name in foreign_collations(connection):
        connection.create_collation(name, _by_bytes)


def _by_bytes(one: str, other: str) -> int:
    return (one > other) - (one < other)


def compare_bytes(connection: apsw.Connection) -> set[str]:
    """Make the columns and indexes of a private copy that use a foreign collation compare bytes.

    Returns the tables whose indexes must be built again. What a collation tells apart differs in
    its bytes, so no constraint is broken by that.
    """
    foreign = foreign_collations(connection)
    tables = set().union(*foreign.values()) if foreign else set()
    if not tables:
        return set()
    # Without an index of its own, such a table is its key's index: its rows are put back in order.
    content = {t: c for t in tables if (c := _taken_out(connection, t, foreign)) is not None}
    names = {name.upper() for name in foreign}

    def native(found: re.Match[str]) -> str:
        return f"{found[1]}BINARY" if _bare(found[2]).upper() in names else found[0]

    changed = [
        (_COLLATE.sub(native, sql), kind, name) for kind, name, _, sql in _declared(connection)
    ]
    with writable_schema(connection):
        connection.executemany(
            "UPDATE sqlite_schema SET sql = ? WHERE type = ? AND name = ?", changed
        )
        if content:
            connection.execute("DELETE FROM sqlite_schema WHERE type = 'trigger'")
    for table, columns in content.items():
        _put_back(connection, table, columns)
    return tables


@contextmanager
def writable_schema(connection: apsw.Connection) -> Iterator[None]:
    """Let the declarations in a private copy be changed."""
    version = int(connection.pragma("schema_version"))
    connection.execute("PRAGMA writable_schema = ON")
    yield
    connection.execute(f"PRAGMA schema_version = {version + 1}")
    connection.execute("PRAGMA writable_schema = RESET")


def _taken_out(connection: apsw.Connection, table: str, foreign: dict[str, set[str]]) -> str | None:
    """Keep the rows of a table WITHOUT ROWID; its columns as SQL. None for any other table."""
    listed = connection.execute(f"PRAGMA table_list({quoted(table)})").fetchall()
    if not any(row[0] == "main" and row[4] for row in listed):
        return None
    for name in foreign:
        connection.create_collation(name, _by_bytes)
    info = connection.execute(f"PRAGMA table_xinfo({quoted(table)})").fetchall()
    columns = ", ".join(quoted(str(row[1])) for row in info if row[6] == 0)
    # A scan compares nothing.
    connection.execute(
        f"CREATE TEMP TABLE {quoted(f'rows of {table}')} AS SELECT {columns} FROM {quoted(table)}"
    )
    return columns


def _put_back(connection: apsw.Connection, table: str, columns: str) -> None:
    kept = f"temp.{quoted(f'rows of {table}')}"
    connection.execute("PRAGMA ignore_check_constraints = ON")
    connection.execute(f"DELETE FROM main.{quoted(table)}")
    connection.execute(f"INSERT INTO main.{quoted(table)} ({columns}) SELECT * FROM {kept}")
    connection.execute(f"DROP TABLE {kept}")


def with_functions(connection: AnyConnection, ask: Callable[[], R]) -> tuple[R, list[str]]:
    """(what `ask` finds, the foreign functions that stood in its way).

    A stand-in that answers NULL serves where it is about the schema and not about the function's
    values: on a private copy, with a connection that reads no rows for anybody.
    """
    met: list[str] = []
    while True:
        try:
            return ask(), met
        except (apsw.SQLError, sqlite3.OperationalError) as error:
            unknown = _UNKNOWN.search(str(error))
            if unknown is None or unknown[1] in met:
                raise
            met.append(unknown[1])
            if isinstance(connection, sqlite3.Connection):
                connection.create_function(unknown[1], -1, _nothing, deterministic=True)
            else:
                connection.create_scalar_function(unknown[1], _nothing, deterministic=True)


def _nothing(*_: object) -> None:
    return None


def is_about_a_name(error: sqlite3.Error | str) -> bool:
    """Whether a statement failed for a foreign function or collation."""
    text = str(error)
    return bool(_UNKNOWN.search(text)) or "no such collation sequence" in text


def is_computed_in_vain(connection: sqlite3.Connection, table: str, column: str) -> bool:
    """Whether a virtual generated column has no value in some row, or in none.

    Its expression calls a foreign function, or it fails (`json_extract` of what is not JSON).
    """
    try:
        query = f"SELECT count({quoted(column)}) FROM {quoted(table)} NOT INDEXED"
        connection.execute(query).fetchone()
    except sqlite3.Error as error:
        # Not a damaged page, a lock or a full disk: those have codes of their own.
        if error.sqlite_errorcode not in (sqlite3.SQLITE_ERROR, sqlite3.SQLITE_TOOBIG):
            raise
        return True
    return False


def names_of(
    connection: sqlite3.Connection,
    table: str,
    sql: str,
    columns: list[str],
    collations: dict[str, set[str]] | None = None,
) -> str:
    """The foreign names that a table, its indexes and triggers use; "" for none.

    `sql` declares the table, `columns` are those that can be written. `collations` are the foreign
    ones of the file, where the caller knows them: looking for them reads the whole schema.
    """
    if collations is None:
        collations = foreign_collations(connection)
    found = [f"the collation {name}" for name, tables in collations.items() if table in tables]
    with closing(sqlite3.connect(":memory:")) as nowhere:
        # The first function of the declaration that SQLite lacks. CHECKs are only looked at here.
        functions = [_lacking(nowhere, sql)]
    name, first = quoted(table), quoted(columns[0]) if columns else "rowid"
    for statement in (
        f"INSERT INTO {name} DEFAULT VALUES",
        f"UPDATE {name} SET {first} = {first}",
        f"DELETE FROM {name}",
    ):
        # Never the same text twice: Python would take the statement that it compiled before, and
        # EXPLAIN, which compiles and writes nothing, looks at no schema version. It would read a
        # table that SQLite has freed since.
        functions.append(_lacking(connection, f"EXPLAIN {statement} /* {next(_NUMBERS)} */"))
    found += [f"the function {function}()" for function in dict.fromkeys(filter(None, functions))]
    return " and ".join(found)


def _lacking(connection: sqlite3.Connection, statement: str) -> str:
    """The first function that a statement lacks."""
    try:
        connection.execute(statement).close()
    except sqlite3.Error as error:
        unknown = _UNKNOWN.search(str(error))
        return unknown[1] if unknown else ""
    return ""
