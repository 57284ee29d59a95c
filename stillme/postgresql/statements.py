"""Run one SQL statement on a Django connection: its rows, or how many rows it touched.

And the settings of a transaction, on every node of a Citus cluster.

``fetch_all(connection, "SELECT id FROM rss.fetch_items WHERE status = %s", ["ok"])`` gives
``[(1,), (2,)]``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper
from psycopg import sql as composed

from stillme.postgresql.distributed import distributed_tables

# Must be said before the others: what was set earlier in the transaction stays on this node.
_ON_EVERY_NODE = "SET LOCAL citus.propagate_set_commands = 'local'"


def fetch_all(
    connection: BaseDatabaseWrapper, sql: str, params: Sequence[Any] = ()
) -> list[tuple[Any, ...]]:
    """Run a query and return its rows."""
    with connection.cursor() as cursor:
        cursor.execute(sql, list(params) or None)
        return list(cursor.fetchall())


def execute(connection: BaseDatabaseWrapper, sql: str, params: Sequence[Any] = ()) -> int:
    """Run a statement and return how many rows it touched."""
    with connection.cursor() as cursor:
        cursor.execute(sql, list(params) or None)
        return int(cursor.rowcount)


def set_local(connection: BaseDatabaseWrapper, settings: Mapping[str, str | int | None]) -> None:
    """Set parameters until the transaction ends; None gives back the session's own value.

    Citus keeps a bare ``SET LOCAL`` on the coordinator, and runs the queries on workers that never
    heard of it: an index scan that was switched off is used, a lock timeout does not hold, recall
    of a vector search falls (measured on Citus 14: 0.734 for 0.906). Nobody else writes SET LOCAL;
    a test looks for it.

    Never sent together with other statements: Citus hands the nodes the whole text that a SET came
    in, and they refuse a query in it.
    """
    statements = [f"SET LOCAL {name} TO {_spelled(value)}" for name, value in settings.items()]
    if distributed_tables(connection):
        statements.insert(0, _ON_EVERY_NODE)
    execute(connection, "; ".join(statements))


def _spelled(value: str | int | None) -> str:
    return "DEFAULT" if value is None else composed.Literal(value).as_string()
