"""The connection pool of a process: psycopg's, back within a second after an outage."""

from __future__ import annotations

from typing import Any

from psycopg_pool import ConnectionPool
from psycopg_pool.base import AttemptWithBackoff


class SteadyAttempts(AttemptWithBackoff):
    """Attempts to connect, half a second apart."""

    INITIAL_DELAY = 0.5
    DELAY_BACKOFF = 1.0


class SteadyPool(ConnectionPool[Any]):
    """A pool that tries to connect twice a second while the server is down.

    psycopg's waits 1, 2, 4, 8, ... seconds between attempts. After a restart of five seconds the
    server had been up for a while when the pool tried again, and callers who had waited
    DB_POOL_TIMEOUT were refused.
    """

    def _add_connection(self, attempt: AttemptWithBackoff | None, growing: bool = False) -> None:
        super()._add_connection(
            attempt or SteadyAttempts(timeout=self.reconnect_timeout), growing=growing
        )
