"""Deleting target rows whose legacy row vanished, after everything else is loaded."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass

from django.db import IntegrityError, connections, transaction
from django.db.models import QuerySet

from stillme.transfer.errors import TransferError
from stillme.transfer.inventory.deletions import Deletion
from stillme.transfer.mapping import TableMapping
from stillme.transfer.models import KeptCell, QuarantinedRow
from stillme.transfer.plumbing.stored_cells import unpack_cell
from stillme.transfer.postgresql.capture import engine_transaction
from stillme.transfer.postgresql.copy import create_stage, fetch_all
from stillme.transfer.postgresql.locks import exclusive_transaction
from stillme.transfer.records import ledger
from stillme.transfer.records.outcome import MOST_KEYS, Outcome
from stillme.transfer.records.table_job import TableJob
from stillme.transfer.sqlite.reading.connect import quoted
from stillme.transfer.sqlite.reading.key_ranges import KeyRange
from stillme.transfer.sqlite.reading.stored_rows import is_stored
from stillme.transfer.steps.merging.merge import delete_keys, find_vanished
from stillme.transfer.steps.merging.staging import Merged, fill_stage
from stillme.transfer.steps.rows.table_source import TableSource

_AT_ONCE = 5000


@dataclass(frozen=True, slots=True)
class Gone:
    """What the target holds of a table and the legacy no longer has.

    `keys` are of target rows (as text), `records` of quarantined rows (their ids), `cells` of rows
    with kept cells.
    """

    job: TableJob
    keys: Sequence[str]
    records: Sequence[int]
    cells: Sequence[str]
    deletion: Deletion


def find_gone(alias: str, job: TableJob, keys: Sequence[str]) -> Gone:
    """Everything that goes with the target rows of `keys`, and how much of the table that is."""
    mapping = job.mapping
    records, cells = _gone_records(alias, job)
    kept = mapping.identity.of(KeptCell.objects.using(alias))
    rows = mapping.identity.of(QuarantinedRow.objects.using(alias))
    deletion = Deletion(
        *mapping.identity,
        mapping.target,
        rows=len(keys),
        of=int(fetch_all(alias, f"SELECT count(*) FROM {mapping.relation}")[0][0]),
        keys=list(keys[:MOST_KEYS]),
        records=len(records) + kept.filter(key__in=cells).count(),
        of_records=rows.count() + kept.count(),
    )
    return Gone(job, keys, records, cells, deletion)


def dry_vanished(alias: str, job: TableJob) -> Outcome:
    """What `find_vanished` would find after the load; nothing is written but a temporary table.

    `job.set_aside` must name the parents that will be in quarantine.
    """
    merged = Merged(job.mapping)
    if not job.mapping.key_columns:
        return merged.outcome
    with closing(TableSource(job)) as source, transaction.atomic(using=alias):
        create_stage(connections[alias], job.mapping)
        fill_stage(alias, source, KeyRange(0), merged)
        find_vanished(alias, job, merged, "TRUE", [])
    return merged.outcome


def prune_gone(alias: str, group: Sequence[tuple[Gone, Outcome]]) -> None:
    """Delete what is gone of a table, or of the tables of a circle. Call it children first.

    Raises TransferError where the target side has rows that refer to one of them.
    """
    for batch in _batches(group):
        try:
            with engine_transaction(alias):
                for gone, outcome, keys in batch:
                    outcome.pruned += delete_keys(alias, gone.job.mapping, keys)
                    ledger.mark_write(alias, gone.job.run_id)
        except IntegrityError as error:
            tables = ", ".join(gone.job.mapping.table for gone, *_ in batch)
            raise TransferError(
                f"Rows that vanished from {tables} cannot be pruned: rows of the "
                "target side still refer to them; delete those first, or import without --prune."
            ) from error
    with exclusive_transaction(alias):
        for gone, _ in group:
            identity = gone.job.mapping.identity
            identity.of(QuarantinedRow.objects.using(alias)).filter(pk__in=gone.records).delete()
            identity.of(KeptCell.objects.using(alias)).filter(key__in=gone.cells).delete()
    for gone, _ in group:
        gone.deletion.deleted = True


def _batches(
    group: Sequence[tuple[Gone, Outcome]],
) -> Iterator[list[tuple[Gone, Outcome, Sequence[str]]]]:
    """What goes in one transaction: some thousand keys.

    Rows that may refer to each other go together: their foreign keys are looked at in the end.
    """
    if len(group) > 1 or group[0][0].job.mapping.refers_to_itself:
        yield [(gone, outcome, gone.keys) for gone, outcome in group]
        return
    ((gone, outcome),) = group
    for start in range(0, len(gone.keys), _AT_ONCE):
        yield [(gone, outcome, gone.keys[start : start + _AT_ONCE])]


def _gone_records(alias: str, job: TableJob) -> tuple[list[int], list[str]]:
    """Quarantine records (ids), and keys of kept cells, of legacy rows that are gone."""
    mapping = job.mapping
    records = mapping.identity.of(QuarantinedRow.objects.using(alias))
    cells = mapping.identity.of(KeptCell.objects.using(alias))
    with closing(job.snapshot.open()) as connection:
        gone = [
            pk
            for pk, key in records.values_list("pk", "key")
            if not _is_there(connection, mapping, records, pk, key)
        ]
        keys = cells.values_list("key", flat=True).distinct()
        lost = [key for key in keys if not _exists(connection, mapping, key)]
    return gone, lost


def _is_there(
    connection: sqlite3.Connection,
    mapping: TableMapping,
    records: QuerySet[QuarantinedRow],
    pk: int,
    key: str | None,
) -> bool:
    """Whether the snapshot still has a quarantined row; by its cells where no key tells."""
    if mapping.key_is_unique and key is not None and "\ufffd" not in key:
        return _exists(connection, mapping, key)
    record = records.get(pk=pk)
    cells = {name: unpack_cell(cell) for name, cell in record.cells.items()}
    return is_stored(connection, mapping, cells, record.rowid)


def _exists(connection: sqlite3.Connection, mapping: TableMapping, spelled: str) -> bool:
    """Whether the snapshot has a row whose key is spelled so, whatever its storage class."""
    table = quoted(mapping.table)
    keys = mapping.key_columns
    for where, values in map(keys.legacy_exactly, keys.readings(spelled)):
        if connection.execute(f"SELECT 1 FROM {table} WHERE {where} LIMIT 1", values).fetchone():
            return True
    return False
