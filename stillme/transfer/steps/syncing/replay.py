"""Replaying one round of changes: the rows as they are now, and the position, in one transaction.

The log holds keys only and the present state of a row is read, so a round that is replayed twice
ends in the same rows; the position moves in the transaction of the rows, so none is left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from django.db import connections, transaction

from stillme.transfer import ledger
from stillme.transfer.identity import OF_TABLE
from stillme.transfer.keys import Key, spelled_keys
from stillme.transfer.mapping import TableMapping
from stillme.transfer.models import QuarantinedRow
from stillme.transfer.postgresql.capture import as_replay
from stillme.transfer.postgresql.copy import (
    STAGE,
    StageWriter,
    commit_lazily,
    create_stage,
    execute,
    fetch_all,
)
from stillme.transfer.postgresql.locks import share_rows
from stillme.transfer.sqlite.raw import RawRow
from stillme.transfer.steps.merging.apply import apply_raw
from stillme.transfer.steps.merging.compare import present_keys
from stillme.transfer.steps.merging.foreign import foreign_among
from stillme.transfer.steps.merging.merge import delete_keys, stage_rows
from stillme.transfer.steps.merging.merge_rows import merge_stage
from stillme.transfer.steps.merging.merged import Merged
from stillme.transfer.steps.merging.orphans import set_orphans_aside
from stillme.transfer.steps.merging.records import (
    drop_keyless,
    drop_records,
    unloaded_keys,
)
from stillme.transfer.steps.rows.job import TableSource
from stillme.transfer.steps.rows.outcome import Outcome
from stillme.transfer.steps.rows.read_keys import ManyRows
from stillme.transfer.steps.rows.set_aside import keep_cells, quarantine_rows
from stillme.transfer.steps.syncing import states
from stillme.transfer.steps.syncing.children import children_of
from stillme.transfer.steps.syncing.live_file import LiveFile, Round
from stillme.transfer.steps.syncing.ranges_touched import touch_ranges

_AT_ONCE = 5_000


@dataclass(slots=True)
class Replayed:
    """What one round did.

    `foreign` names rows that somebody else wrote in the target: they are left as they are.
    """

    changes: int = 0
    outcome: Outcome = field(default_factory=Outcome)
    foreign: dict[str, list[str]] = field(default_factory=dict)

    def note(self, table: str, outcome: Outcome) -> None:
        """Add what was done in one table."""
        self.outcome.add(outcome)
        if outcome.conflicts:
            self.foreign.setdefault(table, []).extend(outcome.conflicts)


def replay_round(alias: str, live: LiveFile, found: Round) -> Replayed:
    """Apply a round to the target with its position, in one transaction of its own."""
    result = Replayed(found.changes)
    with transaction.atomic(using=alias, durable=True):
        as_replay(alias)
        share_rows(alias)
        # A crash of the server loses rows and position together, and the log still has them:
        # it is trimmed only after a commit that waited for the disk (Follower.trim).
        commit_lazily(connections[alias])
        apply_rows(alias, live, found.keys, found.rows, result, found.many)
        if any(found.keys.values()):
            ledger.mark_write(alias, live.run_id)
        witness = found.witness
        states.advance(
            alias,
            found.file,
            found.start,
            found.end,
            witness=None if witness is None else witness.as_list(),
        )
    return result


def apply_rows(
    alias: str,
    live: LiveFile,
    keys: dict[str, list[Key]],
    rows: dict[str, list[RawRow]],
    result: Replayed,
    many: dict[str, ManyRows] | None = None,
) -> None:
    """Bring the target to the given rows, parents first, in the caller's transaction.

    `many` holds the common rows of tables with many keys; `rows` has the others then.

    A parent that came or went changes what its children may be: they are read again.
    """
    again: dict[str, dict[Key, None]] = {}
    for table, source in live.tables.items():
        wanted = dict.fromkeys(keys.get(table, ()))
        found, common = rows.get(table, ()), (many or {}).get(table)
        is_parent = any(
            table == p for s in live.tables.values() for _, p in s.job.mapping.references()
        )
        # Once more as long as rows of a table that refers to itself are its own children.
        while wanted or again.get(table):
            extra = [key for key in again.pop(table, ()) if key not in wanted]
            every = [*wanted, *extra]
            before = present_keys(alias, source.job.mapping, every) if is_parent else set()
            every_row = [*found, *live.rows(table, extra)]
            _apply_table(alias, live, table, every, every_row, result, common)
            if is_parent:
                moved = before ^ present_keys(alias, source.job.mapping, every)
                for child, child_keys in children_of(alias, live, table, sorted(moved)).items():
                    again.setdefault(child, {}).update(dict.fromkeys(child_keys))
            touch_ranges(alias, source.job.mapping.identity, every)
            wanted, found, common = {}, (), None


def _apply_table(
    alias: str,
    live: LiveFile,
    table: str,
    keys: Sequence[Key],
    rows: Sequence[RawRow],
    result: Replayed,
    many: ManyRows | None,
) -> None:
    source = live.tables[table]
    mapping = source.job.mapping
    if not mapping.key_columns:
        return
    present: set[Key] = set()
    if many is not None:
        outcome = apply_many(alias, source, many)
        if outcome is None:
            # PostgreSQL refuses one of the common rows: each of them by itself, the others too.
            whole = [key for key in keys if key.is_whole]
            rows = [*live.rows(table, whole), *rows[len(many.others) :]]
        else:
            result.note(table, outcome)
            present.update(many.present)
            rows = rows[len(many.others) :]
    for start in range(0, len(rows), _AT_ONCE):
        result.note(table, apply_raw(alias, source, rows[start : start + _AT_ONCE]))
    present.update(mapping.key_columns.of_cells(row.cells) for row in rows)
    away = [key for key in keys if key not in present]
    alike = [key for key in away if mapping.key_columns.in_target(key) is None]
    # The target's row of that text, if any, is another row's.
    drop_records(alias, source, spelled_keys(alike))
    gone = spelled_keys(mapping.key_columns.held(away))
    _drop_gone(alias, source, _ours(alias, source, gone, table, result), result.outcome)
    if mapping.key_is_rowid:
        bad = _quarantined(alias, mapping, spelled_keys(present))
    else:
        bad = _fitting(mapping, unloaded_keys(alias, source, rows))
    bad = _ours(alias, source, bad, table, result)
    result.outcome.pruned += delete_keys(alias, mapping, bad) if bad else 0
    if any(key.is_null for key in (*present, *away)):
        drop_keyless(alias, source)


def _ours(
    alias: str, source: TableSource, keys: Sequence[str], table: str, result: Replayed
) -> list[str]:
    """The keys without those whose target row somebody else wrote: it is not deleted silently."""
    if source.job.overwrite:
        return list(keys)
    foreign = foreign_among(alias, source.job.mapping, keys)
    if foreign:
        result.foreign.setdefault(table, []).extend(foreign)
    return [key for key in keys if key not in foreign]


def apply_many(alias: str, source: TableSource, many: ManyRows) -> Outcome | None:
    """Merge many rows, in the caller's transaction; None where PostgreSQL refuses the stream."""
    mapping = source.job.mapping
    connection = connections[alias]
    merged = Merged(mapping)
    create_stage(connection, mapping)
    writer = StageWriter(connection, mapping.target_columns)
    if not writer.try_blocks(many.blocks):
        return None
    merged.outcome.legacy_rows = merged.outcome.loaded = many.common
    stage_rows(writer, source, many.others, merged)
    execute(connection, f"ANALYZE {STAGE}")
    set_orphans_aside(alias, source, merged, source.raw.keys)
    merge_stage(alias, source.job, merged)
    quarantine_rows(alias, mapping, source.job.run_id, merged.set_aside)
    keep_cells(alias, mapping, source.job.run_id, merged.kept.values())
    return merged.outcome


def _drop_gone(alias: str, source: TableSource, gone: Sequence[str], outcome: Outcome) -> None:
    """Target rows, kept cells and quarantine entries of keys that the legacy no longer has."""
    for start in range(0, len(gone), _AT_ONCE):
        batch = gone[start : start + _AT_ONCE]
        outcome.pruned += delete_keys(alias, source.job.mapping, batch)
        drop_records(alias, source, batch)


def _quarantined(alias: str, mapping: TableMapping, keys: Sequence[str]) -> list[str]:
    """A row that was loaded and is bad now is in quarantine, not in the target as well."""
    rows = fetch_all(
        connections[alias],
        f"SELECT key FROM {QuarantinedRow._meta.db_table} WHERE {OF_TABLE} "
        "AND status <> 'repaired' AND key = ANY(%s)",
        [*mapping.identity, list(keys)],
    )
    return _fitting(mapping, [str(row[0]) for row in rows])


def _fitting(mapping: TableMapping, keys: Sequence[str]) -> list[str]:
    """Those keys that the target can hold at all."""
    return [key for key in keys if mapping.key_columns.parse(key) is not None]
