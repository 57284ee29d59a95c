"""Legacy rows into the stage: a temporary table of the target's shape, emptied at commit.

Common rows come as a stream of COPY lines; the others are converted cell by cell. What cannot be
loaded, or what PostgreSQL refuses, is set aside. `Merged` counts what became of each row.

`rows_differ` is the one comparison of staged rows `s` with target rows `t` that the merge, the
sweep, the cut-over and the way back use. It shares the loader's conversions, so it is no proof:
that is the judge's (`verify_migration`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from django.db import connections

from stillme.transfer.keys import Key
from stillme.transfer.mapping import TableMapping
from stillme.transfer.plumbing.csv_format import csv_line
from stillme.transfer.postgresql.copy import STAGE, StageWriter, create_stage, execute, quoted
from stillme.transfer.records.outcome import Outcome
from stillme.transfer.sqlite.reading.key_ranges import KeyRange
from stillme.transfer.sqlite.reading.stored_rows import RawRow
from stillme.transfer.steps.kinds import loader_of
from stillme.transfer.steps.rows.load_huge import is_huge, line_pieces
from stillme.transfer.steps.rows.packed import KeptRow, PackedRow, pack
from stillme.transfer.steps.rows.read_keys import MANY, read_many
from stillme.transfer.steps.rows.read_range import RangeReader, ReadRange
from stillme.transfer.steps.rows.table_source import Source, TableSource
from stillme.transfer.steps.rows.unusual_rows import LoadedRow, SetAside

# Rows that need attention are staged so many characters at a time.
_ROWS_AT_ONCE, _CHARACTERS_AT_ONCE = 1_000, 4_000_000


@dataclass(slots=True)
class Merged:
    """What became of the staged rows: counts, rows set aside, and kept cells by key."""

    mapping: TableMapping
    outcome: Outcome = field(default_factory=Outcome)
    set_aside: list[PackedRow] = field(default_factory=list)
    kept: dict[str, KeptRow] = field(default_factory=dict)

    def note(self, row: LoadedRow | SetAside) -> None:
        """Count a row."""
        outcome = self.outcome
        outcome.legacy_rows += 1
        if isinstance(row, SetAside):
            self.put_aside(pack(self.mapping, row))
            return
        outcome.repaired += row.repaired
        outcome.loaded += not row.repaired
        if row.kept:
            self.kept[row.key] = KeptRow(row.key, row.kept, row.repaired)

    def put_aside(self, row: PackedRow) -> None:
        """Count a row for the quarantine, but not among the legacy rows."""
        self.set_aside.append(row)
        self.outcome.quarantined += 1
        self.outcome.reasons[row.reason] = self.outcome.reasons.get(row.reason, 0) + 1

    def take_back(self, key: str) -> None:
        """Undo the count of a row that had been staged."""
        kept = self.kept.pop(key, None)
        was_repaired = kept is not None and kept.repaired
        self.outcome.legacy_rows -= 1
        self.outcome.repaired -= was_repaired
        self.outcome.loaded -= not was_repaired

    def replace(self, place: int, new: PackedRow) -> None:
        """Another reason for a row that is set aside anyway."""
        old = self.set_aside[place]
        self.set_aside[place] = new
        self.outcome.reasons[old.reason] -= 1
        self.outcome.reasons[new.reason] = self.outcome.reasons.get(new.reason, 0) + 1


def begin_stage(alias: str, mapping: TableMapping) -> tuple[StageWriter, Merged]:
    """An empty stage, by its writer, and the count of what becomes of its rows."""
    create_stage(connections[alias], mapping)
    return StageWriter(connections[alias], mapping.target_columns), Merged(mapping)


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
        execute(alias, f"TRUNCATE pg_temp.{STAGE}")
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


def stage_keys(
    writer: StageWriter, source: TableSource, keys: Sequence[Key], merged: Merged
) -> set[Key]:
    """Stage the legacy rows of keys; the keys of the rows that exist, as the target has them."""
    columns = source.job.mapping.key_columns
    are_whole = all(key.is_whole for key in keys)
    many = read_many(source, keys) if are_whole and len(keys) >= MANY else None
    if many is not None and writer.try_blocks(many.blocks):
        stage_rows(writer, source, many.others, merged)
        return set(many.present)
    rows = list(source.raw.keys(keys))
    stage_rows(writer, source, rows, merged)
    return set(columns.held(columns.of_cells(row.cells) for row in rows))


def merged_columns(mapping: TableMapping) -> list[str]:
    """The target columns that a merge brings to the staged values.

    `legacy_extra` in any case: the file may have lost the columns that were in it.
    """
    return [*dict.fromkeys([*mapping.target_columns, *mapping.extra_columns])]


def rows_differ(mapping: TableMapping) -> str:
    """A condition on `s` and `t`: some column that the import writes is not the same."""
    tests = [cells_differ(mapping, name) for name in merged_columns(mapping)]
    return f"({' OR '.join(tests)})"


def cells_differ(mapping: TableMapping, name: str) -> str:
    """The same of one target column."""
    known = {column.target: loader_of(column.kind).compared for column in mapping.columns}
    # A column of a rule has no kind; its text is exact for every type.
    form = known.get(name, "{}::text")
    staged, present = (form.format(f"{side}.{quoted(name)}") for side in ("s", "t"))
    return f"{staged} IS DISTINCT FROM {present}"
