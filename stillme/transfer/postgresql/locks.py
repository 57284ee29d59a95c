"""One importer at a time: advisory locks held by a session of their own.

Taken by bare statements (Citus wants that). The owner's session ends with its process, and the
lock with it.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import psycopg
from django.db import DatabaseError, OperationalError, connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper

from stillme.transfer.errors import Busy
from stillme.transfer.postgresql.copy import fetch_all

# "stillme" in ASCII digits, shortened to 31 bits: classid of all our advisory locks.
_CLASS = 0x7374696C
WRITER = 1
WORKER = 2
# Shared by whoever replays or loads; alone for a moment by whoever decides about a set-aside row.
ROWS = 3
# Seconds in which a session that lost its process, or a worker's last chunk, may end.
_PATIENCE = {WRITER: 2.0, WORKER: 10.0}
_PAUSE = 0.1
_DECISION = "5s"
_IN_THE_WAY = (
    "An import, a cut-over, a rollback or somebody's open transaction has the rows of this target: "
    "wait until it has ended and run again."
)
# The upper half of the one-number locks of shared ranges; the lower half is the range's key.
_RANGES = 0x73746C << 40


@contextmanager
def exclusive(alias: str, lock: int = WRITER, *, in_rounds: bool = False) -> Iterator[None]:
    """Hold the lock, on a connection of its own. Raises Busy where somebody else has it.

    Also raises Busy where a worker of a killed run still finishes its chunk after some seconds.
    Nobody decides about set-aside rows meanwhile, unless the caller works `in_rounds`: then each
    of its transactions calls `share_rows`, and decisions come in between.
    """
    connection = connections[alias].copy()
    try:
        if not _try_for_a_moment(connection, lock):
            raise Busy(
                "Another import, replay or cut-over is writing to this target: "
                "wait until it has ended and run again."
            )
        if not _try_for_a_moment(connection, WORKER):
            raise Busy(
                "A worker of an earlier run is still writing its last chunk: "
                "wait some seconds and run again."
            )
        fetch_all(connection, "SELECT pg_advisory_unlock(%s, %s)", [_CLASS, WORKER])
        if not in_rounds:
            fetch_all(connection, "SELECT pg_advisory_lock_shared(%s, %s)", [_CLASS, ROWS])
        try:
            yield
        finally:
            # The server ends a session some time after it was closed; the next command may come
            # sooner. Where the server is gone, so is the lock.
            with suppress(DatabaseError):
                fetch_all(connection, "SELECT pg_advisory_unlock(%s, %s)", [_CLASS, lock])
                if not in_rounds:
                    fetch_all(
                        connection, "SELECT pg_advisory_unlock_shared(%s, %s)", [_CLASS, ROWS]
                    )
    finally:
        connection.close()


def share_rows(alias: str) -> None:
    """Keep decisions about set-aside rows out until the caller's transaction ends."""
    fetch_all(connections[alias], "SELECT pg_advisory_xact_lock_shared(%s, %s)", [_CLASS, ROWS])


@contextmanager
def deciding(alias: str) -> Iterator[None]:
    """A transaction that nobody replays or loads beside. Raises Busy after some seconds.

    A follower lets it in between two rounds; an import or a cut-over does not.
    """
    try:
        with transaction.atomic(using=alias):
            connection = connections[alias]
            fetch_all(connection, "SELECT set_config('lock_timeout', %s, true)", [_DECISION])
            fetch_all(connection, "SELECT pg_advisory_xact_lock(%s, %s)", [_CLASS, ROWS])
            if not _try(connection, "pg_try_advisory_xact_lock", WORKER):
                raise Busy(_IN_THE_WAY)
            yield
    except OperationalError as error:
        if isinstance(error.__cause__, psycopg.errors.LockNotAvailable):
            raise Busy(_IN_THE_WAY) from error
        raise


def is_held(alias: str, lock: int = WRITER) -> bool:
    """Whether somebody holds the lock in this database; asks without taking it."""
    sql = (
        "SELECT EXISTS (SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND granted "
        "AND database = (SELECT oid FROM pg_database WHERE datname = current_database()) "
        "AND classid = %s AND objid = %s)"
    )
    return bool(fetch_all(connections[alias], sql, [_CLASS, lock])[0][0])


def share_as_worker(connection: BaseDatabaseWrapper) -> None:
    """Tell a later run that this worker is alive, until its session ends."""
    fetch_all(connection, "SELECT pg_advisory_lock_shared(%s, %s)", [_CLASS, WORKER])


def leave_as_worker(connection: BaseDatabaseWrapper) -> None:
    """Tell a later run now that this worker has ended: the session itself ends some time later."""
    with suppress(DatabaseError):
        fetch_all(connection, "SELECT pg_advisory_unlock_shared(%s, %s)", [_CLASS, WORKER])


@contextmanager
def sharing_as_worker(connection: BaseDatabaseWrapper) -> Iterator[None]:
    """`share_as_worker` for the time of a block."""
    share_as_worker(connection)
    try:
        yield
    finally:
        leave_as_worker(connection)


@contextmanager
def claimed(connection: BaseDatabaseWrapper, range_id: int) -> Iterator[bool]:
    """Hold the lock of a shared range, if nobody else does; yields whether it is held.

    The lock belongs to the session: it ends with a process that is killed.
    """
    key = _RANGES | range_id
    held = bool(fetch_all(connection, "SELECT pg_try_advisory_lock(%s)", [key])[0][0])
    try:
        yield held
    finally:
        if held:
            with suppress(DatabaseError):
                fetch_all(connection, "SELECT pg_advisory_unlock(%s)", [key])


def _try_for_a_moment(connection: BaseDatabaseWrapper, lock: int) -> bool:
    """The session of a process that was just killed needs a moment to end."""
    deadline = time.monotonic() + _PATIENCE[lock]
    while not (held := _try(connection, "pg_try_advisory_lock", lock)):
        if time.monotonic() > deadline:
            break
        time.sleep(_PAUSE)
    return held


def _try(connection: BaseDatabaseWrapper, function: str, lock: int) -> bool:
    return bool(fetch_all(connection, f"SELECT {function}(%s, %s)", [_CLASS, lock])[0][0])
