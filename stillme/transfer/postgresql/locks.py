"""One importer at a time: advisory locks held by a session of their own.

Taken by bare statements (Citus wants that). The owner's session ends with its process, and the
lock with it.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import psycopg
from django.db import DatabaseError, OperationalError, connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper

from stillme.postgresql.connecting.silence import end_with_client
from stillme.postgresql.statements import fetch_all, set_local
from stillme.transfer.errors import Busy, TargetError

# "stillme" in ASCII digits, shortened to 31 bits: classid of all our advisory locks.
_CLASS = 0x7374696C
WRITER = 1
WORKER = 2
# Shared by whoever replays or loads; alone for a moment by whoever decides about a set-aside row.
ROWS = 3
# Seconds in which a session that lost its process, or a worker's last chunk, may end.
_PATIENCE = {WRITER: 3.0, WORKER: 10.0}
_PAUSE = 0.1
_HELD = (
    "l.locktype = 'advisory' AND l.granted AND l.classid = %s AND l.objid = %s AND l.database = "
    "(SELECT oid FROM pg_database WHERE datname = current_database())"
)
_DECISION = "5s"
_IN_THE_WAY = (
    "An import, a cut-over, a rollback or somebody's open transaction has the rows of this target: "
    "wait until it has ended and run again."
)


# The sessions that hold the lock of writers now, by process and database; the last one counts.
# A forked worker has its parent's, and must not talk through them.
_HOLDING: dict[tuple[int, str], list[BaseDatabaseWrapper]] = {}
_POOLED = (
    "The settings say that a pooler of transactions stands before PostgreSQL "
    "(DISABLE_SERVER_SIDE_CURSORS). It hands a session to somebody else after each transaction, so "
    "no lock would keep another command out: run this with a DATABASE_URL to the server itself."
)
_STANDBY = (
    "DATABASE_URL names a standby: no lock there keeps a command out of the primary, and what it "
    "tells may be of a while ago. Name the primary."
)
_LOST = (
    "The session of the server that kept other commands out has ended (somebody ended it, or a "
    "proxy took it for idle), and another command may have begun: nothing more is written. Run "
    "the same command again."
)


@contextmanager
def exclusive(alias: str, *, in_rounds: bool = False) -> Iterator[None]:
    """Hold the lock, on a connection of its own. Raises Busy where somebody else has it.

    Raises TargetError behind a pooler of transactions, where a lock is of no session, and on a
    standby, which takes locks of its own.

    Also raises Busy where a worker of a killed run still finishes its chunk after some seconds.
    Nobody decides about set-aside rows meanwhile, unless the caller works `in_rounds`: then each
    of its transactions calls `share_rows`, and decisions come in between.
    """
    connection = connections[alias].copy()
    if connection.settings_dict.get("DISABLE_SERVER_SIDE_CURSORS"):
        raise TargetError(_POOLED)
    # Threads of an import ask whether it lives.
    connection.inc_thread_sharing()
    # Also in a web process, and where the machine with the lock may lose its network.
    end_with_client(None, connection)
    holding = _HOLDING.setdefault((os.getpid(), alias), [])
    try:
        # It has nothing to do for hours: the server must not end it for that.
        never = "set_config('idle_session_timeout', '0', false)"
        if fetch_all(connection, f"SELECT pg_is_in_recovery(), {never}")[0][0]:
            raise TargetError(_STANDBY)
        if not _try_for_a_moment(connection, WRITER):
            raise Busy(
                "Another import, replay or cut-over is writing to this target"
                f"{_holder(connection, WRITER)}"
            )
        if not _try_for_a_moment(connection, WORKER):
            raise Busy(
                "A worker of an earlier run is still writing its last chunk"
                f"{_holder(connection, WORKER)}"
            )
        fetch_all(connection, "SELECT pg_advisory_unlock(%s, %s)", [_CLASS, WORKER])
        if not in_rounds:
            fetch_all(connection, "SELECT pg_advisory_lock_shared(%s, %s)", [_CLASS, ROWS])
        holding.append(connection)
        try:
            yield
        finally:
            holding.remove(connection)
            # The server ends a session some time after it was closed; the next command may come
            # sooner. Where the server is gone, so is the lock.
            with suppress(DatabaseError):
                fetch_all(connection, "SELECT pg_advisory_unlock(%s, %s)", [_CLASS, WRITER])
                if not in_rounds:
                    fetch_all(
                        connection, "SELECT pg_advisory_unlock_shared(%s, %s)", [_CLASS, ROWS]
                    )
    finally:
        connection.close()


@contextmanager
def exclusive_transaction(alias: str) -> Iterator[None]:
    """A transaction that is undone where this process has lost the lock of writers it took.

    Another command may have gone on, and put the other side in charge. Raises Busy.
    """
    with transaction.atomic(using=alias, durable=True):
        yield
        # Last: the locks of the tables that were written to hold up that command's mark.
        require_exclusive(alias)


def require_exclusive(alias: str) -> None:
    """Raise Busy where the lock that this process took is lost, because its session has ended.

    `exclusive_transaction` ends with it, and a mark. A follower that has nothing to do asks now
    and then.
    """
    for connection in _HOLDING.get((os.getpid(), alias), [])[-1:]:
        try:
            fetch_all(connection, "SELECT 1")
        except DatabaseError as error:
            raise Busy(_LOST) from error


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


def share_rows(alias: str) -> None:
    """Keep decisions about set-aside rows out until the caller's transaction ends."""
    fetch_all(connections[alias], "SELECT pg_advisory_xact_lock_shared(%s, %s)", [_CLASS, ROWS])


@contextmanager
def deciding(alias: str) -> Iterator[None]:
    """A transaction during which nobody replays or loads. Raises Busy after some seconds.

    A follower lets it in between two rounds; an import or a cut-over does not.
    """
    try:
        with transaction.atomic(using=alias):
            connection = connections[alias]
            set_local(connection, {"lock_timeout": _DECISION})
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
    sql = f"SELECT EXISTS (SELECT 1 FROM pg_locks l WHERE {_HELD})"
    return bool(fetch_all(connections[alias], sql, [_CLASS, lock])[0][0])


def share_as_worker(connection: BaseDatabaseWrapper) -> None:
    """Tell a later run that this worker is alive, until its session ends."""
    fetch_all(connection, "SELECT pg_advisory_lock_shared(%s, %s)", [_CLASS, WORKER])


def leave_as_worker(connection: BaseDatabaseWrapper) -> None:
    """Tell a later run now that this worker has ended: the session itself ends some time later."""
    with suppress(DatabaseError):
        fetch_all(connection, "SELECT pg_advisory_unlock_shared(%s, %s)", [_CLASS, WORKER])


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
