"""Reading rows again that mean something else, although nobody wrote to them."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence

from django.db import transaction

from stillme.transfer import ledger
from stillme.transfer.keys import Key
from stillme.transfer.kinds import Date, Timestamp
from stillme.transfer.mapping import TableMapping
from stillme.transfer.postgresql.capture import as_replay
from stillme.transfer.postgresql.locks import share_rows
from stillme.transfer.sqlite.clock_sql import row_offset_sql
from stillme.transfer.sqlite.connect import quoted
from stillme.transfer.steps.syncing.decisions import Change
from stillme.transfer.steps.syncing.live_file import LiveFile
from stillme.transfer.steps.syncing.replay import Replayed, apply_rows

_AT_ONCE = 5_000


def read_again(
    alias: str, live: LiveFile, change: Change, between: Callable[[], None] = lambda: None
) -> None:
    """Apply the rows again that may mean something else; `between` is called between two reads.

    In short reads, so that writers are not kept waiting: what is written meanwhile is in the log.
    """
    for table, mapping in live.mappings.items():
        keys = concerned_keys(live.connection, mapping, change)
        for start in range(0, len(keys), _AT_ONCE):
            between()
            _apply(alias, live, table, keys[start : start + _AT_ONCE])


def concerned_keys(
    connection: sqlite3.Connection, mapping: TableMapping, change: Change
) -> list[Key]:
    """The keys of the rows that a change concerns; none in a table without a key."""
    if not mapping.key_columns:
        return []
    condition, values = _condition(mapping, change)
    parts = mapping.key_columns.legacy_parts()
    query = f"SELECT {parts} FROM {quoted(mapping.table)} WHERE {condition}"
    return [Key.of_flat(row) for row in connection.execute(query, values)]


def _condition(mapping: TableMapping, change: Change) -> tuple[str, list[str]]:
    """SQL for the rows of a table that a change concerns."""
    if mapping.declared_table in change.whole:
        return "1", []
    tests = [
        f"typeof({quoted(name)}) IN ('integer', 'real')"
        for name in change.numbers.get(mapping.declared_table, ())
    ]
    values: list[str] = []
    times = [quoted(c.legacy) for c in mapping.columns if isinstance(c.kind, Timestamp | Date)]
    if times and change.since is not None:
        # Whatever the column is for, a T between date and time says that the time is local.
        test = " OR ".join(f"(substr({name}, 11, 1) = 'T' AND {name} >= ?)" for name in times)
        test, values = f"({test})", [change.since] * len(times)
        if mapping.clock is not None and not change.everywhere:
            # A row with evidence of its own is sure.
            test += f" AND {row_offset_sql(mapping.clock)} IS NULL"
        tests.append(f"({test})")
    return " OR ".join(tests) or "0", values


def _apply(alias: str, live: LiveFile, table: str, keys: Sequence[Key]) -> None:
    found = live.read(table, keys)
    with transaction.atomic(using=alias, durable=True):
        as_replay(alias)
        share_rows(alias)
        apply_rows(alias, live, found.keys, found.rows, Replayed(), found.many)
        ledger.mark_write(alias, live.run_id)
