"""The DatabaseWrapper: Django's PostgreSQL backend with what this project adds."""

from __future__ import annotations

import select
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import psycopg
from django.db.backends.postgresql import base
from psycopg.pq import Format
from psycopg_pool import ConnectionPool, PoolClosed

from stillme.postgresql.client import DatabaseClient
from stillme.postgresql.connecting import session
from stillme.postgresql.embedded.server import ensure_server, revive_server
from stillme.postgresql.introspection import DatabaseIntrospection
from stillme.postgresql.operations import DatabaseOperations
from stillme.postgresql.prepared import fetch_prepared
from stillme.postgresql.schema import DatabaseSchemaEditor

# Seconds. A session that died within them is like one that dies under its statement.
BELIEVED = 0.1
AGAIN = 0.5  # seconds between two attempts to connect

# As a name without a type: the stubs do not know that it is a psycopg cursor.
_Preparing: Any = base.ServerBindingCursor


class SteadyPool(ConnectionPool[Any]):
    """A pool that tries to connect twice a second while the server is down.

    psycopg's waits 1, 2, 4, 8, ... seconds between attempts. After a restart of five seconds the
    server had been up for a while when the pool tried again, and callers who had waited
    DB_POOL_TIMEOUT were refused.
    """

    def schedule_task(self, task: Any, delay: float) -> None:
        """Psycopg's; a task that has an `attempt` is the next attempt to connect."""
        super().schedule_task(task, min(delay, AGAIN) if hasattr(task, "attempt") else delay)


class DatabaseWrapper(base.DatabaseWrapper):
    """Django's, for tables in any schema; starts the embedded server when there is no other."""

    _connection_pools: ClassVar[dict[str, Any]]

    SchemaEditorClass = DatabaseSchemaEditor
    client_class = DatabaseClient
    introspection_class = DatabaseIntrospection
    ops_class = DatabaseOperations

    @property
    def pool(self) -> Any:
        """Django's, None without the option `pool`; not open yet, so it may become another kind."""
        pool = super().pool
        if type(pool) is ConnectionPool:
            pool.__class__ = SteadyPool
        return pool

    def get_connection_params(self) -> dict[str, Any]:
        """Django's parameters; the embedded server runs when this returns."""
        self.ensure_embedded_server()
        return super().get_connection_params()

    def ensure_embedded_server(self) -> None:
        """Start the embedded server if the settings name no other, and point them at it."""
        # An open pool has found its server; asking again took a tenth of a small call.
        pool = self._connection_pools.get(self.alias)
        if pool is not None and not pool.closed:
            return
        if embedded := self.settings_dict.get("EMBEDDED"):
            socket_directory = ensure_server(Path(embedded["directory"]), embedded["database"])
            self.settings_dict["HOST"] = str(socket_directory)

    def get_new_connection(self, conn_params: dict[str, Any]) -> Any:
        """Connect; an embedded server that went away meanwhile is started again, once."""
        try:
            self._try_server_before_pool(conn_params)
            return self._living_connection(conn_params)
        except psycopg.OperationalError:
            embedded = self.settings_dict.get("EMBEDDED")
            if not embedded or not revive_server(Path(embedded["directory"])):
                raise
        return super().get_new_connection(conn_params)

    def _configure_connection(self, connection: Any) -> bool:
        """Django's; and what the role's own settings must not change.

        Without a name it is the server's own database, from which others are made.
        """
        if self.settings_dict["NAME"]:
            session.check_encoding(connection)
        configured: bool = super()._configure_connection(connection)  # type: ignore[misc]
        return session.configure(connection) or configured

    def fetch_prepared(
        self, sql: str, parameters: Sequence[Any], answer: Format = Format.TEXT
    ) -> list[tuple[Any, ...]]:
        """The rows of one statement with server-side parameters, prepared where it repeats.

        With a pool, and where this thread has no connection open, the session is the pool's for
        just this statement: opening and closing it as Django's connection does cost a fifth of
        the processor time of a small insert.
        """
        with self.wrap_database_errors:
            if not self._may_borrow():
                return self._fetch(self._prepared_cursor(), sql, parameters, answer)
            session = self.get_new_connection({})
            try:
                rows = fetch_prepared(session, sql, parameters, answer)
                if rows is None:
                    rows = self._fetch(_Preparing(session), sql, parameters, answer)
                return rows
            finally:
                session._pool.putconn(session)

    def _may_borrow(self) -> bool:
        """Whether nothing of Django's needs to see the statement or to own its session."""
        pool = self._connection_pools.get(self.alias)
        watched = (
            self.execute_wrappers or self.queries_logged or not self.settings_dict["AUTOCOMMIT"]
        )
        owned = self.connection is not None or self.in_atomic_block
        return not (pool is None or pool.closed or watched or owned)

    def _prepared_cursor(self) -> Any:
        """A cursor that prepares (where OPTIONS has a `prepare_threshold`); Django's never do."""
        self.ensure_connection()
        return self._prepare_cursor(_Preparing(self.connection))  # type: ignore[attr-defined]

    @staticmethod
    def _fetch(
        cursor: Any, sql: str, parameters: Sequence[Any], answer: Format
    ) -> list[tuple[Any, ...]]:
        with cursor:
            # Through Django's wrapper an attribute would be set on the wrapper.
            getattr(cursor, "cursor", cursor).format = answer
            cursor.execute(sql, parameters)
            found: list[tuple[Any, ...]] = cursor.fetchall()
            return found

    def _try_server_before_pool(self, conn_params: dict[str, Any]) -> None:
        """Connect once directly before the pool opens.

        A pool hides why it cannot connect: it tries for its whole timeout and then reports only
        that it ran out. A direct connection says at once what is wrong.
        """
        if not self.settings_dict["OPTIONS"].get("pool"):
            return
        pool = self._connection_pools.get(self.alias)
        if pool is None or pool.closed:
            with psycopg.connect(**conn_params) as connection:
                session.check_encoding(connection)

    def _living_connection(self, conn_params: dict[str, Any]) -> Any:
        """A connection of the pool that is not dead; the dead ones are thrown away.

        In place of CONN_HEALTH_CHECKS, whose statement at every checkout cost a third of a small
        insert: an idle session has nothing to say, so one whose socket can be read was ended by
        the server, or is asked; one that was quiet a moment ago is believed.
        """
        connection = self._new_or_pooled(conn_params)
        if not self.settings_dict["OPTIONS"].get("pool"):
            return connection
        while not seen_alive_lately(connection) and is_dead(connection):
            connection.close()
            connection._pool.putconn(connection)
            connection = self._new_or_pooled(conn_params)
        return connection

    def _new_or_pooled(self, conn_params: dict[str, Any]) -> Any:
        """Django's; where a fork in another thread closed the pool (`forks`), the next one's."""
        while True:
            pool = self._connection_pools.get(self.alias)
            try:
                return super().get_new_connection(conn_params)
            except PoolClosed:
                if pool is not None and pool is self._connection_pools.get(self.alias):
                    raise  # nobody made a next one


def seen_alive_lately(connection: psycopg.Connection[Any]) -> bool:
    """Whether the session was handed out less than BELIEVED seconds ago; notes that it is now.

    Under load every look at the socket hands the interpreter to another thread and waits for it.
    """
    now = time.monotonic()
    before = connection.__dict__.get("stillme_handed_out")
    connection.__dict__["stillme_handed_out"] = now
    return before is not None and now - before < BELIEVED


def is_dead(connection: psycopg.Connection[Any]) -> bool:
    """Whether the server has ended an idle session; costs no round trip while it is quiet."""
    try:
        poll = select.poll()
        poll.register(connection.fileno(), select.POLLIN | select.POLLHUP | select.POLLERR)
        if poll.poll(0):
            connection.execute("SELECT 1")
            if not connection.autocommit:
                connection.rollback()
    except psycopg.Error:
        return True
    return False
