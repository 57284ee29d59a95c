"""Putting capture into a live file, telling how it stands, taking it out again."""

from __future__ import annotations

import sqlite3
import uuid
from contextlib import suppress
from pathlib import Path

from stillme.transfer.errors import LegacyFileError
from stillme.transfer.plumbing.own_sql import CaptureStatus, Health, is_own_text, status_of
from stillme.transfer.sqlite.capture.log import ChangeLog, last_sequence
from stillme.transfer.sqlite.capture.tables import CapturedTable, write_transaction
from stillme.transfer.sqlite.capture.templates import (
    CHANGE_TABLE,
    CHANGE_TABLE_SQL,
    FREEZE_PREFIX,
    PREFIX,
    capture_triggers,
)
from stillme.transfer.sqlite.reading.connect import quoted


def status(connection: sqlite3.Connection, tables: list[CapturedTable]) -> CaptureStatus:
    """Compare the triggers in a file with those that this version would write."""
    expected = {n: sql for t in tables for n, sql in capture_triggers(t).items()}
    found = own_triggers(connection, PREFIX)
    log = _change_table(connection)
    if not found and log is None:
        return CaptureStatus(Health.ABSENT)
    capture_id = ChangeLog(connection).capture_id() if log == CHANGE_TABLE_SQL else ""
    edited = [f"{n} was edited by hand" for n, sql in found.items() if not is_own_text(sql)]
    if log is not None and log != CHANGE_TABLE_SQL:
        edited.append(f"the table {CHANGE_TABLE} is not as it was made")
    other = [f"{n} is of another version or table" for n in found if expected.get(n) != found[n]]
    missing = [f"{n} is missing" for n in expected if n not in found]
    if log is None or not capture_id:
        missing.append(f"the table {CHANGE_TABLE} is missing or has lost its first row")
    return status_of(edited, other, missing, capture_id or None)


def install(
    path: Path,
    tables: list[CapturedTable],
    *,
    identity: str = "",
    renew: bool = False,
    timeout: float = 5.0,
) -> CaptureStatus:
    """Install or renew capture in one short transaction. Raises LegacyFileError.

    The log and its identity survive where they are sound; after anything but a healthy capture
    writes may have gone unseen, so a new identity (`identity`, or a random one) is given: the
    follower then asks for a load. `renew` gives one in any case, for a file that was put back
    from a copy.
    """
    with write_transaction(path, timeout=timeout) as connection:
        before = status(connection, tables)
        if renew or not before.is_healthy:
            drop_triggers(connection, PREFIX)
            create_log(connection, identity or uuid.uuid4().hex)
            create_triggers(connection, tables)
        after = status(connection, tables)
        if not after.is_healthy:
            raise LegacyFileError(
                f"The triggers in {path} differ from what was written ({after.problems[0]}): "
                "nothing was changed; see docs/how-it-works/capture-and-cut-over.md."
            )
    return after


def create_log(connection: sqlite3.Connection, identity: str) -> None:
    """A change table with this identity. The numbers go on where an old table had them."""
    last = 0
    if _change_table(connection) is not None:
        # Somebody may have made the table again, without that column.
        with suppress(sqlite3.OperationalError):
            last = last_sequence(connection)
        connection.execute(f"DROP TABLE {CHANGE_TABLE}")
    connection.execute(CHANGE_TABLE_SQL)
    connection.execute(
        f"INSERT INTO {CHANGE_TABLE} (sequence, name, key) VALUES (0, '', ?)", (identity,)
    )
    if last > 0:
        connection.execute(
            f"INSERT INTO {CHANGE_TABLE} (sequence, name, key) VALUES (?, '', NULL)", (last,)
        )


def create_triggers(connection: sqlite3.Connection, tables: list[CapturedTable]) -> None:
    """Create the capture triggers (the caller's transaction)."""
    for table in tables:
        for sql in capture_triggers(table).values():
            connection.execute(sql)


def remove(path: Path, *, timeout: float = 5.0) -> bool:
    """Take capture and freeze out; the rest of the schema is compared before the commit.

    Returns False where there was nothing to remove. Raises LegacyFileError.
    """
    with write_transaction(path, timeout=timeout) as connection:
        before = _objects(connection)
        triggers = (PREFIX, FREEZE_PREFIX)
        others = [o for o in before if not o[1].startswith(triggers) and o[1] != CHANGE_TABLE]
        drop_triggers(connection, PREFIX)
        drop_triggers(connection, FREEZE_PREFIX)
        connection.execute(f"DROP TABLE IF EXISTS {CHANGE_TABLE}")
        if _objects(connection) != others:
            raise LegacyFileError(
                f"Taking capture out of {path} would change its schema: nothing was changed."
            )
    return others != before


def own_triggers(connection: sqlite3.Connection, prefix: str) -> dict[str, str]:
    """Name -> statement of the triggers whose name starts with `prefix`."""
    return dict(
        connection.execute(
            "SELECT name, sql FROM sqlite_master WHERE type = 'trigger' "
            "AND substr(name, 1, ?) = ? ORDER BY name",
            (len(prefix), prefix),
        ).fetchall()
    )


def _objects(connection: sqlite3.Connection) -> list[tuple[str, ...]]:
    rows = connection.execute("SELECT type, name, tbl_name, sql FROM sqlite_master")
    return sorted(rows, key=str)


def drop_triggers(connection: sqlite3.Connection, prefix: str) -> None:
    """Drop the triggers whose name starts with `prefix` (the caller's transaction)."""
    for name in own_triggers(connection, prefix):
        connection.execute(f"DROP TRIGGER {quoted(name)}")


def _change_table(connection: sqlite3.Connection) -> str | None:
    row = connection.execute(
        "SELECT sql FROM sqlite_master WHERE type = 'table' AND name = ?", (CHANGE_TABLE,)
    ).fetchone()
    return None if row is None else str(row[0])
