"""What the target tables take on disk, from the catalog: no table is read."""

from __future__ import annotations

from typing import Any

from django.apps import apps
from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper

from stillme.postgresql.distributed import distributed_tables, silent_schemas
from stillme.postgresql.statements import fetch_all

MOST = 50
# The schema of the engine's own records.
ENGINE = "transfer"

_SIZES = """
SELECT n.nspname, c.relname,
       CASE WHEN c.reltuples < 0 THEN s.n_live_tup ELSE c.reltuples END::bigint,
       pg_total_relation_size(c.oid),
       pg_table_size(c.oid) - coalesce(pg_total_relation_size(nullif(c.reltoastrelid, 0)), 0),
       pg_indexes_size(c.oid),
       coalesce(pg_total_relation_size(nullif(c.reltoastrelid, 0)), 0)
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_stat_user_tables s ON s.relid = c.oid
WHERE c.relkind IN ('r', 'p') AND n.nspname = ANY(%s)
ORDER BY 4 DESC, 1, 2 LIMIT %s
"""

_REMOTE_SIZES = (
    "SELECT citus_total_relation_size(%s), citus_table_size(%s), citus_relation_size(%s)"
)


def storage(alias: str) -> list[dict[str, Any]]:
    """Per table of our schemas, the largest first: bytes, and the planner's estimate of rows.

    None for what is not known: while a node does not answer, Citus gives no table's sizes.
    """
    connection = connections[alias]
    is_known = not silent_schemas(connection)
    elsewhere = {_plain(relation): relation for relation in distributed_tables(connection)}
    rows = [
        _remote(connection, schema, name, elsewhere[f"{schema}.{name}"], is_known)
        if f"{schema}.{name}" in elsewhere
        else _row(schema, name, rows, *sizes)
        for schema, name, rows, *sizes in fetch_all(connection, _SIZES, [schemas(), MOST])
    ]
    return sorted(rows, key=lambda row: (-(row["total"] or 0), row["table"]))


def _row(
    schema: str,
    name: str,
    rows: int | None,
    total: int | None,
    heap: int | None,
    indexes: int | None,
    toast: int | None,
) -> dict[str, Any]:
    return {
        "table": f"{schema}.{name}",
        "own": schema == ENGINE,
        "rows": rows,
        "total": total,
        "heap": heap,
        "indexes": indexes,
        "toast": toast,
    }


def _plain(relation: str) -> str:
    return relation.replace('"', "")


def _remote(
    connection: BaseDatabaseWrapper, schema: str, name: str, relation: str, is_known: bool
) -> dict[str, Any]:
    """Of a table whose rows are on another node of a Citus cluster: that node is asked."""
    if not is_known:
        return _row(schema, name, None, None, None, None, None)
    total, table, heap = fetch_all(connection, _REMOTE_SIZES, [relation] * 3)[0]
    return _row(schema, name, None, total, heap, total - table, table - heap)


def schemas() -> list[str]:
    """The schemas that the models' tables are in, where they name one."""
    names = (model._meta.db_table for model in apps.get_models())
    return sorted({name.split('"')[1] for name in names if '"."' in name})
