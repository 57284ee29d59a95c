"""Foreign rows: rows of the target that somebody else wrote while the files are in charge.

Until the cut-over only the engine writes to PostgreSQL. It notes each of its transactions (a *write
mark*), so a row whose `xmin` is in no mark was written by somebody else. Such a row is left as it
is, and named. After a dump and restore every row is foreign, because it has a new `xmin`.

A foreign row that holds what the file says does no harm. `compare_foreign` finds those that do not;
`adopt_equal` makes the others the engine's own; the operator decides about those that differ.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any

from django.db import connections

from stillme.transfer.mapping import TableMapping, split_table
from stillme.transfer.models import RunTable, WriteMark
from stillme.transfer.postgresql.capture import engine_transaction
from stillme.transfer.postgresql.copy import execute, fetch_all, quoted
from stillme.transfer.postgresql.distributed import knows_writers
from stillme.transfer.records import ledger
from stillme.transfer.records.database_identity import WHOLE_XID
from stillme.transfer.registry import legacy_models
from stillme.transfer.steps.merging.differing_keys import compare_table
from stillme.transfer.steps.merging.merge import OURS
from stillme.transfer.steps.rows.table_source import TableSource

MOST = 20


@dataclass(frozen=True, slots=True)
class Restored:
    """What a restored database knows: `upto` is the last transaction that restored the ledger.

    `foreign` are keys that were foreign before the dump was made.
    """

    upto: int
    foreign: frozenset[str] = frozenset()


def foreign_rows(alias: str, mapping: TableMapping) -> list[str]:
    """Keys, some of them, of rows that somebody else wrote last. Reads the whole table."""
    if not mapping.key_columns:
        return []
    rows = fetch_all(
        alias,
        f"SELECT {mapping.key_columns.target_text('t')} FROM {mapping.relation} AS t "
        f"WHERE NOT {OURS} ORDER BY {mapping.key_columns.target_names('t')} LIMIT {MOST}",
    )
    return [row[0] for row in rows]


def foreign_among(alias: str, mapping: TableMapping, keys: Sequence[str]) -> list[str]:
    """Those of the keys (as text) whose target row somebody else wrote last."""
    return [key for key, _ in _foreign_writers(alias, mapping, keys)]


def foreign_writers(alias: str, mapping: TableMapping) -> list[int]:
    """The transactions (64 bit) of others that wrote rows of the table last; one quick scan."""
    if not mapping.key_columns or not knows_writers(connections[alias], mapping.relation):
        return []
    rows = fetch_all(
        alias,
        f"SELECT {WHOLE_XID} "
        f"(SELECT DISTINCT xmin::text::bigint AS x FROM {mapping.relation}) AS t "
        "WHERE NOT EXISTS (SELECT 1 FROM transfer.write_mark AS w "
        "WHERE mod(w.xid, 4294967296) = x)",
    )
    return [int(row[0]) for row in rows]


@dataclass(frozen=True, slots=True)
class Compared:
    """A table after the comparison: its foreign `writers`, and the keys of rows that differ."""

    mapping: TableMapping
    writers: frozenset[int]
    others: list[str]


def compare_foreign(
    alias: str,
    source: TableSource,
    *,
    pending: Collection[str] = (),
    restored: Restored | None = None,
    between: Callable[[], None] = lambda: None,
) -> Compared:
    """Which foreign rows do not hold what `source` says.

    `source` must not change meanwhile (a snapshot), nor may the engine write the target. The
    writers are listed before anything is compared, so a row written later keeps its own writer.
    Rows in `pending` may differ because their replay is still to come: in a restored database they
    are not named, if the restore wrote them and they were not foreign before the dump.
    """
    mapping = source.job.mapping
    writers = foreign_writers(alias, mapping)
    differing = compare_table(alias, source, between) if writers else []
    others = [
        key
        for key, writer in _foreign_writers(alias, mapping, differing)
        if restored is None
        or key not in pending
        or writer > restored.upto
        or key in restored.foreign
    ]
    return Compared(mapping, frozenset(writers), others)


def adopt_equal(alias: str, run_id: int | None, tables: Sequence[Compared]) -> None:
    """Adopt the foreign rows of the tables, except those that differ. Writes as few rows as it can.

    First the rows that differ are written by a transaction that leaves no mark, so they stay
    foreign. Then the transactions that wrote the others get a mark: that adopts all their rows at
    once. A transaction that also wrote to a table that was not compared cannot be marked, so its
    rows are written again instead.
    """
    tables = [table for table in tables if table.writers]
    writers = frozenset(writer for table in tables for writer in table.writers)
    if not writers:
        return
    with engine_transaction(alias):
        for table in tables:
            keys = table.mapping.key_columns
            _rewrite(alias, table.mapping, *keys.target_among(keys.parsed(table.others)))
    shared = _also_elsewhere(alias, tables, writers)
    with engine_transaction(alias):
        if numbers := [writer % 2**32 for writer in shared]:
            for table in tables:
                _rewrite(alias, table.mapping, "xmin::text::bigint = ANY(%s)", [numbers])
            ledger.mark_write(alias, run_id)
        marks = [WriteMark(xid=writer, run_id=run_id) for writer in writers - shared]
        WriteMark.objects.using(alias).bulk_create(marks, ignore_conflicts=True, batch_size=5_000)


def _rewrite(alias: str, mapping: TableMapping, condition: str, values: Sequence[Any]) -> None:
    """Give rows this transaction as their writer; no value changes."""
    column = quoted(mapping.key_columns.targets[0])
    sql = f"UPDATE {mapping.relation} SET {column} = {column} WHERE {condition}"
    execute(alias, sql, values)


def _also_elsewhere(
    alias: str, tables: Sequence[Compared], writers: frozenset[int]
) -> frozenset[int]:
    """Those of the writers that have rows in a loaded table that was not compared."""
    numbers = {writer % 2**32: writer for writer in writers}
    found: set[int] = set()
    for relation in _loaded_relations(alias) - {table.mapping.relation for table in tables}:
        query = f"SELECT DISTINCT xmin::text::bigint FROM {relation} WHERE "
        query += "xmin::text::bigint = ANY(%s)"
        found |= {numbers[row[0]] for row in fetch_all(alias, query, [list(numbers)])}
    return frozenset(found)


def _loaded_relations(alias: str) -> set[str]:
    """Every table that an import writes: those of the mapped models, and a store's, by schema."""
    mapped = {split_table(model.target_model()._meta.db_table) for model in legacy_models()}
    loaded = RunTable.objects.using(alias).values_list("target", flat=True).distinct()
    schemas = {schema for schema, _ in mapped} | {name.partition(".")[0] for name in loaded}
    rows = fetch_all(
        alias,
        "SELECT schemaname, tablename FROM pg_tables WHERE schemaname = ANY(%s)",
        [sorted(schemas)],
    )
    # Django's own tables are nobody's rows.
    there = {(schema, name) for schema, name in rows if schema != "public"} | mapped & set(rows)
    return {f"{quoted(schema)}.{quoted(name)}" for schema, name in there}


def _foreign_writers(
    alias: str, mapping: TableMapping, keys: Sequence[str]
) -> list[tuple[str, int]]:
    """(key, writer) of those of the keys whose target row somebody else wrote last."""
    if not mapping.key_columns or not keys:
        return []
    columns = mapping.key_columns
    among, values = columns.target_among(columns.parsed(keys), "t")
    text = columns.target_text("t")
    rows = fetch_all(
        alias,
        f"SELECT name, {WHOLE_XID} (SELECT {text} AS name, t.xmin::text::bigint AS x "
        f"FROM {mapping.relation} AS t WHERE {among} AND NOT {OURS}) AS t ORDER BY 1",
        values,
    )
    return [(str(name), int(writer)) for name, writer in rows]


def some(keys: Sequence[str]) -> str:
    """The first keys, for a sentence."""
    return ", ".join(keys[:5]) + (", ..." if len(keys) > 5 else "")


def sentence(table: str, keys: Sequence[str]) -> str:
    """What was found, and what to do."""
    return (
        f"{table}: rows written in PostgreSQL by somebody else differ from the file "
        f"({some(keys)}). They are left as they are. {DECIDE}."
    )


DECIDE = (
    "End that writer and stop the follower; then manage.py import_sqlite --overwrite takes the "
    "file's values, and with --prune it also deletes rows that the file does not have"
)
