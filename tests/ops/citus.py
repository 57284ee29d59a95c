"""A stand-in for Citus: domain tables count as distributed, and what Citus refuses is refused.

Citus itself cannot be had from a package index. The rules are those found on a cluster and in its
sources (`stillme/postgresql/distributed.py`): a statement goes whole to the node of one schema, so
it names no table of another schema, of the ledger or of a session beside it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.db import connections

from stillme.postgresql import distributed

DOMAINS = ("knowledge", "continuum", "rss", "accuracy", "vector")
TABLES = f"""
    SELECT format('"%s"."%s"', schemaname, tablename) FROM pg_tables
    WHERE schemaname = ANY('{{{",".join(DOMAINS)}}}')
"""
_DOMAIN = re.compile(rf'"?\b({"|".join(DOMAINS)})"?\."?[a-z_]+"?')
_LOCAL = re.compile(
    r'"?\btransfer"?\.|pg_temp\.|\b(transfer|vector)_(stage|image)\b|"?django_|"?auth_'
)
_COPIES = re.compile(r"(DROP TABLE IF EXISTS .*; )?CREATE TEMPORARY TABLE", re.DOTALL)
_STABLE = re.compile(r"STATEMENT_TIMESTAMP|\bnow\(\)|CURRENT_TIMESTAMP", re.IGNORECASE)


def complaint(sql: str) -> str:
    """Why Citus would refuse a statement; empty where it would not."""
    if sql.startswith("SET LOCAL") and "citus." not in sql:
        return "a setting that stays on this node"
    sql = re.sub(r"'[^']*'", "''", sql)
    schemas = {found[1] for found in _DOMAIN.finditer(sql)}
    head = sql.lstrip("( ").upper()
    if (
        not schemas
        or _COPIES.match(sql)
        or head.startswith(("ANALYZE", "TRUNCATE", "CREATE INDEX"))
    ):
        return ""
    if len(schemas) > 1:
        return "tables of two schemas"
    if _LOCAL.search(sql):
        return "a table of this node beside one of another"
    if head.startswith("WITH") and re.search(r"\b(INSERT|UPDATE|DELETE)\b", head):
        return "a modifying WITH"
    if head.startswith("INSERT") and re.search(r"\bSELECT\b", head):
        return "INSERT ... SELECT"
    if head.startswith("UPDATE") and re.search(r"\bFROM\s+(?!\()", re.sub(r"\(.*?\)", "", head)):
        return "UPDATE ... FROM"
    if head.startswith("UPDATE") and any(_STABLE.search(c) for c in re.findall(r"CASE.*?END", sql)):
        return "a function of time within a CASE"
    if "XMIN" in head and re.search(r"\bJOIN\b", head):
        return "a system column in a join"
    return ""


@contextmanager
def refusing() -> Iterator[list[str]]:
    """Statements that Citus would refuse fail within; yields those on domain tables."""
    seen: list[str] = []

    def check(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        if _DOMAIN.search(sql):
            seen.append(sql)
            assert not sql.startswith("SET "), f"the nodes would be sent all of it: {sql}"
        assert not complaint(sql), f"{complaint(sql)}: {sql}"
        return execute(sql, params, many, context)

    with connections["default"].execute_wrapper(check):
        yield seen


# What the judge asks of a cluster's catalogue and nodes. A table without a line in pg_dist_shard is
# its own and only shard; `name` is the table that stands for a shard's copy on a node.
_NODES = r"""
CREATE TABLE public.pg_dist_node (nodeid int, nodename text, nodeport int, groupid int);
INSERT INTO public.pg_dist_node VALUES (2, 'host', 1, 1), (3, 'host', 2, 2);
CREATE TABLE public.pg_dist_shard (logicalrelid regclass, shardid bigint, shardminvalue text,
    shardmaxvalue text, nodeport int, name text);
CREATE VIEW public.pg_dist_placement AS SELECT shardid, nodeport AS groupid
    FROM public.pg_dist_shard;
CREATE VIEW public.pg_dist_partition AS SELECT c.oid::regclass AS logicalrelid,
    CASE WHEN EXISTS (SELECT FROM public.pg_dist_shard WHERE logicalrelid = c.oid
        AND shardminvalue IS NOT NULL) THEN 'h' ELSE 'n' END AS partmethod, 'id' AS partkey
    FROM pg_class c WHERE relkind = 'r';
CREATE FUNCTION public.column_to_column_name(regclass, text) RETURNS text LANGUAGE sql
    AS 'SELECT $2';
CREATE FUNCTION public.shard_name(regclass, bigint) RETURNS text LANGUAGE sql
    AS 'SELECT name FROM public.pg_dist_shard WHERE logicalrelid = $1 AND shardid = $2 LIMIT 1';
CREATE FUNCTION public.worker_hash(bigint) RETURNS int LANGUAGE sql AS 'SELECT $1::int';
CREATE FUNCTION public.run_command_on_workers(command text)
    RETURNS TABLE (nodename text, nodeport int, success bool, result text) LANGUAGE sql
    AS 'SELECT nodename, nodeport, true, ''1'' FROM public.pg_dist_node';
CREATE FUNCTION public.run_command_on_placements(asked regclass, command text, parallel bool)
RETURNS TABLE (nodename text, nodeport int, shardid bigint, success bool, result text)
LANGUAGE plpgsql AS $body$
DECLARE shard text;
BEGIN
    FOR nodeport, shardid, shard IN SELECT s.nodeport, s.shardid, s.name
        FROM public.pg_dist_shard s WHERE s.logicalrelid = asked UNION ALL
        SELECT 1, 1, asked::text WHERE NOT EXISTS (
            SELECT FROM public.pg_dist_shard s WHERE s.logicalrelid = asked)
    LOOP
        nodename := 'host'; success := true; result := 'DO';
        BEGIN
            IF shard = 'away' THEN
                RAISE EXCEPTION 'failed to connect to host:1';
            ELSIF command ~ '^\s*DO ' THEN
                EXECUTE format(command, shard);
            ELSE
                EXECUTE format(command, shard) INTO result;
            END IF;
        EXCEPTION WHEN OTHERS THEN
            success := false;
            result := CASE shard WHEN 'away' THEN '' ELSE 'ERROR:  ' END || SQLERRM;
        END;
        RETURN NEXT;
    END LOOP;
    -- On a node these would have ended with the session.
    RESET enable_seqscan; RESET enable_indexscan; RESET enable_indexonlyscan;
    RESET enable_bitmapscan; RESET enable_sort; RESET enable_incremental_sort;
END $body$;
"""
_NO_NODES = r"""
DROP FUNCTION public.run_command_on_placements, public.run_command_on_workers,
    public.worker_hash, public.shard_name, public.column_to_column_name;
DROP VIEW public.pg_dist_partition, public.pg_dist_placement;
DROP TABLE public.pg_dist_shard, public.pg_dist_node;
"""


@pytest.fixture
def cluster(transactional_db: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The domains' tables count as distributed, and statements are checked."""
    monkeypatch.setattr(distributed, "HAS_CITUS", "SELECT true")
    monkeypatch.setattr(distributed, "TABLES", TABLES)
    distributed.forget()
    with connections["default"].cursor() as cursor:
        cursor.execute(_NODES)
    with refusing() as seen:
        yield seen
    with connections["default"].cursor() as cursor:
        cursor.execute(_NO_NODES)
    distributed.forget()
