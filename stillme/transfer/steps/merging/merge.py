"""Staging a range of the snapshot and merging it into the target."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from django.db import connections

from stillme.transfer.csv_format import csv_line
from stillme.transfer.edited_keys import edited_keys
from stillme.transfer.identity import OF_TABLE
from stillme.transfer.mapping import TableMapping
from stillme.transfer.models import KeptCell, QuarantinedRow
from stillme.transfer.postgresql.copy import (
    STAGE,
    StageWriter,
    create_stage,
    execute,
    fetch_all,
)
from stillme.transfer.sqlite.ranges import KeyRange
from stillme.transfer.sqlite.raw import RawRow
from stillme.transfer.steps.merging import image
from stillme.transfer.steps.merging.merge_rows import OURS, merge_stage
from stillme.transfer.steps.merging.merged import Merged
from stillme.transfer.steps.merging.orphans import set_orphans_aside
from stillme.transfer.steps.rows.careful import LoadedRow, SetAside
from stillme.transfer.steps.rows.job import Source, TableJob, TableSource
from stillme.transfer.steps.rows.load_huge import is_huge, line_pieces
from stillme.transfer.steps.rows.outcome import MOST_KEYS
from stillme.transfer.steps.rows.read_range import RangeReader, ReadRange

# Rows that need attention are staged so many characters at a time.
_ROWS_AT_ONCE, _CHARACTERS_AT_ONCE = 1_000, 4_000_000


def merge_range(
    alias: str, source: TableSource, key_range: KeyRange, read: ReadRange | None = None
) -> Merged:
    """Stage a range of the snapshot and merge it, in the caller's transaction.

    `read` is the range where it was read already.
    """
    mapping = source.job.mapping
    merged = Merged(mapping)
    if not mapping.key_columns:
        _set_all_aside(source, key_range, merged)
        return merged
    create_stage(connections[alias], mapping)
    fill_stage(alias, source, key_range, merged, read)
    set_orphans_aside(alias, source, merged, source.raw.keys)
    within = key_range.in_target(mapping, "t")
    if not image.is_elsewhere(alias, mapping):
        find_vanished(alias, source.job, merged, *within)
    merge_stage(alias, source.job, merged, within)
    return merged


def _set_all_aside(source: TableSource, key_range: KeyRange, merged: Merged) -> None:
    for raw in RangeReader(source, key_range).everything():
        merged.note(source.careful.convert(raw))


def fill_stage(
    alias: str,
    source: TableSource,
    key_range: KeyRange,
    merged: Merged,
    read: ReadRange | None = None,
) -> None:
    """Common rows as a stream where PostgreSQL takes them all, else every row cell by cell."""
    writer = StageWriter(connections[alias], source.job.mapping.target_columns)
    reader = RangeReader(source, key_range)
    kept = None if read is None else read.blocks
    if writer.try_blocks(reader.blocks() if kept is None else kept) and not reader.by_hand:
        rows = reader.rows if kept is None or read is None else read.common_rows
        merged.outcome.legacy_rows = merged.outcome.loaded = rows
        others = None if read is None or kept is None else read.others
        stage_rows(writer, source, reader.others() if others is None else others, merged)
        return
    if reader.by_hand:
        execute(connections[alias], f"TRUNCATE pg_temp.{STAGE}")
    stage_rows(writer, source, RangeReader(source, key_range).everything(), merged)


def stage_rows(writer: StageWriter, source: Source, rows: Iterable[RawRow], merged: Merged) -> None:
    """Convert raw rows and stage them; what PostgreSQL still refuses is set aside."""
    batch: list[tuple[LoadedRow, str]] = []
    size = 0
    for raw in rows:
        row = source.careful.convert(raw)
        if isinstance(row, SetAside):
            merged.note(row)
        elif is_huge(row.cells):
            _note_staged(merged, row, writer.refusal(line_pieces(row.cells)))
        else:
            batch.append((row, csv_line(row.cells)))
            size += len(batch[-1][1])
        if size >= _CHARACTERS_AT_ONCE or len(batch) >= _ROWS_AT_ONCE:
            _stage(writer, batch, merged)
            batch, size = [], 0
    _stage(writer, batch, merged)


def _stage(writer: StageWriter, batch: Sequence[tuple[LoadedRow, str]], merged: Merged) -> None:
    refused = dict(writer.lines([line for _, line in batch]))
    for index, (row, _) in enumerate(batch):
        _note_staged(merged, row, refused.get(index))


def _note_staged(merged: Merged, row: LoadedRow, refusal: str | None) -> None:
    if refusal is None:
        merged.note(row)
        return
    sentence = f"PostgreSQL refuses the row: {refusal}"
    merged.note(SetAside(row.key, row.raw, "refused_by_target", "", sentence))


def find_vanished(
    alias: str, job: TableJob, merged: Merged, condition: str, values: Sequence[Any]
) -> None:
    """Rows the engine loaded whose legacy row is gone, or is in quarantine now.

    Who overwrites asks for rows that somebody else added, too. Reported; with `prune` their keys
    are collected, to be deleted children first when all tables are loaded.
    """
    mapping = job.mapping
    keys = mapping.key_columns
    name = keys.target_text("t")
    edited = sorted(edited_keys(alias, mapping))
    whose = "TRUE" if job.overwrite else OURS
    gone = fetch_all(
        connections[alias],
        f"SELECT {name} FROM {mapping.relation} AS t WHERE {condition} AND {whose} "
        f"AND NOT EXISTS (SELECT 1 FROM {STAGE} AS s WHERE {keys.target_same('s', 't')}) "
        # A row that was edited in quarantine stands for its bad legacy row.
        f"AND NOT EXISTS (SELECT 1 FROM {QuarantinedRow._meta.db_table} AS q "
        f"WHERE q.key = {name} AND {OF_TABLE} AND q.status = 'repaired' "
        f"AND q.repairs <> '{{}}'::jsonb) AND {name} <> ALL(%s) ORDER BY {keys.target('t')}",
        [*values, *mapping.identity, edited],
    )
    names = [row[0] for row in gone]
    merged.outcome.vanished_count += len(names)
    merged.outcome.vanished += names[:MOST_KEYS]
    if job.prune:
        merged.outcome.to_prune += names


def delete_keys(alias: str, mapping: TableMapping, keys: Sequence[str]) -> int:
    """Delete target rows by key (as text), with the originals kept beside them."""
    mapping.identity.of(KeptCell.objects.using(alias)).filter(key__in=list(keys)).delete()
    among, values = mapping.key_columns.target_among(mapping.key_columns.parsed(keys))
    return execute(connections[alias], f"DELETE FROM {mapping.relation} WHERE {among}", values)
