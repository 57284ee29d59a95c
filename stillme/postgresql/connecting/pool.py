"""The connection pool of a process: psycopg's, back in half a second after an outage."""

from __future__ import annotations

from typing import Any

from psycopg_pool import ConnectionPool

AGAIN = 0.5  # seconds between two attempts to connect


class SteadyPool(ConnectionPool[Any]):
    """A pool that tries to connect twice a second while the server is down.

    psycopg's waits 1, 2, 4, 8, ... seconds between attempts. After a restart of five seconds the
    server had been up for a while when the pool tried again, and callers who had waited
    DB_POOL_TIMEOUT were refused.
    """

    def schedule_task(self, task: Any, delay: float) -> None:
        """Psycopg's; a task that has an `attempt` is the next attempt to connect."""
        super().schedule_task(task, min(delay, AGAIN) if hasattr(task, "attempt") else delay)
