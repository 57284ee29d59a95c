"""One importer at a time: advisory locks held by a session of their own.

Taken by bare statements (Citus wants that). The owner's session ends with its process, and the
lock with it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper

from stillme.transfer.errors import Busy
from stillme.transfer.postgresql.copy import fetch_all

# "stillme" in ASCII digits, shortened to 31 bits: classid of all our advisory locks.
_CLASS = 0x7374696C
WRITER = 1
WORKER = 2


@contextmanager
def exclusive(alias: str, lock: int = WRITER) -> Iterator[None]:
    """Hold the lock, on a connection of its own. Raises Busy where somebody else has it.

    Also raises Busy while a worker of a killed run still finishes its chunk.
    """
    connection = connections[alias].copy()
    try:
        if not _try(connection, "pg_try_advisory_lock", lock):
            raise Busy(
                "Another import, replay or cut-over is writing to this target: "
                "wait until it has ended and run again."
            )
        if not _try(connection, "pg_try_advisory_lock", WORKER):
            raise Busy(
                "A worker of an earlier run is still writing its last chunk: "
                "wait some seconds and run again."
            )
        fetch_all(connection, "SELECT pg_advisory_unlock(%s, %s)", [_CLASS, WORKER])
        yield
    finally:
        connection.close()


def share_as_worker(connection: BaseDatabaseWrapper) -> None:
    """Tell a later run that this worker is alive, until its session ends."""
    fetch_all(connection, "SELECT pg_advisory_lock_shared(%s, %s)", [_CLASS, WORKER])


def _try(connection: BaseDatabaseWrapper, function: str, lock: int) -> bool:
    return bool(fetch_all(connection, f"SELECT {function}(%s, %s)", [_CLASS, lock])[0][0])
