"""What is captured: the tables of a file, their keys, and where a REPLACE may hit another row."""

from __future__ import annotations

import re
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from stillme.transfer.errors import LegacyFileError
from stillme.transfer.key_columns import KeyColumns
from stillme.transfer.mapping import TableMapping
from stillme.transfer.sqlite.reading.connect import (
    check_readable,
    explain,
    explained,
    quoted,
    uri,
    wait_at_most,
)

# A commit waits for readers at least so long, however long the work before it took.
_FOR_THE_COMMIT = 0.1


@dataclass(frozen=True, slots=True)
class UniqueIndex:
    """A unique index besides the key: (column, collation) pairs, NOCASE and the like included.

    Of an index over expressions (`by_expression`) the first of each pair is the expression, and
    `of_table` the columns it may name. There are no pairs where its SQL was not understood.
    `defaults` maps required columns to what OR REPLACE puts in place of a NULL.
    """

    name: str
    columns: tuple[tuple[str, str], ...]
    by_expression: bool = False
    of_table: tuple[str, ...] = ()
    defaults: tuple[tuple[str, str], ...] = ()

    def new(self, column: str) -> str:
        """SQL of the value that a column gets by a write, in a trigger before it."""
        value, default = f"NEW.{quoted(column)}", dict(self.defaults).get(column)
        return value if default is None else f"coalesce({value}, ({default}))"


@dataclass(frozen=True, slots=True)
class CapturedTable:
    """A table to capture. `key` has no columns where the file's table has no key."""

    name: str
    key: KeyColumns
    key_is_rowid: bool
    has_rowid: bool
    uniques: tuple[UniqueIndex, ...] = ()


def captured_tables(
    connection: sqlite3.Connection, mappings: list[TableMapping]
) -> list[CapturedTable]:
    """The tables of a file's mappings, with the unique indexes that stand in the file now."""
    return [
        CapturedTable(
            m.table,
            m.key_columns,
            m.key_is_rowid,
            m.has_rowid,
            _uniques(connection, m.table, m.key_columns),
        )
        for m in mappings
    ]


def _uniques(
    connection: sqlite3.Connection, table: str, key: KeyColumns
) -> tuple[UniqueIndex, ...]:
    found = []
    by_bytes = sorted((name.lower(), "BINARY") for name in key.names)
    for row in connection.execute(f"PRAGMA index_list({quoted(table)})").fetchall():
        name, unique = str(row[1]), bool(row[2])
        if not unique:
            continue
        parts = connection.execute(f"PRAGMA index_xinfo({quoted(name)})").fetchall()
        columns = tuple((str(p[2]), str(p[4])) for p in parts if p[5] and p[1] >= 0)
        expression = any(p[5] and p[1] == -2 for p in parts)
        # NEW's own key is logged anyhow; under NOCASE the row pushed out may have another one.
        if expression or sorted((c.lower(), o) for c, o in columns) != by_bytes:
            found.append(
                _by_expression(connection, table, name, [str(p[4]) for p in parts if p[5]])
                if expression
                else UniqueIndex(name, columns, defaults=_defaults(connection, table))
            )
    return tuple(sorted(found, key=lambda index: index.name))


def _by_expression(
    connection: sqlite3.Connection, table: str, name: str, collations: list[str]
) -> UniqueIndex:
    sql = connection.execute("SELECT sql FROM sqlite_master WHERE name = ?", (name,)).fetchone()[0]
    terms = _terms(sql)
    if len(terms) != len(collations):
        return UniqueIndex(name, (), by_expression=True)
    pairs = tuple(zip(terms, collations, strict=True))
    info = connection.execute(f"PRAGMA table_info({quoted(table)})")
    names = tuple(str(row[1]) for row in info)
    return UniqueIndex(name, pairs, True, names, _defaults(connection, table))


def _defaults(connection: sqlite3.Connection, table: str) -> tuple[tuple[str, str], ...]:
    info = connection.execute(f"PRAGMA table_info({quoted(table)})")
    return tuple((str(row[1]), str(row[4])) for row in info if row[3] and row[4] is not None)


# A quoted name or text as a whole, else one character.
_TOKEN = re.compile(r"""'(?:[^']|'')*'|"(?:[^"]|"")*"|`[^`]*`|\[[^\]]*\]|.""", re.DOTALL)


def _terms(sql: str) -> list[str]:
    """What a CREATE INDEX lists in its first parentheses: columns and expressions, unordered.

    Nothing where a comment stands among them.
    """
    terms, depth, pieces = [""], 0, _TOKEN.findall(sql)
    bare = "".join(piece for piece in pieces if len(piece) == 1)
    if "--" in bare or "/*" in bare:
        return []
    for piece in pieces:
        depth -= piece == ")"
        if piece == ")" and not depth:
            break
        if piece == "," and depth == 1:
            terms.append("")
        elif depth:
            terms[-1] += piece
        depth += piece == "("
    return [re.sub(r"\s+(ASC|DESC)\s*$", "", term, flags=re.IGNORECASE).strip() for term in terms]


def open_writable(path: Path, *, timeout: float = 5.0) -> sqlite3.Connection:
    """A read-write connection in autocommit mode, for capture and rollback only (law 6)."""
    check_readable(path)
    with explained(path):
        connection = sqlite3.connect(
            uri(path, "rw"),
            uri=True,
            timeout=timeout,
            isolation_level=None,
            check_same_thread=False,
        )
        connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        return connection


@contextmanager
def write_transaction(path: Path, *, timeout: float = 5.0) -> Iterator[sqlite3.Connection]:
    """One immediate transaction on a live file; anything raised inside rolls it back.

    Its waits for locks, at the beginning and at the commit, take `timeout` seconds together.
    """
    deadline = time.monotonic() + timeout
    connection = open_writable(path, timeout=timeout)
    try:
        wait_at_most(connection, deadline - time.monotonic())
        connection.execute("BEGIN IMMEDIATE")
        yield connection
        wait_at_most(connection, max(_FOR_THE_COMMIT, deadline - time.monotonic()))
        connection.execute("COMMIT")
    except sqlite3.Error as error:
        raise explain_write(path, error) from error
    finally:
        # Closing an open transaction rolls it back.
        connection.close()


def explain_write(path: Path, error: sqlite3.Error) -> LegacyFileError:
    """The error of a write to a legacy file as a sentence."""
    text = str(error)
    if "readonly" in text or "read-only" in text:
        return LegacyFileError(
            f"No permission to write {path}, or into its folder: run this as the file's owner. "
            "If a cut-over made it read-only and its database is gone, give the permission back: "
            "chmod u+w."
        )
    if "full" in text:
        return LegacyFileError(f"No space left next to {path}: free some and run again.")
    return explain(path, error)
