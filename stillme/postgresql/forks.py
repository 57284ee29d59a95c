"""Connections and forks: a pool is closed before, an inherited session is forgotten after.

A pool has threads, which do not survive a fork, and a session that two processes use is garbled.
gunicorn with `preload_app`, multiprocessing and the workers of the import all fork.
"""

from __future__ import annotations

import os
from typing import Any

from django.db import connections
from django.db.backends.postgresql.base import DatabaseWrapper

# Kept referenced: a psycopg connection that is collected closes its socket's file descriptor.
_inherited: list[Any] = []


def install() -> None:
    """Have both done at every fork from now on."""
    os.register_at_fork(before=close_pools, after_in_child=forget_sessions)


def close_pools() -> None:
    """Close the pools of this process; the next connection opens a new one.

    A connection that is in use stays usable, and is closed when it is given back.
    """
    pools = DatabaseWrapper._connection_pools  # type: ignore[attr-defined]
    while pools:
        _, pool = pools.popitem()
        pool.close()


def forget_sessions() -> None:
    """In a child: leave the sessions and pools of the parent alone, and start without any."""
    pools = DatabaseWrapper._connection_pools  # type: ignore[attr-defined]
    _inherited.extend(pools.values())
    pools.clear()
    for connection in connections.all(initialized_only=True):
        if isinstance(connection, DatabaseWrapper) and connection.connection is not None:
            _inherited.append(connection.connection)
            connection.connection = None
            connection.in_atomic_block = False
            connection.savepoint_ids = []
            connection.atomic_blocks = []
            connection.needs_rollback = False
            connection.run_on_commit = []
