"""The planner's figures of a table that was just loaded."""

from __future__ import annotations

from django.db import connections, transaction

from stillme.transfer.postgresql.copy import execute, fetch_all, quoted

# PostgreSQL reads 300 rows for each, and by default 100 of them: a third of an import's tail.
_STATISTICS = 30


# Fewer rows are found fast without figures.
_MANY = 1_000


def renew_where_outgrown(alias: str, relation: str, rows: int) -> None:
    """The same for a table next to the target's, once it holds twice the rows the planner knows of.

    Without figures PostgreSQL reads all of the quarantine for every two thousand keys.
    """
    known = fetch_all(
        connections[alias], "SELECT reltuples FROM pg_class WHERE oid = %s::regclass", [relation]
    )
    if rows >= _MANY and rows > 2 * known[0][0]:
        renew_planner_figures(alias, relation)


def renew_planner_figures(alias: str, relation: str) -> None:
    """Count the rows and look at the columns by which they are found.

    In short where autovacuum is on: an ANALYZE of some columns does not make its turn later, which
    comes a minute after the load and takes all columns at the server's own setting.
    """
    # Texts and documents are left out unless an index has them: the planner knows little of them,
    # and they take as long as all other columns together.
    found = fetch_all(
        connections[alias],
        "SELECT attname FROM pg_attribute AS a WHERE attrelid = %s::regclass AND attnum > 0 "
        "AND NOT attisdropped AND (atttypid NOT IN ('text'::regtype, 'jsonb'::regtype) OR EXISTS "
        "(SELECT FROM pg_index WHERE indrelid = a.attrelid AND a.attnum = ANY (indkey))) "
        "ORDER BY attnum",
        [relation],
    )
    columns = ", ".join(quoted(name) for (name,) in found)
    with transaction.atomic(using=alias):
        execute(
            connections[alias],
            "SELECT set_config('default_statistics_target', %s, true) "
            "WHERE current_setting('autovacuum')::bool "
            "AND current_setting('default_statistics_target')::int > %s",
            [str(_STATISTICS), _STATISTICS],
        )
        execute(connections[alias], f"ANALYZE {relation} ({columns})")
