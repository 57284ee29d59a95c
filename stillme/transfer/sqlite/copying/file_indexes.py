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

import re
import sqlite3
from collections.abc import Sequence
from contextlib import closing, suppress
from functools import partial
from pathlib import Path

import apsw

from stillme.transfer.errors import LegacyFileError
from stillme.transfer.sqlite.reading.connect import quoted
from stillme.transfer.sqlite.reading.orphan_pages import without_views
from stillme.transfer.sqlite.reading.snapshot_reader import as_sqlite3_errors, open_scratch
from stillme.transfer.sqlite.schema.foreign_names import (
    compare_bytes,
    with_functions,
    writable_schema,
)

_CONSTRAINED = (
    "SELECT DISTINCT tbl_name FROM sqlite_schema WHERE lower(type) = 'index' AND sql IS NULL"
)
_SOUGHT = """
SELECT found.name, tbl_name, (SELECT name FROM pragma_index_info(found.name))
FROM sqlite_schema AS found JOIN pragma_index_list(tbl_name) AS listed ON listed.name = found.name
WHERE lower(found.type) = 'index' AND sql IS NOT NULL AND listed."unique" AND NOT listed.partial
AND (SELECT count(*) = 1 AND min(cid) >= 0 FROM pragma_index_info(found.name))
"""
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

_TREE = re.compile(r"^(?:On tree page|Tree|On page) ", re.MULTILINE)
# What SQLite says of pages that lose rows, or show some twice.
_DAMAGE = re.compile(
    r"^(?:Tree (?P<root>[0-9]+) .*|Page (?P<unused>[0-9]+): never used"
    r"|(?:Fragmentation|Multiple uses) .* page (?P<page>[0-9]+).*)",
    re.MULTILINE,
)
_PAGES = (
    "pages of an index are damaged ({problem}): the rows were read from the tables. The old "
    "application may not see all of them. Stop it, then run REINDEX on a copy of the file, check "
    "the copy, and put it in place"
)
# Of larger files only the verification reads every page for that: 0.5 s for a million rows.
CHECKED_BYTES = 64 << 20
# How many damages SQLite tells: with its 100, those of an index hide those of a table.
_MOST_DAMAGES = 1_000_000
# The first byte of a page of a table, and of an index or a WITHOUT ROWID table.
_TABLE_PAGES, _INDEX_PAGES = b"\x05\x0d", b"\x02\x0a"


def distrust_indexes(copy: Path, source: Path, *, whole: bool = False) -> tuple[str, ...]:
    """Make reads of a private copy independent of the file's indexes; a sentence per bad one.

    The pages of a file of up to `CHECKED_BYTES`, or with `whole` of any, are checked first. Unique
    indexes of one column by name are made again from their table: without them each row that refers
    to that column would be sought in all rows. Raises
    LegacyFileError where a constraint's index cannot be built from its table, sqlite3.Error where
    the copy cannot be read, or its pages are damaged.
    """
    with as_sqlite3_errors(), closing(open_scratch(copy)) as connection:
        foreign = compare_bytes(connection)
        notices: tuple[str, ...] = ()
        sought = connection.execute(_SOUGHT).fetchall()
        # A new index takes pages that are said to be free.
        if whole or sought or copy.stat().st_size <= CHECKED_BYTES:
            notices = _check_pages(copy)
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
        _make_again(connection, sought)
        for table in (*bad, *sorted(foreign)):
            _rebuild(connection, source, table, bad.get(table, "built again"))
    return notices + tuple(_DISAGREES.format(table=t, problem=p) for t, p in bad.items())


def _check_pages(copy: Path) -> tuple[str, ...]:
    """Raise sqlite3.DatabaseError where pages of a table, or pages that nothing leads to, say that
    rows are lost or stand twice. SQLite itself reads over most of that: a leaf that is gone is not
    missed by a query.

    Damaged pages of an index are no loss: a sentence on them. With them, pages are expected that
    nothing leads to, but none that looks like a table's. By a connection of its own, because
    stand-ins for foreign functions stay with theirs.
    """
    with closing(open_scratch(copy)) as connection:
        connection.execute("PRAGMA ignore_check_constraints = ON")
        connection.execute("PRAGMA journal_mode = MEMORY")
        check = partial(connection.execute, f"PRAGMA quick_check({_MOST_DAMAGES})")
        # Those of pages come together, before what it says of rows.
        with without_views(connection):
            found, _ = with_functions(connection, lambda: str(next(check())[0]))
        damages = list(_DAMAGE.finditer(found))
        owners = [_owner(connection, match) for match in damages]
        lost = _lost(connection, copy, damages)
    bad_indexes = [m[0] for m, (kind, _) in zip(damages, owners, strict=True) if kind == "index"]
    for match, (kind, name) in zip(damages, owners, strict=True):
        is_below = bool(bad_indexes) and match["unused"] and int(match["unused"]) not in lost
        if kind != "index" and not is_below:
            what = f"{name}: {match[0]}" if name else match[0]
            raise sqlite3.DatabaseError(f"database disk image is malformed: {what}")
    return (_PAGES.format(problem=bad_indexes[0]),) if bad_indexes else ()


def _lost(connection: apsw.Connection, copy: Path, damages: Sequence[re.Match[str]]) -> set[int]:
    """Those of the pages that nothing leads to that hold rows of a table, by their first byte."""
    of_rows = _TABLE_PAGES
    if connection.execute("SELECT 1 FROM pragma_table_list WHERE wr LIMIT 1").fetchall():
        of_rows += _INDEX_PAGES
    size = int(connection.pragma("page_size"))
    lost = set()
    with copy.open("rb") as file:
        for number in (int(match["unused"]) for match in damages if match["unused"]):
            file.seek((number - 1) * size)
            # An empty page, b"" past the end of the file, holds nothing.
            if (first := file.read(1)) and first in of_rows:
                lost.add(number)
    return lost


def _owner(connection: apsw.Connection, match: re.Match[str]) -> tuple[str, str]:
    """(type, name) of the table or index that has the tree or page of a damage; "" for none."""
    where = f"rootpage = {match['root']}"
    if not match["root"]:
        # SQLite may be built without this table; then a page counts as a table's.
        has_dbstat = "SELECT 1 FROM pragma_module_list WHERE name = 'dbstat'"
        if not match["page"] or not connection.execute(has_dbstat).fetchall():
            return "", ""
        where = f"name = (SELECT name FROM dbstat WHERE pageno = {match['page']})"
    found = connection.execute(f"SELECT type, name FROM sqlite_schema WHERE {where}").fetchall()
    return (str(found[0][0]), str(found[0][1])) if found else ("", "")


def _problem(connection: apsw.Connection, table: str) -> str:
    """What SQLite's own check says of a table's indexes; "" where they agree with it.

    Raises sqlite3.DatabaseError where the pages of the table are damaged: what they have lost, no
    index brings back.
    """
    found = [text for (text,) in connection.execute(f"PRAGMA integrity_check({quoted(table)})")]
    for text in found:
        if _TREE.search(text):
            raise sqlite3.DatabaseError(f"database disk image is malformed: {table}: {text}")
    # A check that finds a NULL or a wrong type says nothing about an index.
    return next((text for text in found if "index" in text), "")


def _drop_named(connection: apsw.Connection) -> None:
    """Forget the indexes that somebody created by name.

    Not by DROP INDEX, which would read their pages, and stop at a damaged one.
    """
    rows = "lower(type) = 'index' AND sql IS NOT NULL"
    if not connection.execute(f"SELECT 1 FROM sqlite_schema WHERE {rows} LIMIT 1").fetchone():
        return
    with writable_schema(connection):
        connection.execute(f"DELETE FROM sqlite_schema WHERE {rows}")


def _make_again(connection: apsw.Connection, sought: Sequence[Sequence[object]]) -> None:
    """Make unique indexes, each a name, a table and a column."""
    for name, table, column in (map(quoted, map(str, each)) for each in sought):
        # One whose table has a value twice stays away: nothing is unique there.
        with suppress(apsw.ConstraintError):
            connection.execute(f"CREATE UNIQUE INDEX {name} ON {table} ({column})")


def _rebuild(connection: apsw.Connection, source: Path, table: str, problem: str) -> None:
    try:
        connection.execute(f"REINDEX {quoted(table)}")
    except apsw.ConstraintError as error:
        sentence = _CANNOT.format(source=source, table=table, problem=error)
        raise LegacyFileError(sentence) from error
    if left := _problem(connection, table):
        raise sqlite3.DatabaseError(f"{table}: {problem}; after REINDEX: {left}")
