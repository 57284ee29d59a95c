"""Is a copy sound? SQLite's own checks, the row counts, and for a damaged one what is readable."""

from __future__ import annotations

import sqlite3
from collections import Counter
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from stillme.transfer.sqlite.capture.freeze import FOR_GOOD, frozen_until
from stillme.transfer.sqlite.reading.connect import quoted, uri
from stillme.transfer.sqlite.reading.orphan_pages import orphan_pages
from stillme.transfer.sqlite.schema.foreign_names import (
    foreign_collations,
    know_collations,
    with_functions,
)
from stillme.transfer.sqlite.schema.found import row_count_sql

OK = "ok"
_TABLES = (
    "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' "
    "ESCAPE '\\' AND sql NOT LIKE 'CREATE VIRTUAL%' ORDER BY name"
)
_MOST_MESSAGES = 20
_FIRST, _LAST = -(2**63), 2**63 - 1
# A damaged page hides a few dozen rows: small steps first, then ever larger ones.
_STEP, _SMALL_STEPS = 16, 5000


@dataclass(slots=True)
class Readable:
    """What can still be read of a damaged table: rowids from first to last, and how many rows."""

    table: str
    rows: int = 0
    ranges: list[tuple[int, int]] = field(default_factory=list)
    error: str = ""


@dataclass
class Soundness:
    """What SQLite says of a copy. `integrity` is ``["ok"]`` for a sound one.

    `rows` maps each table to its count, None where it cannot be counted. `unchecked` lists foreign
    collations and functions: indexes by them were not compared.
    """

    integrity: list[str] = field(default_factory=list)
    foreign_keys: dict[str, int] = field(default_factory=dict)
    rows: dict[str, int | None] = field(default_factory=dict)
    pages: int = 0
    page_size: int = 0
    user_version: int = 0
    readable: list[Readable] = field(default_factory=list)
    unchecked: str = ""

    @property
    def sound(self) -> bool:
        """Whether integrity_check found nothing."""
        return self.integrity == [OK]


def open_copy(path: Path) -> sqlite3.Connection:
    """A copy that nobody writes: opened without leaving anything next to it."""
    connection = sqlite3.connect(uri(path) + "&immutable=1", uri=True, isolation_level=None)
    # Damaged text must not stop the reading of a row.
    connection.text_factory = bytes
    return connection


def check_copy(path: Path) -> Soundness:
    """Check a copy; what is damaged is reported, never raised."""
    found = Soundness()
    if path.stat().st_size == 0:
        found.integrity = [OK]
        return found
    with closing(open_copy(path)) as connection:
        found.integrity, found.unchecked = _messages(connection, path)
        lacking = Counter(_names(_ask(connection, "PRAGMA foreign_key_check")))
        found.foreign_keys = dict(sorted(lacking.items()))
        found.pages = _number(connection, "PRAGMA page_count") or 0
        found.page_size = _number(connection, "PRAGMA page_size") or 0
        found.user_version = _number(connection, "PRAGMA user_version") or 0
        tables = _names(_ask(connection, _TABLES))
        found.rows = {t: _number(connection, row_count_sql(t)) for t in tables}
        if not found.sound:
            found.readable = [readable(connection, table) for table in tables]
    return found


def _messages(connection: sqlite3.Connection, path: Path) -> tuple[list[str], str]:
    """What SQLite's own check says, and why it was not the whole one ("" where it was)."""

    def ask(check: str) -> list[str]:
        return _names(connection.execute(f"PRAGMA {check}({_MOST_MESSAGES})").fetchall())

    try:
        foreign = sorted(foreign_collations(connection))
        know_collations(connection)
        said, functions = with_functions(connection, lambda: ask("integrity_check"))
        foreign += functions
        # Whether an index has what a foreign collation or function says, only its program knows.
        said = ask("quick_check") if foreign else said
        if said == [OK] and (lost := orphan_pages(path)):
            said = [f"pages that nothing leads to: {lost:,}"]
        return said, ", ".join(foreign)
    except sqlite3.Error as error:
        return [str(error)], ""


def _ask(connection: sqlite3.Connection, query: str, *values: int) -> list[Any] | None:
    """The rows of a query; None where they cannot be read."""
    try:
        return connection.execute(query, values).fetchall()
    except sqlite3.Error:
        return None


def _names(rows: list[Any] | None) -> list[str]:
    return [row[0].decode("utf-8", "replace") for row in rows or ()]


def _number(connection: sqlite3.Connection, query: str) -> int | None:
    rows = _ask(connection, query)
    return None if rows is None else int(rows[0][0])


def refuses_writes(path: Path) -> bool:
    """Whether a copy refuses writes for good: its file had been switched to PostgreSQL."""
    if path.stat().st_size == 0:
        return False
    with closing(open_copy(path)) as connection:
        connection.text_factory = str
        # Of a damaged copy other lines tell.
        with suppress(sqlite3.DatabaseError):
            return frozen_until(connection) == FOR_GOOD
    return False


def readable(connection: sqlite3.Connection, table: str) -> Readable:
    """Read every row that can be read, around the damaged pages."""
    found = Readable(table)
    position = _FIRST
    while True:
        last, error = _read_on(connection, found, position)
        if not error:
            return found
        found.error = found.error or error
        following = _next_start(connection, table, max(last, -1))
        if following is None:
            return found
        position = following


def _read_on(connection: sqlite3.Connection, found: Readable, start: int) -> tuple[int, str]:
    """Read rows from rowid `start` until the end or an error; the last rowid read or tried.

    From `start`, not from above the rowid before it: that one's page may be the damaged one.
    """
    first: int | None = None
    last = start
    error = ""
    try:
        for row in connection.execute(
            f"SELECT rowid, * FROM {quoted(found.table)} WHERE rowid >= ? ORDER BY rowid", (start,)
        ):
            first = row[0] if first is None else first
            last = row[0]
            found.rows += 1
    except sqlite3.Error as raised:
        error = str(raised)
    if first is not None:
        found.ranges.append((first, last))
    return last, error


def _next_start(connection: sqlite3.Connection, table: str, last: int) -> int | None:
    """The least rowid above `last` from which reading works again, None where none is left."""
    bad, good, step = last, last, 1
    for probe in range(_SMALL_STEPS + 64):
        good = min(good + step, _LAST)
        state = _probe(connection, table, good)
        if state is not None:
            break
        if good == _LAST:
            return None
        bad = good
        step = _STEP if probe < _SMALL_STEPS else step * 2
    else:
        return None
    while good - bad > 1:
        middle = (good + bad) // 2
        if _probe(connection, table, middle) is None:
            bad = middle
        else:
            good = middle
    return good if _probe(connection, table, good) else None


def _probe(connection: sqlite3.Connection, table: str, rowid: int) -> bool | None:
    """Is there a row from here on? None where the page cannot be read."""
    query = f"SELECT rowid, * FROM {quoted(table)} WHERE rowid >= ? ORDER BY rowid LIMIT 1"
    rows = _ask(connection, query, rowid)
    return None if rows is None else bool(rows)
