"""Loading one key range in one PostgreSQL transaction, its ledger record included.

Two ways. *Direct*: COPY straight into the target; for ranges that were never loaded. *Staged*:
COPY into a temporary table and merge; for everything else: ranges loaded before, rows PostgreSQL
refuses, a target that already holds some of the keys. Direct falls back to staged on any refusal,
so that one bad value never stops a run (law 7).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import psycopg
from django.db import DatabaseError, connections, transaction

from stillme.transfer.errors import TransferError
from stillme.transfer.mapping import TableMapping
from stillme.transfer.models import Chunk
from stillme.transfer.plumbing.csv_format import csv_line
from stillme.transfer.postgresql.capture import as_replay
from stillme.transfer.postgresql.copy import copy_csv, fetch_all, lost_connection
from stillme.transfer.postgresql.distributed import commit_lazily
from stillme.transfer.records import ledger
from stillme.transfer.records.outcome import Outcome
from stillme.transfer.records.table_job import TableJob
from stillme.transfer.sqlite.reading.key_ranges import KeyRange
from stillme.transfer.steps.merging.merge import merge_range
from stillme.transfer.steps.rows.load_huge import TargetCell, is_huge, line_pieces
from stillme.transfer.steps.rows.packed import KeptRow, PackedRow, pack
from stillme.transfer.steps.rows.read_range import RangeReader, ReadRange
from stillme.transfer.steps.rows.set_aside import keep_cells, keep_lines, quarantine_rows
from stillme.transfer.steps.rows.table_source import TableSource
from stillme.transfer.steps.rows.unusual_rows import LoadedRow, SetAside

_LINES_AT_ONCE = 200
_CHARACTERS_AT_ONCE = 1_000_000


class Collected:
    """What a pass over a range brings in addition to the common rows."""

    def __init__(self, mapping: TableMapping) -> None:
        self._mapping = mapping
        self.set_aside: list[PackedRow] = []
        self.kept: list[KeptRow] = []
        self.repaired = 0

    def add(self, row: LoadedRow | SetAside) -> tuple[TargetCell, ...] | None:
        """Note a row; its cells if it is for the target."""
        if isinstance(row, SetAside):
            # Packed, because all of a range may be here.
            self.set_aside.append(pack(self._mapping, row))
            return None
        if row.kept:
            self.kept.append(KeptRow(row.key, row.kept, row.repaired))
        self.repaired += row.repaired
        return row.cells

    def blocks(self, source: TableSource, reader: RangeReader) -> Iterator[bytes]:
        """CSV of the rows that need attention: small blocks, a row with a huge text in pieces."""
        batch: list[str] = []
        size = 0
        for raw in reader.others():
            cells = self.add(source.careful.convert(raw))
            if cells is None:
                continue
            if is_huge(cells):
                yield from line_pieces(cells)
                continue
            batch.append(csv_line(cells))
            size += len(batch[-1])
            if len(batch) >= _LINES_AT_ONCE or size >= _CHARACTERS_AT_ONCE:
                yield "".join(batch).encode("utf-8")
                batch, size = [], 0
        yield "".join(batch).encode("utf-8")

    def outcome(self, legacy_rows: int) -> Outcome:
        """The counts: every row that was neither repaired nor set aside is loaded."""
        outcome = Outcome(
            legacy_rows=legacy_rows,
            loaded=legacy_rows - self.repaired - len(self.set_aside),
            repaired=self.repaired,
            quarantined=len(self.set_aside),
        )
        for row in self.set_aside:
            outcome.reasons[row.reason] = outcome.reasons.get(row.reason, 0) + 1
        return outcome


def load_range(
    alias: str, source: TableSource, key_range: KeyRange, previous: Chunk | None
) -> Outcome:
    """Bring the target up to the snapshot for one range. Raises TransferError, DatabaseError."""
    if previous is not None:
        return _load_again(alias, source, key_range, previous)
    for trusting in (True, False):
        try:
            return load_direct(alias, source, key_range, trusting=trusting)
        except (psycopg.Error, DatabaseError) as error:
            cause = error if isinstance(error, psycopg.Error) else error.__cause__
            if not isinstance(cause, psycopg.Error) or lost_connection(cause):
                raise
            if not isinstance(cause, psycopg.errors.CharacterNotInRepertoire):
                break
    return load_staged(alias, source, key_range)


def _load_again(alias: str, source: TableSource, key_range: KeyRange, previous: Chunk) -> Outcome:
    """Do nothing if the range, the mapping and the target's row count are those of the record.

    With `overwrite` the range is always merged: the record tells nothing of the target's cells.
    """
    if source.job.overwrite:
        return load_staged(alias, source, key_range)
    read = None
    if previous.file_sha256 != source.job.snapshot.sha256:
        read = ReadRange(source, key_range)
    same = read is None or read.digest == previous.digest
    known = same and previous.mapping_digest == source.job.digest
    if known and _count(alias, source.job, key_range) == previous.loaded + previous.repaired:
        return _as_recorded(previous)
    return load_staged(alias, source, key_range, read)


def load_direct(alias: str, source: TableSource, key_range: KeyRange, *, trusting: bool) -> Outcome:
    """COPY into the target. Raises psycopg.Error where PostgreSQL refuses anything."""
    job = source.job
    connection = connections[alias]
    reader = RangeReader(source, key_range, trusting=trusting, keep_faulty=True)
    collected = Collected(job.mapping)
    with transaction.atomic(using=alias, durable=True):
        as_replay(alias)
        commit_lazily(connection)
        blocks = _direct_blocks(source, reader, collected)
        copy_csv(connection, job.mapping.relation, job.mapping.target_columns, blocks)
        outcome = collected.outcome(reader.rows)
        outcome.inserted = outcome.loaded + outcome.repaired
        outcome.digest = reader.digest()
        keep_lines(alias, reader.originals)
        _write_record(alias, source, key_range, collected.set_aside, collected.kept, outcome)
    return outcome


def _direct_blocks(
    source: TableSource, reader: RangeReader, collected: Collected
) -> Iterator[bytes]:
    yield from reader.blocks()
    yield from reader.mended()
    collected.repaired += reader.repaired
    collected.set_aside += reader.faulty
    yield from collected.blocks(source, reader)


def load_staged(
    alias: str, source: TableSource, key_range: KeyRange, read: ReadRange | None = None
) -> Outcome:
    """COPY into a staging table and merge what differs. `read` is the range as it was read."""
    read = read or ReadRange(source, key_range)
    with transaction.atomic(using=alias, durable=True):
        as_replay(alias)
        merged = merge_range(alias, source, key_range, read)
        merged.outcome.digest = read.digest
        kept = merged.kept.values()
        _write_record(alias, source, key_range, merged.set_aside, kept, merged.outcome)
    return merged.outcome


def _write_record(
    alias: str,
    source: TableSource,
    key_range: KeyRange,
    set_aside: list[PackedRow],
    kept: Iterable[KeptRow],
    outcome: Outcome,
) -> None:
    job = source.job
    if not outcome.conserved:
        raise TransferError(
            f"{job.mapping.table}: {outcome.legacy_rows} legacy rows are not "
            f"{outcome.loaded} loaded + {outcome.repaired} repaired + {outcome.quarantined} "
            "quarantined; nothing of this chunk was written."
        )
    quarantine_rows(alias, job.mapping, job.run_id, set_aside)
    keep_cells(alias, job.mapping, job.run_id, kept)
    xid = ledger.mark_write(alias, job.run_id)
    ledger.record_chunk(alias, job, key_range, outcome, xid)


def _count(alias: str, job: TableJob, key_range: KeyRange) -> int:
    """Target rows of the range."""
    condition, values = key_range.in_target(job.mapping, "t")
    found = fetch_all(
        connections[alias],
        f"SELECT count(*) FROM {job.mapping.relation} AS t WHERE {condition}",
        values,
    )
    return int(found[0][0])


def _as_recorded(previous: Chunk) -> Outcome:
    return Outcome(
        legacy_rows=previous.legacy_rows,
        loaded=previous.loaded,
        repaired=previous.repaired,
        quarantined=previous.quarantined,
        digest=previous.digest,
        skipped=True,
    )
