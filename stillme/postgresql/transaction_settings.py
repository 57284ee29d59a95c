"""Settings of a transaction (`SET LOCAL`), on every node of a Citus cluster.

Citus keeps a bare ``SET LOCAL`` on the coordinator, and runs the queries on workers that never
heard of it: an index scan that was switched off is used, a lock timeout does not hold, recall of a
vector search falls (measured on Citus 14: 0.830 for 0.945). Nobody else writes SET LOCAL; a test
looks for it.
"""

from __future__ import annotations

from collections.abc import Mapping

from django.db.backends.base.base import BaseDatabaseWrapper
from psycopg import sql

from stillme.postgresql.distributed import distributed_tables
from stillme.postgresql.statements import execute

# Must be said before the others: what was set earlier in the transaction stays on this node.
_ON_EVERY_NODE = "SET LOCAL citus.propagate_set_commands = 'local'"


def set_local(connection: BaseDatabaseWrapper, settings: Mapping[str, str | int | None]) -> None:
    """Set parameters until the transaction ends; None gives back the session's own value.

    Never sent together with other statements: Citus hands the nodes the whole text that a SET came
    in, and they refuse a query in it.
    """
    statements = [f"SET LOCAL {name} TO {_spelled(value)}" for name, value in settings.items()]
    if distributed_tables(connection):
        statements.insert(0, _ON_EVERY_NODE)
    execute(connection, "; ".join(statements))


def _spelled(value: str | int | None) -> str:
    return "DEFAULT" if value is None else sql.Literal(value).as_string()
