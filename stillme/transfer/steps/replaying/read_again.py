"""Reading rows again that mean something else, although nobody wrote to them."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence

from django.db import transaction

from stillme.transfer.keys import Key
from stillme.transfer.mapping import TableMapping
from stillme.transfer.postgresql.capture import as_replay
from stillme.transfer.postgresql.locks import share_rows
from stillme.transfer.records import ledger
from stillme.transfer.sqlite.reading.connect import quoted
from stillme.transfer.steps.replaying.replay import Replayed, apply_rows
from stillme.transfer.steps.syncing.file_decisions import Change
from stillme.transfer.steps.syncing.live_file import LiveFile

_AT_ONCE = 5_000


def read_again(
    alias: str, live: LiveFile, change: Change, between: Callable[[], None] = lambda: None
) -> None:
    """Apply the rows again that may mean something else; `between` is called between two reads.

    In short reads, so that writers are not kept waiting: what is written meanwhile is in the log.
    """
    for table, mapping in live.mappings.items():
        keys = _concerned_keys(live.connection, mapping, change)
        for start in range(0, len(keys), _AT_ONCE):
            between()
            _apply(alias, live, table, keys[start : start + _AT_ONCE])


def _concerned_keys(
    connection: sqlite3.Connection, mapping: TableMapping, change: Change
) -> list[Key]:
    """The keys of the rows that a change concerns; none in a table without a key."""
    if not mapping.key_columns:
        return []
    parts = mapping.key_columns.legacy_parts()
    query = f"SELECT {parts} FROM {quoted(mapping.table)} WHERE {_condition(mapping, change)}"
    return [Key.of_flat(row) for row in connection.execute(query)]


def _condition(mapping: TableMapping, change: Change) -> str:
    """SQL for the rows of a table that a change concerns."""
    if mapping.declared_table in change.whole:
        return "1"
    numbers = change.numbers.get(mapping.declared_table, ())
    return " OR ".join(f"typeof({quoted(n)}) IN ('integer', 'real')" for n in numbers) or "0"


def _apply(alias: str, live: LiveFile, table: str, keys: Sequence[Key]) -> None:
    found = live.read(table, keys)
    with transaction.atomic(using=alias, durable=True):
        as_replay(alias)
        share_rows(alias)
        apply_rows(alias, live, found.keys, found.rows, Replayed(), found.many)
        ledger.mark_write(alias, live.run_id)
