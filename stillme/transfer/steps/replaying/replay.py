"""Replaying one round of changes: the rows as they are now, and the position, in one transaction.

An example: the log says that items 7 and 9 and cycle 3 were written. Cycle 3 is there: it goes
through the checks of the import and is merged. It is new, so items that were quarantined for lack
of it are read again with items 7 and 9. Item 9 is no longer in the file: it is deleted in the
target, with what was kept of it.

The log holds keys only and the present row is read, so a round that is replayed twice ends in the
same rows. The position moves in the transaction of the rows, so no change is left out.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from django.db import connections

from stillme.transfer.identity import OF_TABLE
from stillme.transfer.keys import Key, spelled_keys
from stillme.transfer.mapping import TableMapping
from stillme.transfer.models import QuarantinedRow
from stillme.transfer.postgresql.capture import engine_transaction
from stillme.transfer.postgresql.copy import fetch_all
from stillme.transfer.postgresql.distributed import commit_lazily
from stillme.transfer.postgresql.locks import share_rows
from stillme.transfer.records import ledger
from stillme.transfer.records.outcome import Outcome
from stillme.transfer.registry import circle
from stillme.transfer.sqlite.reading.connect import quoted
from stillme.transfer.sqlite.reading.stored_rows import RawRow
from stillme.transfer.steps.merging.apply_rows import apply_many, apply_raw
from stillme.transfer.steps.merging.children import Known, children_of, known_by
from stillme.transfer.steps.merging.circle_orphans import take_out_orphans
from stillme.transfer.steps.merging.foreign import foreign_among
from stillme.transfer.steps.merging.merge import delete_keys
from stillme.transfer.steps.merging.quarantine_records import (
    drop_keyless,
    drop_records,
    unloaded_keys,
)
from stillme.transfer.steps.rows.read_keys import ManyRows
from stillme.transfer.steps.syncing import file_states
from stillme.transfer.steps.syncing.file_decisions import Change
from stillme.transfer.steps.syncing.live_file import LiveFile, Round

_AT_ONCE = 5_000


@dataclass(slots=True)
class Replayed:
    """What one round did.

    `foreign` names rows that somebody else wrote in the target: they are left as they are.
    """

    outcome: Outcome = field(default_factory=Outcome)
    foreign: dict[str, list[str]] = field(default_factory=dict)

    def note(self, table: str, outcome: Outcome) -> None:
        """Add what was done in one table."""
        self.outcome.add(outcome)
        if outcome.conflicts:
            self.foreign.setdefault(table, []).extend(outcome.conflicts)


def replay_round(alias: str, live: LiveFile, found: Round) -> Replayed:
    """Apply a round to the target with its position, in one transaction of its own."""
    result = Replayed()
    with engine_transaction(alias):
        share_rows(alias)
        # A crash of the server loses rows and position together, and the log still has them:
        # it is trimmed only after a commit that waited for the disk (Follower.trim).
        commit_lazily(connections[alias])
        apply_rows(alias, live, found, result)
        if any(found.keys.values()):
            ledger.mark_write(alias, live.run_id)
        file_states.advance(alias, found.file, found.start, found.end, witness=found.witness)
    return result


def read_again(
    alias: str, live: LiveFile, change: Change, between: Callable[[], None] = lambda: None
) -> None:
    """Apply the rows again that may mean something else, although nobody wrote to them.

    In short reads, so that writers are not kept waiting: what is written meanwhile is in the log.
    `between` is called between two reads.
    """
    for table, mapping in live.mappings.items():
        keys = _concerned_keys(live.connection, mapping, change)
        for start in range(0, len(keys), _AT_ONCE):
            between()
            found = live.read({table: keys[start : start + _AT_ONCE]})
            with engine_transaction(alias):
                share_rows(alias)
                apply_rows(alias, live, found, Replayed())
                ledger.mark_write(alias, live.run_id)


def _concerned_keys(
    connection: sqlite3.Connection, mapping: TableMapping, change: Change
) -> list[Key]:
    """The keys of the rows that a change concerns; none in a table without a key."""
    if not mapping.key_columns:
        return []
    numbers = change.numbers.get(mapping.declared_table, ())
    which = " OR ".join(f"typeof({quoted(n)}) IN ('integer', 'real')" for n in numbers) or "0"
    if mapping.declared_table in change.whole:
        which = "1"
    parts = mapping.key_columns.legacy_parts()
    query = f"SELECT {parts} FROM {quoted(mapping.table)} WHERE {which}"
    return [Key.of_flat(row) for row in connection.execute(query)]


def apply_rows(alias: str, live: LiveFile, found: Round, result: Replayed) -> None:
    """Bring the target to the rows that were found, parents first, in the caller's transaction.

    A parent that came or went changes what its children may be: they are read again.
    """
    given = set(live.tables)
    again: dict[str, dict[Key, None]] = {t: {} for t in live.tables}
    circles = {t: circle(live.file.name, t) & live.tables.keys() for t in live.tables}
    # Rows of tables in a circle are brought in without asking for each other's. When all are
    # there, those without a parent go again, and from then on every parent is asked for.
    unasked: dict[str, dict[Key, None]] = {t: {} for t in live.tables if circles[t]}
    while table := next((t for t in live.tables if t in given or again[t]), ""):
        wanted, rows, many = found.of(table) if table in given else ([], [], None)
        given.discard(table)
        known = set(wanted)
        extra = [key for key in again[table] if key not in known]
        again[table] = {}
        every = list(dict.fromkeys([*wanted, *extra]))
        if every:
            later = circles[table] - {table} if table in unasked else frozenset()
            replay = _TableReplay(alias, live, table, result, later)
            moved = replay.apply(every, [*rows, *live.rows(table, extra)], many)
            _note_children(alias, live, table, moved, again)
            if table in unasked:
                unasked[table].update(dict.fromkeys(every))
        if not any(t in given or again[t] for t in circles[table]):
            _ask(alias, live, {t: unasked.pop(t, {}) for t in circles[table]}, again, result)


def _note_children(
    alias: str, live: LiveFile, table: str, moved: set[Known], again: dict[str, dict[Key, None]]
) -> None:
    """The children of rows that came or went are read again."""
    for child, keys in children_of(alias, live.tables, table, sorted(moved)).items():
        again[child].update(dict.fromkeys(keys))


def _ask(
    alias: str,
    live: LiveFile,
    unasked: dict[str, dict[Key, None]],
    again: dict[str, dict[Key, None]],
    result: Replayed,
) -> None:
    """Take out those rows of a circle's tables that lack a parent."""
    sources = {table: live.tables[table] for table in unasked}
    for table, keys in unasked.items():
        taken = take_out_orphans(alias, sources, table, keys) if keys else []
        result.outcome.loaded -= len(taken)
        result.outcome.quarantined += len(taken)
        _note_children(alias, live, table, {("", key) for key in taken}, again)


class _TableReplay:
    """Brings one table of the target to the rows that the file has of some keys.

    First the keys without a row: their target rows are deleted, with what was kept of them. Then
    the rows that are there: the common ones of many keys as a stream, the others one by one. Last
    the rows that were loaded once and are in quarantine now: they leave the target. A target row
    that somebody else wrote is never deleted; it is named in the result.
    """

    def __init__(
        self, alias: str, live: LiveFile, table: str, result: Replayed, later: frozenset[str]
    ) -> None:
        self._alias = alias
        self._live = live
        self._table = table
        self._result = result
        self._source = live.tables[table]
        self._mapping = self._source.job.mapping
        self._later = later

    def apply(
        self, keys: Sequence[Key], rows: Sequence[RawRow], many: ManyRows | None
    ) -> set[Known]:
        """Return what came or went, of a table that others refer to: keys, and named columns.

        `many` holds the common rows, if the keys are many; `rows` begins with its others.
        """
        columns = self._mapping.key_columns
        if not columns:
            return set()
        before = self._in_target(keys)
        present = {columns.of_cells(row.cells) for row in rows}
        present |= set(many.present) if many is not None else set()
        # First: a new row may have what is unique of one that is gone.
        self._delete_absent([key for key in keys if key not in present])
        if many is not None:
            rows = self._apply_stream(keys, rows, many)
        refused = self._apply_each(rows)
        if self._delete_unloaded(rows, present) and refused:
            # What is unique of a row that has left is free now.
            self._apply_each(rows)
        if any(key.is_null for key in (*present, *keys)):
            drop_keyless(self._alias, self._source)
        return before ^ self._in_target(keys)

    def _in_target(self, keys: Sequence[Key]) -> set[Known]:
        """What the target has of the keys' rows; nothing of a table that no other one refers to."""
        return known_by(self._alias, self._live.tables, self._table, keys)

    def _apply_each(self, rows: Sequence[RawRow]) -> int:
        """Return how many rows PostgreSQL refused."""
        refused = 0
        for start in range(0, len(rows), _AT_ONCE):
            batch = rows[start : start + _AT_ONCE]
            outcome = apply_raw(self._alias, self._source, batch, later=self._later).outcome
            self._result.note(self._table, outcome)
            refused += outcome.reasons.get("refused_by_target", 0)
        return refused

    def _apply_stream(
        self, keys: Sequence[Key], rows: Sequence[RawRow], many: ManyRows
    ) -> Sequence[RawRow]:
        """The rows that are still to be applied."""
        rest = rows[len(many.others) :]
        merged = apply_many(self._alias, self._source, many, self._later)
        if merged is None:
            # PostgreSQL refuses one of the common rows: each of them by itself, the others too.
            whole = [key for key in keys if key.is_whole]
            return [*self._live.rows(self._table, whole), *rest]
        self._result.note(self._table, merged.outcome)
        return rest

    def _delete_absent(self, away: Sequence[Key]) -> None:
        """Target rows, kept cells and quarantine records of keys that the file no longer has."""
        columns = self._mapping.key_columns
        odd = [key for key in away if columns.in_target(key) is None]
        # A target row whose key is this text belongs to another row.
        drop_records(self._alias, self._source, spelled_keys(odd))
        gone = self._ours(spelled_keys(columns.held(away)))
        for start in range(0, len(gone), _AT_ONCE):
            batch = gone[start : start + _AT_ONCE]
            self._delete(batch)
            drop_records(self._alias, self._source, batch)

    def _delete_unloaded(self, rows: Sequence[RawRow], present: set[Key]) -> bool:
        """Target rows whose legacy row is in quarantine now; whether there were any."""
        if self._mapping.key_is_rowid:
            unloaded = _quarantined(self._alias, self._mapping, spelled_keys(present))
        else:
            unloaded = unloaded_keys(self._alias, self._source, rows)
        # The others are no keys that the target can hold.
        columns = self._mapping.key_columns
        bad = self._ours([key for key in unloaded if columns.parse(key) is not None])
        if bad:
            self._delete(bad)
        return bool(bad)

    def _delete(self, keys: Sequence[str]) -> None:
        self._result.outcome.pruned += delete_keys(self._alias, self._mapping, keys)

    def _ours(self, keys: Sequence[str]) -> list[str]:
        """The keys whose target row the engine wrote; the others are named, and not deleted."""
        if self._source.job.overwrite:
            return list(keys)
        foreign = foreign_among(self._alias, self._mapping, keys)
        if foreign:
            self._result.foreign.setdefault(self._table, []).extend(foreign)
        return [key for key in keys if key not in foreign]


def _quarantined(alias: str, mapping: TableMapping, keys: Sequence[str]) -> list[str]:
    """Those of the keys that are in quarantine now, and may still be in the target."""
    rows = fetch_all(
        alias,
        f"SELECT key FROM {QuarantinedRow._meta.db_table} WHERE {OF_TABLE} "
        "AND status <> 'repaired' AND key = ANY(%s)",
        [*mapping.identity, list(keys)],
    )
    return [str(row[0]) for row in rows]
