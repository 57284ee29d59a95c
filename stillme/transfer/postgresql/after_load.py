"""What a table needs after a load: the next id really is free, and the planner knows the rows."""

from __future__ import annotations

from django.db import transaction

from stillme.transfer.identity import OF_TABLE
from stillme.transfer.mapping import TableMapping
from stillme.transfer.postgresql.copy import execute, fetch_all, quoted

# PostgreSQL reads 300 rows for each, and by default 100 of them: a third of an import's tail.
_STATISTICS = 30


# Fewer rows are found fast without figures.
_MANY = 1_000


def renew_where_outgrown(alias: str, relation: str, rows: int) -> None:
    """The same for a table next to the target's, once it holds twice the rows the planner knows of.

    Without figures PostgreSQL reads all of the quarantine for every two thousand keys.
    """
    known = fetch_all(alias, "SELECT reltuples FROM pg_class WHERE oid = %s::regclass", [relation])
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
        alias,
        "SELECT attname FROM pg_attribute AS a WHERE attrelid = %s::regclass AND attnum > 0 "
        "AND NOT attisdropped AND (atttypid NOT IN ('text'::regtype, 'jsonb'::regtype) OR EXISTS "
        "(SELECT FROM pg_index WHERE indrelid = a.attrelid AND a.attnum = ANY (indkey))) "
        "ORDER BY attnum",
        [relation],
    )
    columns = ", ".join(quoted(name) for (name,) in found)
    with transaction.atomic(using=alias):
        execute(
            alias,
            "SELECT set_config('default_statistics_target', %s, true) "
            "WHERE current_setting('autovacuum')::bool "
            "AND current_setting('default_statistics_target')::int > %s",
            [str(_STATISTICS), _STATISTICS],
        )
        execute(alias, f"ANALYZE {relation} ({columns})")


def set_sequence(alias: str, mapping: TableMapping, legacy_mark: int) -> None:
    """Raise the sequence to max(sqlite_sequence, max(id)).

    It is never lowered, except one at its very end, which gives no id to anybody any more: after
    the row that brought it there is gone it goes back behind every id that is in use. A mark beyond
    the sequence's end (3,000,000,000 for an AutoField) does not count: no row can have such an id.

    `max` and `setval` are two statements: Citus refuses them in one.
    """
    if not mapping.key_columns.is_whole:
        return
    column = mapping.key_columns.targets[0]
    sequence = fetch_all(
        alias, "SELECT pg_get_serial_sequence(%s, %s)", [mapping.relation, column]
    )[0][0]
    if sequence is None:
        return
    top = fetch_all(alias, f"SELECT max({quoted(column)}) FROM {mapping.relation}")[0][0]
    last, called = fetch_all(alias, f"SELECT last_value, is_called FROM {sequence}")[0]
    largest = int(
        fetch_all(
            alias, "SELECT seqmax FROM pg_sequence WHERE seqrelid = %s::regclass", [sequence]
        )[0][0]
    )
    wanted = max(legacy_mark if legacy_mark <= largest else 0, top or 0)
    present = int(last) if called else int(last) - 1
    if wanted > present:
        fetch_all(alias, "SELECT setval(%s::regclass, %s, true)", [sequence, wanted])
    elif present == largest:
        _set_back(alias, mapping, str(sequence), wanted, largest)


def _set_back(alias: str, mapping: TableMapping, sequence: str, wanted: int, largest: int) -> None:
    """Behind the ids of both sides, those in quarantine among them."""
    aside = fetch_all(
        alias,
        "SELECT max(CASE WHEN key ~ '^[0-9]+$' AND octet_length(key) < 20 THEN key::numeric END)"
        f"::text FROM transfer.quarantined_row WHERE {OF_TABLE}",
        mapping.identity,
    )[0][0]
    last = max(wanted, int(aside or 0))
    if last < largest:
        value, called = (last, True) if last > 0 else (1, False)
        fetch_all(alias, "SELECT setval(%s::regclass, %s, %s)", [sequence, value, called])
