"""What the nodes of a cluster have in place of a distributed table: its shards.

The coordinator has the table's definition and no row of it. The rows are in shards, each a table of
its own on a node (`rss.fetch_items_102018`), and whoever may log in there can change one: take its
index down, give it a trigger. So each node describes its shards, and the coordinator its table, in
the same words. What a shard lawfully lacks is left out: defaults and identity, which the
coordinator gives, and names.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping

from django.db import connections
from psycopg import sql as composed

from stillme.postgresql.connecting.session import path_with_catalogue_first
from stillme.postgresql.distributed import ShardAnswer, ask_shards, is_distributed
from stillme.transfer.errors import TargetError
from stillme.transfer.findings import Finding, FindingKind
from stillme.transfer.verify.sides.target_table import select

# One line for each thing that acts on what is read from, or written to, the table {name}.
_DESCRIPTION = """
SELECT string_agg(line, chr(10) ORDER BY line) FROM (VALUES ({name}::regclass)) AS t(oid),
LATERAL (
    SELECT concat('table of kind ', relkind, CASE relpersistence WHEN 'p' THEN ', logged'
        ELSE ', UNLOGGED' END, CASE WHEN relrowsecurity THEN ', row-level security' END,
        CASE WHEN relforcerowsecurity THEN ', forced' END,
        CASE WHEN NOT relhasindex AND EXISTS (SELECT FROM pg_index WHERE indrelid = c.oid)
            THEN ', its indexes hidden' END,
        CASE WHEN NOT relhastriggers AND EXISTS (SELECT FROM pg_trigger WHERE tgrelid = c.oid)
            THEN ', its triggers hidden' END,
        ', ', relchecks, ' checks, session_replication_role ',
        current_setting('session_replication_role'))
    FROM pg_class AS c WHERE c.oid = t.oid
    UNION ALL
    SELECT concat('column ', attname, ' ', format_type(atttypid, atttypmod),
        CASE WHEN attnotnull THEN ' NOT NULL' END,
        ' COLLATE ' || nullif(attcollation, 0)::regcollation::text, CASE WHEN attgenerated <> ''
            THEN ' GENERATED ' || (SELECT pg_get_expr(adbin, adrelid) FROM pg_attrdef
                WHERE adrelid = attrelid AND adnum = attnum) END)
    FROM pg_attribute WHERE attrelid = t.oid AND attnum > 0 AND NOT attisdropped
    UNION ALL
    SELECT concat('constraint ', pg_get_constraintdef(k.oid),
        CASE WHEN NOT convalidated THEN ' NOT VALID' END)
    FROM pg_constraint AS k WHERE conrelid = t.oid AND contype IN ('c', 'f', 'p', 'u', 'x')
    UNION ALL
    SELECT concat('index ', regexp_replace(regexp_replace(pg_get_indexdef(indexrelid),
            '^CREATE (UNIQUE )?INDEX .*? USING ', '\\1USING '), ' WITH [(][^()]*[)]', ''),
        CASE WHEN indisprimary THEN ' primary' END,
        CASE WHEN NOT indimmediate THEN ' deferrable' END,
        CASE WHEN NOT (indisvalid AND indisready AND indislive) THEN ' INVALID' END)
    FROM pg_index WHERE indrelid = t.oid
    UNION ALL
    SELECT concat('trigger ', CASE WHEN NOT tgisinternal THEN tgname || ', ' END, tgfoid::regproc,
        ' ', tgtype, ' ', tgenabled, CASE WHEN tgdeferrable THEN ' deferrable' END,
        CASE WHEN tginitdeferred THEN ' deferred' END)
    -- Of a foreign key: those on both of its tables, with the table that refers to the other.
    FROM pg_trigger LEFT JOIN pg_constraint AS k ON k.oid = tgconstraint
    WHERE coalesce(conrelid, tgrelid) = t.oid
    AND NOT EXISTS (SELECT FROM pg_proc AS f WHERE f.oid = tgfoid
        AND proname = 'citus_truncate_trigger' AND pronamespace = 'pg_catalog'::regnamespace)
    UNION ALL
    SELECT concat('rule ', rulename) FROM pg_rewrite WHERE ev_class = t.oid
    UNION ALL
    SELECT 'a parent or child by inheritance' FROM pg_inherits WHERE t.oid IN (inhrelid, inhparent)
    UNION ALL
    SELECT concat('a cast of somebody''s, ', castsource::regtype, ' AS ', casttarget::regtype)
    FROM pg_cast WHERE oid >= 16384 AND castmethod = 'f' AND castsource < 16384
    AND casttarget < 16384
) AS lines(line)
"""
# A session that Citus opens on a node has the role's path: a function before PostgreSQL's own one
# of that name decides what the judge reads.
_RESET_PATH = "SELECT reset_val FROM pg_settings WHERE name = 'search_path'"
# The parent of a foreign key is a shard, too.
_PARENT_SHARD = re.compile(r'( REFERENCES .+?)_\d+("?\()')


def check_shards(alias: str, schema: str, table: str) -> Iterator[Finding]:
    """Yield how the shards of a table differ from the table; nothing for one that is not on other
    nodes. Raises TargetError where a node does not answer."""
    relation = f'"{schema}"."{table}"'
    if not is_distributed(connections[alias], relation):
        return
    own = _DESCRIPTION.format(name=composed.Literal(relation).as_string())
    [(described, path)] = select(alias, f"SELECT ({own}), current_setting('search_path')")
    # Types and functions are to be spelled as the coordinator spells them.
    spelled = {"search_path": path, "quote_all_identifiers": "off"}
    told = f"SELECT concat(({_RESET_PATH}), chr(10), ({_DESCRIPTION.format(name='%1$L')}))"
    asked = under(spelled, told)
    expected = Counter(described.splitlines())
    for answer in answered(alias, relation, asked):
        resets, _, lines = answer.said.partition("\n")
        if path_with_catalogue_first(resets) != resets:
            words = f"the search path {resets} of its sessions"
            yield _about(schema, table, f"pg_catalog first in {answer.place}", words)
        found = Counter(_PARENT_SHARD.sub(r"\1\2", line) for line in lines.splitlines())
        for line in (expected - found).elements():
            yield _about(schema, table, line, f"not so in {answer.place}")
        for line in (found - expected).elements():
            yield _about(schema, table, f"as on the coordinator in {answer.place}", line)


def under(settings: Mapping[str, str], sql: str) -> str:
    """A query of one value that is worked out under settings, for `ask_shards`."""
    told = " AND ".join(
        f"set_config('{name}', {composed.Literal(value).as_string()}, false) IS NOT NULL"
        for name, value in settings.items()
    )
    return f"SELECT CASE WHEN {told.replace('%', '%%')} THEN ({sql}) END"


def answered(alias: str, relation: str, sql: str) -> list[ShardAnswer]:
    """What each copy of each shard of a table answers. Raises TargetError where one does not."""
    found = ask_shards(connections[alias], relation, sql)
    for each in found:
        if not each.is_answer:
            raise no_answer(relation, each)
    return found


def no_answer(relation: str, answer: ShardAnswer) -> TargetError:
    """The sentence for a node that did not answer, without its address."""
    why = answer.said.partition("\n")[0].removeprefix("ERROR:").strip()
    why = "" if why.startswith("failed to connect") else f" ({why})"
    return TargetError(
        f"What {answer.place} of the cluster holds of {relation} cannot be read{why}: run the "
        "command again when the node answers."
    )


def _about(schema: str, table: str, expected: str, found: str) -> Finding:
    return Finding(FindingKind.TABLE, f"{schema}.{table}", None, expected, found)
