"""A snapshot without the indexes that came with the file.

An index of a file can miss rows or hold stale keys (a crash, a bad disk, a page written by hand).
SQLite believes it all the same: ``ORDER BY key``, key ranges, ``EXISTS`` and even ``count(*)``
may be answered from it. The snapshot is our own copy, so its indexes are taken out. Those that
belong to a PRIMARY KEY or UNIQUE constraint cannot be: they are checked against their table and,
where they differ, built again from it.

Example: ``tier_metrics`` has seven rows and the index of its text key five entries. Read through
that index the table has five rows; after `distrust_indexes` it has seven.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from functools import partial
from pathlib import Path

import apsw

from stillme.transfer.errors import LegacyFileError
from stillme.transfer.sqlite.reading.connect import quoted
from stillme.transfer.sqlite.reading.snapshot_reader import as_sqlite3_errors, open_scratch
from stillme.transfer.sqlite.schema.foreign_names import (
    compare_bytes,
    with_functions,
    writable_schema,
)

_CONSTRAINED = "SELECT DISTINCT tbl_name FROM sqlite_schema WHERE type = 'index' AND sql IS NULL"
_DISAGREES = (
    "an index of {table} disagrees with its table ({problem}): the rows were read from the table. "
    "The old application may not see all of them. Stop it, then run REINDEX on a copy of the file, "
    "check the copy, and put it in place"
)
_CANNOT = (
    "{source}: {table} holds rows that its own PRIMARY KEY or UNIQUE constraint forbids "
    "({problem}), so that its index cannot be built again: make a copy of the file, delete the "
    "surplus rows in it until `REINDEX` succeeds, and import the copy."
)


def distrust_indexes(copy: Path, source: Path) -> tuple[str, ...]:
    """Make reads of a private copy independent of the file's indexes; a sentence per bad one.

    Raises LegacyFileError where a constraint's index cannot be built from its table, sqlite3.Error
    where the copy cannot be read.
    """
    with as_sqlite3_errors(), closing(open_scratch(copy)) as connection:
        foreign = compare_bytes(connection)
        bad = {}
        # An index that a constraint made has no statement of its own.
        constrained = {str(name) for (name,) in connection.execute(_CONSTRAINED)}
        for table in sorted(constrained - foreign):
            problem, unknown = with_functions(connection, partial(_problem, connection, table))
            if unknown:
                foreign.add(table)
            elif problem:
                bad[table] = problem
        _drop_named(connection)
        for table in (*bad, *sorted(foreign)):
            _rebuild(connection, source, table, bad.get(table, "built again"))
    return tuple(_DISAGREES.format(table=t, problem=p) for t, p in bad.items())


def _problem(connection: apsw.Connection, table: str) -> str:
    """What SQLite's own check says of a table and its indexes; "" where they agree."""
    found = connection.execute(f"PRAGMA integrity_check({quoted(table)})").fetchone()
    text = str(found[0]) if found else ""
    # A check that finds a NULL or a wrong type says nothing about an index.
    return text if "index" in text else ""


def _drop_named(connection: apsw.Connection) -> None:
    """Forget the indexes that somebody created by name.

    Not by DROP INDEX, which would read their pages, and stop at a damaged one.
    """
    rows = "type = 'index' AND sql IS NOT NULL"
    if not connection.execute(f"SELECT 1 FROM sqlite_schema WHERE {rows} LIMIT 1").fetchone():
        return
    with writable_schema(connection):
        connection.execute(f"DELETE FROM sqlite_schema WHERE {rows}")


def _rebuild(connection: apsw.Connection, source: Path, table: str, problem: str) -> None:
    try:
        connection.execute(f"REINDEX {quoted(table)}")
    except apsw.ConstraintError as error:
        sentence = _CANNOT.format(source=source, table=table, problem=error)
        raise LegacyFileError(sentence) from error
    if left := _problem(connection, table):
        raise sqlite3.DatabaseError(f"{table}: {problem}; after REINDEX: {left}")
