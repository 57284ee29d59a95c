"""Bringing single keys up to date: what replay and retry share with the import."""

from __future__ import annotations

from collections.abc import Sequence

from django.db import connections

from stillme.transfer.keys import Key, spelled_keys
from stillme.transfer.postgresql.copy import StageWriter, create_stage
from stillme.transfer.sqlite.raw import RawRow
from stillme.transfer.steps.merging.merge import delete_keys, stage_rows
from stillme.transfer.steps.merging.merge_rows import merge_stage
from stillme.transfer.steps.merging.merged import Merged
from stillme.transfer.steps.merging.orphans import set_orphans_aside
from stillme.transfer.steps.merging.records import drop_records
from stillme.transfer.steps.rows.job import Source, TableSource
from stillme.transfer.steps.rows.outcome import MOST_KEYS, Outcome
from stillme.transfer.steps.rows.set_aside import keep_cells, quarantine_rows


def apply_keys(alias: str, source: TableSource, keys: Sequence[Key]) -> Outcome:
    """Read the present legacy rows of `keys` and bring the target to them.

    Every row goes through the checks of the import: upserted, repaired or quarantined. Target
    rows of keys that the legacy no longer has are deleted, with their kept cells and quarantine
    entries (`Outcome.pruned`). Runs in the caller's transaction; the caller marks the write
    (`ledger.mark_write`) in the same transaction.
    """
    rows = list(source.raw.keys(keys))
    outcome = apply_raw(alias, source, rows)
    columns = source.job.mapping.key_columns
    present = set(columns.held(columns.of_cells(row.cells) for row in rows))
    gone = spelled_keys(key for key in columns.held(keys) if key not in present)
    if gone:
        outcome.pruned += delete_keys(alias, source.job.mapping, gone)
        drop_records(alias, source, gone)
    return outcome


def apply_raw(
    alias: str, source: Source, rows: Sequence[RawRow], *, into_quarantine: bool = True
) -> Outcome:
    """Merge raw rows into the target, in the caller's transaction.

    Rows that cannot be loaded are put into the quarantine, unless they come from there
    (`into_quarantine=False`): then `Outcome.sentences` says why they stay.
    """
    mapping = source.job.mapping
    keys = mapping.key_columns
    merged = Merged(mapping)
    connection = connections[alias]
    create_stage(connection, mapping)
    stage_rows(StageWriter(connection, mapping.target_columns), source, rows, merged)
    by_key = {keys.in_target(keys.of_cells(row.cells)): row for row in rows if not row.repeated}
    set_orphans_aside(alias, source, merged, lambda lost: [by_key[key] for key in lost])
    merge_stage(alias, source.job, merged)
    if into_quarantine:
        quarantine_rows(alias, mapping, source.job.run_id, merged.set_aside)
    merged.outcome.sentences += [row.sentence for row in merged.set_aside[:MOST_KEYS]]
    keep_cells(alias, mapping, source.job.run_id, merged.kept.values())
    return merged.outcome
