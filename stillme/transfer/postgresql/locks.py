"""One importer at a time: advisory locks held by a session of their own.

Taken by bare statements (Citus wants that). The owner's session ends with its process, and the
lock with it.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from django.db import DatabaseError, connections
from django.db.backends.base.base import BaseDatabaseWrapper

from stillme.postgresql.silence import end_with_client
from stillme.transfer.errors import Busy
from stillme.transfer.postgresql.copy import fetch_all

# "stillme" in ASCII digits, shortened to 31 bits: classid of all our advisory locks.
_CLASS = 0x7374696C
WRITER = 1
WORKER = 2
# Seconds in which a session that lost its process, or a worker's last chunk, may end.
_PATIENCE = {WRITER: 3.0, WORKER: 10.0}
_PAUSE = 0.1
_HELD = (
    "l.locktype = 'advisory' AND l.granted AND l.classid = %s AND l.objid = %s AND l.database = "
    "(SELECT oid FROM pg_database WHERE datname = current_database())"
)
# The upper half of the one-number locks of shared ranges; the lower half is the range's key.
_RANGES = 0x73746C << 40


@contextmanager
def exclusive(alias: str, lock: int = WRITER) -> Iterator[None]:
    """Hold the lock, on a connection of its own. Raises Busy where somebody else has it.

    Also raises Busy where a worker of a killed run still finishes its chunk after some seconds.
    """
    connection = connections[alias].copy()
    # Also in a web process, and where the machine with the lock may lose its network.
    end_with_client(None, connection)
    try:
        if not _try_for_a_moment(connection, lock):
            raise Busy(
                "Another import, replay or cut-over is writing to this target"
                f"{_holder(connection, lock)}"
            )
        if not _try_for_a_moment(connection, WORKER):
            raise Busy(
                "A worker of an earlier run is still writing its last chunk"
                f"{_holder(connection, WORKER)}"
            )
        fetch_all(connection, "SELECT pg_advisory_unlock(%s, %s)", [_CLASS, WORKER])
        try:
            yield
        finally:
            # The server ends a session some time after it was closed; the next command may come
            # sooner. Where the server is gone, so is the lock.
            with suppress(DatabaseError):
                fetch_all(connection, "SELECT pg_advisory_unlock(%s, %s)", [_CLASS, lock])
    finally:
        connection.close()


def _holder(connection: BaseDatabaseWrapper, lock: int) -> str:
    """The end of a sentence: who holds the lock, and what to do about it.

    The server tells where a session comes from to its own role only.
    """
    sql = (
        "SELECT a.pid, coalesce(host(a.client_addr), 'this machine'), "
        "coalesce(to_char(a.backend_start AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS'), '') "
        f"FROM pg_locks l JOIN pg_stat_activity a USING (pid) WHERE {_HELD} "
        "ORDER BY a.backend_start LIMIT 1"
    )
    found = fetch_all(connection, sql, [_CLASS, lock])
    if not found:
        return ", or was until now: run the command again."
    pid, where, since = found[0]
    who = f"session {pid} of the server"
    if since:
        who += f", from {where}, since {since} UTC"
    return (
        f" ({who}): wait until it has ended and run again. If its process was killed, the server "
        "ends the session in some seconds; if its machine or network is gone, in a minute or two, "
        f"or at once by SELECT pg_terminate_backend({pid})."
    )


def is_held(alias: str, lock: int = WRITER) -> bool:
    """Whether somebody holds the lock in this database; asks without taking it."""
    sql = f"SELECT EXISTS (SELECT 1 FROM pg_locks l WHERE {_HELD})"
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
