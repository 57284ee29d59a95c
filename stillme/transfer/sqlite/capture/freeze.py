"""Refusing writes to a legacy file while it is switched over.

A freeze with a deadline lifts itself: a cut-over that dies before its mark leaves writers locked
out for no longer than its limit. The cut-over makes it permanent just before it sets the mark.
"""

from __future__ import annotations

import re
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path

from stillme.transfer.conf import conf
from stillme.transfer.key_columns import KeyColumns
from stillme.transfer.sqlite.capture.install import drop_triggers, own_triggers
from stillme.transfer.sqlite.capture.log import last_sequence
from stillme.transfer.sqlite.capture.tables import CapturedTable, write_transaction
from stillme.transfer.sqlite.capture.templates import (
    CHANGE_TABLE,
    FREEZE_PREFIX,
    freeze_triggers,
)
from stillme.transfer.sqlite.schema.found import folded

MESSAGE = (
    f"{conf().subject} has moved to PostgreSQL and this SQLite file takes no more writes: "
    "point the application at the new database (see manage.py migration_status)"
)
FOR_GOOD = float("inf")
_UNTIL = re.compile(r"julianday\('now'\) < ([0-9.]+)")


def freeze(
    path: Path,
    tables: list[CapturedTable],
    *,
    seconds: float | None,
    timeout: float = 5.0,
    at_lock: Callable[[], None] = lambda: None,
) -> int:
    """Refuse writes, for good (None) or until `seconds` after this call; the last change before it.

    The write lock that the DDL takes makes it exact: a write is logged before or refused after.
    `at_lock` is called as soon as the lock is held. Raises LegacyFileError.
    """
    called = time.monotonic()
    with write_transaction(path, timeout=timeout) as connection:
        at_lock()
        # The wait for the lock counts: the file is free again when the caller expects it.
        left = None if seconds is None else seconds - (time.monotonic() - called)
        create_freeze(connection, tables, seconds=left)
        return last_sequence(connection)


def create_freeze(
    connection: sqlite3.Connection,
    tables: list[CapturedTable],
    *,
    seconds: float | None,
) -> None:
    """Replace the freeze triggers on every table of the file, in the caller's transaction."""
    drop_freeze(connection)
    until = None
    if seconds is not None:
        until = float(
            connection.execute("SELECT julianday('now') + ? / 86400.0", (seconds,)).fetchone()[0]
        )
    freeze_tables(connection, [*tables, *_other_tables(connection, tables)], until)


def freeze_tables(
    connection: sqlite3.Connection, tables: list[CapturedTable], until: float | None = None
) -> None:
    """Make the freeze triggers of these tables and of no other (the caller's transaction)."""
    for table in tables:
        for sql in freeze_triggers(table, MESSAGE, until).values():
            connection.execute(sql)


def _other_tables(
    connection: sqlite3.Connection, tables: list[CapturedTable]
) -> list[CapturedTable]:
    """Tables that no model declares: a file that was switched takes no writes there either.

    SQLite lets no trigger stand on a virtual table, but on those in which it keeps its rows.
    """
    known = {folded(table.name) for table in tables}
    names = connection.execute(
        "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' "
        "ESCAPE '\\' AND sql NOT LIKE 'CREATE VIRTUAL%' AND name <> ? ORDER BY name",
        (CHANGE_TABLE,),
    )
    return [CapturedTable(n, KeyColumns(), False, True) for (n,) in names if folded(n) not in known]


def unfreeze(path: Path, *, timeout: float = 5.0) -> None:
    """Let writes in again. Raises LegacyFileError."""
    with write_transaction(path, timeout=timeout) as connection:
        drop_freeze(connection)


def drop_freeze(connection: sqlite3.Connection) -> None:
    """Drop the freeze triggers (the caller's transaction)."""
    drop_triggers(connection, FREEZE_PREFIX)


def has_freeze(connection: sqlite3.Connection) -> bool:
    """Whether there are freeze triggers, in force or run out."""
    return bool(own_triggers(connection, FREEZE_PREFIX))


def frozen_until(connection: sqlite3.Connection) -> float | None:
    """None where writes are let in, seconds left of a freeze, or `FOR_GOOD`."""
    triggers = own_triggers(connection, FREEZE_PREFIX)
    if not triggers:
        return None
    until = [_UNTIL.search(sql) for sql in triggers.values()]
    if None in until:
        return FOR_GOOD
    last = max(float(match[1]) for match in until if match)
    left = connection.execute("SELECT (? - julianday('now')) * 86400.0", (last,)).fetchone()[0]
    return float(left) if left > 0 else None
