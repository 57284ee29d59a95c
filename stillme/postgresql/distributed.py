"""Which tables are on other nodes: a Citus cluster keeps only an empty shell of them here.

A statement that names such a table goes whole to the node that has it, and cannot name a table of
this node next to it; rows there carry the transaction ids of that node. Whoever needs either asks
here and takes another road. Without Citus the answer costs one look into the catalog a minute.

What Citus refuses or does otherwise, and what is done instead:

- `SET LOCAL` stays on the coordinator: `statements.set_local` tells the nodes first.
- a table of the coordinator next to a distributed one: asked apart; a merge reads a temporary copy.
- INSERT below a modifying WITH, or from the table itself: two statements in a transaction.
- functions of time within CASE or COALESCE of an UPDATE: the moment is a parameter.
- `INSERT ... SELECT` without the identity column: COPY out and in.
- `timestamptz::text` is in the worker's time zone: `AT TIME ZONE 'UTC'`.
- `reltuples` and `pg_total_relation_size` are 0: EXPLAIN's remote plan, and
  `citus_total_relation_size`.
- SQLSTATE XX000 for duplicates in COPY and for deferred keys: any error about values leads to the
  careful road.
- the nodes have rows and indexes, the coordinator definitions: the judge asks each node
  (`verify/structure/shards.py`, `verify/tables/shard_scans.py`).
- a new schema may be distributed by a setting: the judge makes temporary tables and no schema.
- `setval` of `max` in one statement runs on the wrong node: two statements.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import NamedTuple

from django.db import transaction
from django.db.backends.base.base import BaseDatabaseWrapper

# Seconds. A schema that is distributed meanwhile is noticed within them, without a restart.
BELIEVED = 60.0

HAS_CITUS = "SELECT to_regclass('pg_catalog.pg_dist_partition') IS NOT NULL"
# Tables that Citus merely knows ('n' without a colocation group) are on this node.
TABLES = """
    SELECT format('"%s"."%s"', n.nspname, c.relname) FROM pg_catalog.pg_dist_partition p
    JOIN pg_class c ON c.oid = p.logicalrelid JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE p.partmethod <> 'n' OR p.colocationid <> 0
"""

# Each worker's answer to a query of its own, and the schemas whose rows it has.
_NODES = """
    SELECT n.nodeid, n.nodename || ':' || n.nodeport, bool_or(a.success),
           coalesce(array_agg(DISTINCT c.relnamespace::regnamespace::text)
                    FILTER (WHERE c.oid IS NOT NULL), '{}')
    FROM run_command_on_workers('SELECT 1') a
    JOIN pg_dist_node n ON n.nodename = a.nodename AND n.nodeport = a.nodeport
    LEFT JOIN pg_dist_placement p ON p.groupid = n.groupid
    LEFT JOIN pg_dist_shard s ON s.shardid = p.shardid
    LEFT JOIN pg_class c ON c.oid = s.logicalrelid
    GROUP BY 1, 2 ORDER BY 1
"""
# All at once, unless they are as many as would use up the nodes' connections.
_ASK_SHARDS = """
    SELECT n.nodeid, p.shardid, p.success, p.result
    FROM run_command_on_placements(%s::text::regclass, %s, (
        SELECT count(*) <= 64 FROM pg_dist_shard JOIN pg_dist_placement USING (shardid)
        WHERE logicalrelid = %s::text::regclass)) AS p
    JOIN pg_dist_node n ON n.nodename = p.nodename AND n.nodeport = p.nodeport ORDER BY 2, 1
"""
# Milliseconds. A health check must not wait Citus's 30 seconds for a machine that is gone.
_NODE_ANSWERS = 2000

_known: dict[tuple[str, str], tuple[float, frozenset[str]]] = {}


def distributed_tables(connection: BaseDatabaseWrapper) -> frozenset[str]:
    """The tables of other nodes, as `"schema"."table"`; empty without Citus."""
    key = (connection.alias, str(connection.settings_dict["NAME"]))
    asked, found = _known.get(key, (0.0, frozenset()))
    if not asked or time.monotonic() - asked > BELIEVED:
        found = _ask(connection)
        _known[key] = (time.monotonic(), found)
    return found


def is_distributed(connection: BaseDatabaseWrapper, relation: str) -> bool:
    """Whether the rows of `"schema"."table"` are on another node."""
    return relation in distributed_tables(connection)


@dataclass(frozen=True, slots=True)
class Node:
    """A worker of the cluster, and the schemas whose rows it has."""

    number: int
    address: str
    answers: bool
    schemas: tuple[str, ...]


def nodes(connection: BaseDatabaseWrapper) -> list[Node]:
    """The cluster's workers, each asked just now; none without Citus."""
    with transaction.atomic(using=connection.alias), connection.cursor() as cursor:
        cursor.execute(HAS_CITUS)
        if not cursor.fetchone()[0]:
            return []
        cursor.execute(f"SET LOCAL citus.node_connection_timeout = {_NODE_ANSWERS}")
        cursor.execute(_NODES)
        return [
            Node(number, address, answers, tuple(schemas))
            for number, address, answers, schemas in cursor.fetchall()
        ]


def silent_schemas(connection: BaseDatabaseWrapper) -> set[str]:
    """Schemas of which a node that does not answer has rows; none without Citus.

    For a page about many tables: it asks the others, and waits for no machine that is gone.
    """
    if not distributed_tables(connection):
        return set()
    return {name for node in nodes(connection) if not node.answers for name in node.schemas}


class ShardAnswer(NamedTuple):
    """What a node says about its copy of a shard, or why it says nothing."""

    node: int
    shard: int
    is_answer: bool
    said: str

    @property
    def place(self) -> str:
        """For a finding; an address would be no business of its readers."""
        return f"the shard {self.shard} on node {self.node}"


def ask_shards(connection: BaseDatabaseWrapper, relation: str, sql: str) -> list[ShardAnswer]:
    """One value, as text, from each copy of each shard of a distributed table.

    Each is asked in a session of its own on its node, outside the present transaction. `sql` is
    what ``format()`` takes: %1$s stands for the shard's name, %1$L for the name as a literal.
    """
    with connection.cursor() as cursor:
        cursor.execute(_ASK_SHARDS, [relation, sql, relation])
        return [ShardAnswer(*row) for row in cursor.fetchall()]


def forget() -> None:
    """Ask again next time: tables were distributed just now."""
    _known.clear()


def _ask(connection: BaseDatabaseWrapper) -> frozenset[str]:
    connection.ensure_connection()
    # By the driver's connection: Django's log of statements is about the caller's own.
    session = connection.connection
    with connection.wrap_database_errors:
        if not session.execute(HAS_CITUS).fetchone()[0]:
            return frozenset()
        return frozenset(str(row[0]) for row in session.execute(TABLES).fetchall())
