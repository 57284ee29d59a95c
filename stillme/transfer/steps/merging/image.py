"""What a merge reads of a target table: the table itself, or its image where it is on another node.

On a Citus cluster a statement cannot name a table of a worker beside one of the coordinator, which
the stage, the ledger and the quarantine are. There the rows in question are copied into a temporary
table first, and what is found is written back row by row or by COPY. Rows there carry the worker's
transaction ids, which no write mark knows: the engine cannot tell its own rows from others', and
takes all for others'.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.db import connections

from stillme.postgresql.distributed import distributed_tables, is_distributed
from stillme.transfer.errors import StateError
from stillme.transfer.mapping import TableMapping
from stillme.transfer.postgresql.copy import STAGE, execute, fetch_all, quoted

IMAGE = "pg_temp.transfer_image"


def is_elsewhere(alias: str, mapping: TableMapping) -> bool:
    """Whether the rows of the target table are on another node."""
    return is_distributed(connections[alias], mapping.relation)


def to_read(alias: str, mapping: TableMapping, condition: str, values: Sequence[Any]) -> str:
    """The relation to read: the target, or the image of those of its rows (as `t`)."""
    if not is_elsewhere(alias, mapping):
        return mapping.relation
    return make_image(connections[alias], mapping.relation, condition, values)


def staged_to_read(alias: str, mapping: TableMapping) -> str:
    """The same, of the rows that have the keys of the stage."""
    if not is_elsewhere(alias, mapping):
        return mapping.relation
    keys = mapping.key_columns
    staged = fetch_all(connections[alias], f"SELECT {keys.target()} FROM {STAGE}")
    return to_read(alias, mapping, *keys.target_among(staged, "t"))


def make_image(connection: Any, relation: str, condition: str, values: Sequence[Any]) -> str:
    """Copy rows of a table into a temporary table of this node, gone at commit; its name."""
    execute(connection, f"DROP TABLE IF EXISTS {IMAGE}")
    execute(
        connection,
        f"CREATE TEMPORARY TABLE {IMAGE.split('.')[1]} ON COMMIT DROP AS "
        f"SELECT t.* FROM {relation} AS t WHERE {condition}",
        values,
    )
    execute(connection, f"ANALYZE {IMAGE}")
    return IMAGE


def update_rows(
    connection: Any, relation: str, stage: str, keys: Sequence[str], columns: Sequence[str],
    condition: str, values: Sequence[Any],
) -> int:  # fmt: skip
    """Give rows of a table of another node the staged values; how many. By their text: it is
    exact for every type, and an untyped literal takes the column's."""
    names = [quoted(name) for name in (*keys, *columns)]
    parts = ", ".join(f"s.{name}::text" for name in names)
    rows = fetch_all(connection, f"SELECT {parts} FROM {stage} AS s WHERE {condition}", values)
    settings = ", ".join(f"{quoted(name)} = %s" for name in columns)
    found = " AND ".join(f"{quoted(name)} = %s" for name in keys)
    sql = f"UPDATE {relation} SET {settings} WHERE {found}"
    return sum(execute(connection, sql, [*row[len(keys) :], *row[: len(keys)]]) for row in rows)


def refuse_on_cluster(alias: str, what: str) -> None:
    """Raise StateError for what needs triggers on, or the transaction ids of, the target."""
    names = sorted(distributed_tables(connections[alias]))
    if names:
        raise StateError(
            f"{what} does not work once tables are distributed over a Citus cluster "
            f"({names[0]} is): do it before `manage.py distribute` (docs/howto/run-and-scale.md)."
        )
