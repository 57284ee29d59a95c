"""Bringing single keys up to date: what replay and retry share with the import."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from stillme.transfer.keys import Key, spelled_keys
from stillme.transfer.postgresql.copy import STAGE, execute
from stillme.transfer.records.outcome import Outcome
from stillme.transfer.sqlite.reading.stored_rows import RawRow
from stillme.transfer.steps.merging.merge import delete_keys, merge_stage
from stillme.transfer.steps.merging.orphans import FindRaw, set_orphans_aside
from stillme.transfer.steps.merging.quarantine_records import drop_records
from stillme.transfer.steps.merging.staging import Merged, begin_stage, stage_rows
from stillme.transfer.steps.rows.read_keys import ManyRows
from stillme.transfer.steps.rows.set_aside import keep_cells, quarantine_rows
from stillme.transfer.steps.rows.table_source import Source, TableSource


def apply_keys(alias: str, source: TableSource, keys: Sequence[Key]) -> Outcome:
    """Read the present legacy rows of `keys` and bring the target to them.

    Every row goes through the checks of the import: upserted, repaired or quarantined. Target
    rows of keys that the legacy no longer has are deleted, with their kept cells and quarantine
    entries (`Outcome.pruned`). Runs in the caller's transaction; the caller marks the write
    (`ledger.mark_write`) in the same transaction.
    """
    rows = list(source.raw.keys(keys))
    outcome = apply_raw(alias, source, rows).outcome
    columns = source.job.mapping.key_columns
    present = set(columns.held(columns.of_cells(row.cells) for row in rows))
    gone = spelled_keys(key for key in columns.held(keys) if key not in present)
    if gone:
        outcome.pruned += delete_keys(alias, source.job.mapping, gone)
        drop_records(alias, source, gone)
    return outcome


def apply_raw(
    alias: str,
    source: Source,
    rows: Sequence[RawRow],
    *,
    into_quarantine: bool = True,
    later: Collection[str] = (),
) -> Merged:
    """Merge raw rows into the target, in the caller's transaction.

    Whether parents in the tables `later` are there is asked by the caller (`set_orphans_aside`).
    Rows that cannot be loaded are put into the quarantine, unless they come from there
    (`into_quarantine=False`): then `Merged.set_aside` says why they stay, and no record changes.
    """
    mapping = source.job.mapping
    keys = mapping.key_columns
    writer, merged = begin_stage(alias, mapping)
    stage_rows(writer, source, rows, merged)
    by_key = {keys.in_target(keys.of_cells(row.cells)): row for row in rows if not row.repeated}
    find_raw: FindRaw = lambda lost: [by_key[key] for key in lost]  # noqa: E731
    _bring_in(alias, source, merged, find_raw, into_quarantine=into_quarantine, later=later)
    return merged


def apply_many(
    alias: str, source: TableSource, many: ManyRows, later: Collection[str] = ()
) -> Merged | None:
    """Apply the rows of many keys, most of them as a stream.

    Returns None if PostgreSQL refuses a row of the stream.
    """
    writer, merged = begin_stage(alias, source.job.mapping)
    if not writer.try_blocks(many.blocks):
        return None
    merged.outcome.legacy_rows = merged.outcome.loaded = many.common
    stage_rows(writer, source, many.others, merged)
    execute(alias, f"ANALYZE {STAGE}")
    _bring_in(alias, source, merged, source.raw.keys, later=later)
    return merged


def _bring_in(
    alias: str,
    source: Source,
    merged: Merged,
    find_raw: FindRaw,
    *,
    into_quarantine: bool = True,
    later: Collection[str] = (),
) -> None:
    """From the stage into the target, the quarantine and the kept cells."""
    job = source.job
    set_orphans_aside(alias, job, merged, find_raw, later)
    merge_stage(alias, job, merged, find_raw, resolves=into_quarantine, later=later)
    if into_quarantine:
        quarantine_rows(alias, job.mapping, job.run_id, merged.set_aside)
    keep_cells(alias, job.mapping, job.run_id, merged.kept.values())
