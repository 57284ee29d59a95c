"""Loading one key range in one PostgreSQL transaction, its ledger record included.

Two ways. *Direct*: COPY straight into the target; for ranges that were never loaded. *Staged*:
COPY into a temporary table and merge; for everything else: ranges loaded before, rows PostgreSQL
refuses, a target that already holds some of the keys. Direct falls back to staged on any refusal,
so that one bad value never stops a run (law 7).
"""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
from django.db import DatabaseError, connections

from stillme.transfer.errors import TransferError
from stillme.transfer.models import Chunk
from stillme.transfer.plumbing.csv_format import csv_line
from stillme.transfer.postgresql.capture import engine_transaction
from stillme.transfer.postgresql.copy import copy_csv, fetch_all, lost_connection
from stillme.transfer.postgresql.distributed import commit_lazily
from stillme.transfer.records import ledger
from stillme.transfer.records.outcome import Outcome
from stillme.transfer.sqlite.reading.key_ranges import KeyRange
from stillme.transfer.steps.merging.merge import merge_range
from stillme.transfer.steps.merging.staging import Merged
from stillme.transfer.steps.rows.load_huge import is_huge, line_pieces
from stillme.transfer.steps.rows.read_range import RangeReader, ReadRange
from stillme.transfer.steps.rows.set_aside import keep_cells, keep_lines, quarantine_rows
from stillme.transfer.steps.rows.table_source import TableSource
from stillme.transfer.steps.rows.unusual_rows import SetAside
from stillme.visible import counted

_LINES_AT_ONCE = 200
_CHARACTERS_AT_ONCE = 1_000_000


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
    mapping = source.job.mapping
    condition, values = key_range.in_target(mapping, "t")
    query = f"SELECT count(*) FROM {mapping.relation} AS t WHERE {condition}"
    known = same and previous.mapping_digest == source.job.digest
    if known and fetch_all(alias, query, values)[0][0] == previous.loaded + previous.repaired:
        return Outcome(
            legacy_rows=previous.legacy_rows,
            loaded=previous.loaded,
            repaired=previous.repaired,
            quarantined=previous.quarantined,
            digest=previous.digest,
            skipped=True,
        )
    return load_staged(alias, source, key_range, read)


def load_direct(alias: str, source: TableSource, key_range: KeyRange, *, trusting: bool) -> Outcome:
    """COPY into the target. Raises psycopg.Error where PostgreSQL refuses anything."""
    job = source.job
    connection = connections[alias]
    reader = RangeReader(source, key_range, trusting=trusting, keep_faulty=True)
    merged = Merged(job.mapping)
    with engine_transaction(alias):
        commit_lazily(connection)
        blocks = _direct_blocks(source, reader, merged)
        copy_csv(connection, job.mapping.relation, job.mapping.target_columns, blocks)
        outcome = merged.outcome
        outcome.inserted = outcome.loaded + outcome.repaired
        outcome.digest = reader.digest()
        keep_lines(alias, reader.originals)
        _write_record(alias, source, key_range, merged)
    return outcome


def _direct_blocks(source: TableSource, reader: RangeReader, merged: Merged) -> Iterator[bytes]:
    """CSV of the range, counted in `merged`: common rows, mended ones, then the others.

    Those come in small blocks, a row with a huge text in pieces.
    """
    outcome = merged.outcome
    yield from reader.blocks()
    outcome.loaded = reader.rows
    yield from reader.mended()
    outcome.legacy_rows, outcome.repaired = reader.rows, reader.repaired
    for faulty in reader.faulty:
        merged.put_aside(faulty)
    batch: list[str] = []
    size = 0
    for raw in reader.others():
        row = source.careful.convert(raw)
        merged.note(row)
        if isinstance(row, SetAside):
            continue
        if is_huge(row.cells):
            yield from line_pieces(row.cells)
            continue
        batch.append(csv_line(row.cells))
        size += len(batch[-1])
        if len(batch) >= _LINES_AT_ONCE or size >= _CHARACTERS_AT_ONCE:
            yield "".join(batch).encode("utf-8")
            batch, size = [], 0
    yield "".join(batch).encode("utf-8")


def load_staged(
    alias: str, source: TableSource, key_range: KeyRange, read: ReadRange | None = None
) -> Outcome:
    """COPY into a staging table and merge what differs. `read` is the range as it was read."""
    read = read or ReadRange(source, key_range)
    with engine_transaction(alias):
        merged = merge_range(alias, source, key_range, read)
        merged.outcome.digest = read.digest
        _write_record(alias, source, key_range, merged)
    return merged.outcome


def _write_record(alias: str, source: TableSource, key_range: KeyRange, merged: Merged) -> None:
    job, outcome = source.job, merged.outcome
    if not outcome.conserved:
        raise TransferError(
            f"{job.mapping.table}: {counted(outcome.legacy_rows, 'legacy row')}, not "
            f"{outcome.loaded} loaded + {outcome.repaired} repaired + {outcome.quarantined} "
            "quarantined; nothing of this chunk was written."
        )
    all_new = job.quarantine_was_empty
    quarantine_rows(alias, job.mapping, job.run_id, merged.set_aside, all_new=all_new)
    keep_cells(alias, job.mapping, job.run_id, merged.kept.values())
    xid = ledger.mark_write(alias, job.run_id)
    ledger.record_chunk(alias, job, key_range, outcome, xid)
