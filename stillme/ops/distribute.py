"""From one node to many: each domain's schema to a node of a Citus cluster.

Order of life: import, cut over, `cutover --finish` (which removes the reverse capture's triggers),
then distribute. The schema `transfer` and Django's own tables stay on the coordinator.

Of a domain that is too large for a node, the largest tables are distributed by rows (``--rows``):
the hash of its key decides which node has a row. The other tables of such a schema stay on the
coordinator.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, NamedTuple

from django.apps import apps
from django.db import connections, transaction
from django.db.backends.utils import CursorWrapper

from stillme.ops.replicas import DOMAINS
from stillme.postgresql.distributed import Node, forget, nodes
from stillme.postgresql.statements import set_local

OLDEST_CITUS = 12
LEDGER_MOVED = (
    "The schema transfer is distributed, and must stay on the coordinator: run SELECT "
    "citus_schema_undistribute('transfer'), and migrate with citus.enable_schema_based_sharding "
    "off."
)

EXTENSION = "SELECT extversion FROM pg_extension WHERE extname = 'citus'"
SCHEMAS = """
    SELECT nspname FROM pg_namespace n WHERE nspname = ANY(%s)
    AND EXISTS (SELECT FROM pg_class c WHERE c.relnamespace = n.oid AND c.relkind IN ('r', 'p'))
    ORDER BY nspname
"""
DISTRIBUTED = "SELECT schema_name::text FROM citus_schemas"
TRIGGERS = """
    SELECT format('%%s on %%s', t.tgname, t.tgrelid::regclass) FROM pg_trigger t
    JOIN pg_class c ON c.oid = t.tgrelid
    WHERE NOT t.tgisinternal AND c.relnamespace::regnamespace::text = ANY(%s) ORDER BY 1
"""
FOREIGN_KEYS = """
    SELECT format('%%s of %%s', k.conname, k.conrelid::regclass) FROM pg_constraint k
    JOIN pg_class c ON c.oid = k.conrelid JOIN pg_class r ON r.oid = k.confrelid
    WHERE k.contype = 'f' AND c.relnamespace <> r.relnamespace
      AND (c.relnamespace::regnamespace::text = ANY(%s)
           OR r.relnamespace::regnamespace::text = ANY(%s)) ORDER BY 1
"""
TABLES = """
    SELECT format('%%I.%%I', nspname, relname) FROM pg_class c
    JOIN pg_namespace n ON n.oid = relnamespace
    WHERE nspname = ANY(%s) AND relkind IN ('r', 'p') ORDER BY 1
"""
# By rows, as a reference table, or alone: Citus then refuses to distribute the schema.
BY_ROWS = """
    SELECT DISTINCT nspname FROM pg_dist_partition p
    JOIN pg_class c ON c.oid = p.logicalrelid JOIN pg_namespace n ON n.oid = relnamespace
    WHERE (p.partmethod <> 'n' OR p.colocationid <> 0)
      AND n.oid NOT IN (SELECT schema_name::oid FROM citus_schemas)
"""
# Its schema, its primary key's columns, the foreign keys from and to it, whether it is distributed.
TABLE = """
    SELECT c.relnamespace::regnamespace::text,
        (SELECT array_agg(a.attname) FROM pg_index i JOIN pg_attribute a
         ON a.attrelid = c.oid AND a.attnum = ANY(i.indkey)
         WHERE i.indrelid = c.oid AND i.indisprimary),
        (SELECT coalesce(array_agg(k.conname ORDER BY 1), '{}') FROM pg_constraint k
         WHERE k.contype = 'f' AND c.oid IN (k.conrelid, k.confrelid)),
        EXISTS (SELECT FROM pg_dist_partition p WHERE p.logicalrelid = c.oid)
    FROM pg_class c WHERE c.oid = to_regclass(%s)
"""
FOLLOWED = """
    SELECT file, state FROM "transfer"."file_state"
    WHERE state IN ('captured', 'loaded', 'following') ORDER BY 1
"""


PLAINLY = {"timezone": "UTC", "datestyle": "ISO, MDY", "extra_float_digits": "1"}
CONTENT = "count(*), sum(hashtextextended(t::text, 0))"


class NotDistributedError(Exception):
    """What stands against it, as a sentence that says what to do."""


class Content(NamedTuple):
    """How many rows, and a number that each of their values has a part in; None of no row."""

    rows: int
    digest: Decimal | None


@dataclass(frozen=True, slots=True)
class Plan:
    """What distributing would do: schemas to move, schemas that are, and what stands against it."""

    version: str
    workers: int
    move: tuple[str, ...]
    distributed: tuple[str, ...]
    problems: tuple[str, ...] = field(default=())
    # (table, column of its key) to be distributed by rows; and the schemas where some are.
    rows: tuple[tuple[str, str], ...] = ()
    by_rows: tuple[str, ...] = ()


def plan_distribution(tables: Sequence[str] = (), alias: str = "default") -> Plan:
    """Look, and change nothing: schemas to move, or these `tables` to be distributed by rows.

    Raises NotDistributedError where the database has no Citus.
    """
    with connections[alias].cursor() as cursor:
        version = _first(cursor, EXTENSION)
        if not version:
            raise NotDistributedError(
                "This database has no Citus extension: run CREATE EXTENSION citus on every node "
                "and citus_add_node for each worker, or stay on one node "
                "(docs/howto/run-on-a-cluster.md)."
            )
        present = _column(cursor, SCHEMAS, sorted(DOMAINS))
        moved = _column(cursor, DISTRIBUTED)
        done = [name for name in moved if name in DOMAINS]
        workers = nodes(connections[alias])
        living = sum(node.answers for node in workers)
        problems = (
            *_problems(cursor, str(version), workers, present),
            *([LEDGER_MOVED] if "transfer" in moved else []),
        )
        by_rows = tuple(_column(cursor, BY_ROWS))
        move = tuple(name for name in present if name not in (*done, *by_rows))
        rows = [_by_rows(cursor, table) for table in tables]
    problems += tuple(problem for _, _, problem in rows if problem)
    named = tuple((table, key) for table, key, _ in rows)
    move = () if tables else move
    return Plan(str(version), living, move, tuple(done), problems, named, by_rows)


def _by_rows(cursor: CursorWrapper, table: str) -> tuple[str, str, str]:
    """The table, the column of its key, and what stands against it."""
    cursor.execute(TABLE, [table])
    schema, key, references, is_distributed = cursor.fetchone() or (None, None, (), False)
    if schema not in DOMAINS:
        return table, "", f"{table} is no table of a domain: name it as schema.table."
    if is_distributed:
        return table, "", f"{table} is distributed already."
    if key is None or len(key) != 1:
        return table, "", f"{table} has no primary key of one column to distribute its rows by."
    if references:
        problem = f"The foreign key {references[0]} ties {table} to a table on one node."
        return table, "", f"{problem} Distribute its schema as a whole, without --rows."
    return table, key[0], ""


def _problems(
    cursor: CursorWrapper, version: str, workers: list[Node], schemas: list[str]
) -> list[str]:
    found: list[str] = []
    if int(version.split(".")[0]) < OLDEST_CITUS:
        found.append(f"Citus {version} cannot distribute schemas: install {OLDEST_CITUS} or newer.")
    if not workers:
        found.append("The cluster has no active worker: add one with citus_add_node.")
    found += [
        f"The worker {node.address} does not answer, and Citus may choose it for a schema: start "
        "it, or take it out of the cluster with citus_disable_node."
        for node in workers
        if not node.answers
    ]
    if not schemas:
        found.append("There is no domain schema with tables: run `python manage.py migrate`.")
    found += [
        f"The trigger {trigger} is in the way: manage.py cutover --finish closes the rollback "
        "window and removes the engine's."
        for trigger in _column(cursor, TRIGGERS, schemas)
    ]
    found += [
        f"The foreign key {key} leaves its schema, which does not work across nodes: drop it."
        for key in _column(cursor, FOREIGN_KEYS, schemas, schemas)
    ]
    if not apps.is_installed("stillme.transfer"):
        return found
    cursor.execute(FOLLOWED)
    found += [
        f"The file {file} is still {state}: import, cut over, then manage.py cutover --finish."
        for file, state in cursor.fetchall()
    ]
    return found


def contents(schemas: Sequence[str], alias: str = "default") -> dict[str, Content]:
    """What each table of these schemas holds, by ``schema.table``.

    A value is read by its text, which is to be the same on any node, whatever its settings are.
    """
    connection = connections[alias]
    with transaction.atomic(using=alias), connection.cursor() as cursor:
        set_local(connection, PLAINLY)
        found = {}
        for table in _column(cursor, TABLES, sorted(schemas)):
            cursor.execute(f"SELECT {CONTENT} FROM {table} AS t")
            rows, digest = cursor.fetchone() or (0, None)
            found[table] = Content(int(rows), digest)
        return found


def distribute(plan: Plan, on_event: Callable[[str], None], alias: str = "default") -> None:
    """Move each schema to a node, or spread the tables of `plan.rows` over all of them.

    Raises NotDistributedError while something stands against it.
    """
    if plan.problems:
        raise NotDistributedError(" ".join(plan.problems))
    for table, key in plan.rows:
        with connections[alias].cursor() as cursor:
            cursor.execute("SELECT create_distributed_table(%s, %s)", [table, key])
        forget()
        on_event(table)
    for schema in plan.move:
        # A statement of its own, not in a transaction: a schema that was moved stays moved, and
        # the same command again goes on with the next one.
        with connections[alias].cursor() as cursor:
            cursor.execute("SELECT citus_schema_distribute(%s::regnamespace)", [schema])
        forget()
        on_event(schema)


def _first(cursor: CursorWrapper, sql: str) -> Any:
    cursor.execute(sql)
    row = cursor.fetchone()
    return row[0] if row else None


def _column(cursor: CursorWrapper, sql: str, *parameters: list[str]) -> list[str]:
    cursor.execute(sql, parameters or None)
    return [str(row[0]) for row in cursor.fetchall()]
