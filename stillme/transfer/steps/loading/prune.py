"""Deleting target rows whose legacy row vanished, after everything else is loaded."""

from __future__ import annotations

import sqlite3

from django.db import IntegrityError, transaction
from django.db.models import QuerySet

from stillme.transfer import ledger
from stillme.transfer.errors import TransferError
from stillme.transfer.mapping import TableMapping
from stillme.transfer.models import KeptCell, QuarantinedRow
from stillme.transfer.raw_cells import real_spelled, unpack_cell
from stillme.transfer.sqlite.connect import quoted
from stillme.transfer.sqlite.stored import is_stored
from stillme.transfer.steps.merging.merge import delete_keys
from stillme.transfer.steps.rows.job import TableJob
from stillme.transfer.steps.rows.outcome import Outcome

_AT_ONCE = 5000


def prune_keys(alias: str, job: TableJob, outcome: Outcome) -> None:
    """Delete `outcome.to_prune`, some thousand keys a transaction. Call it children first.

    Raises TransferError where the target side has rows that refer to one of them.
    """
    keys = outcome.to_prune
    for start in range(0, len(keys), _AT_ONCE):
        try:
            with transaction.atomic(using=alias, durable=True):
                outcome.pruned += delete_keys(alias, job.mapping, keys[start : start + _AT_ONCE])
                ledger.mark_write(alias, job.run_id)
        except IntegrityError as error:
            raise TransferError(
                f"Rows that vanished from {job.mapping.table} cannot be pruned: rows of the "
                "target side still refer to them; delete those first, or import without --prune."
            ) from error


def prune_records(alias: str, job: TableJob) -> int:
    """Delete quarantine records and kept cells of legacy rows that are gone. Returns how many."""
    mapping = job.mapping
    name = mapping.declared_table
    records = QuarantinedRow.objects.using(alias).filter(table=name)
    cells = KeptCell.objects.using(alias).filter(table=name)
    connection = job.snapshot.open()
    try:
        gone = [
            pk
            for pk, key in records.values_list("pk", "key")
            if not _is_there(connection, mapping, records, pk, key)
        ]
        keys = cells.values_list("key", flat=True).distinct()
        lost = [key for key in keys if not _exists(connection, mapping, key)]
    finally:
        connection.close()
    return records.filter(pk__in=gone).delete()[0] + cells.filter(key__in=lost).delete()[0]


def _is_there(
    connection: sqlite3.Connection,
    mapping: TableMapping,
    records: QuerySet[QuarantinedRow],
    pk: int,
    key: str | None,
) -> bool:
    """Whether the snapshot still has a quarantined row; by its cells where no key tells."""
    if (
        mapping.key is not None
        and mapping.key_is_unique
        and key is not None
        and "\ufffd" not in key
    ):
        return _exists(connection, mapping, key)
    record = records.get(pk=pk)
    cells = {name: unpack_cell(cell) for name, cell in record.cells.items()}
    return is_stored(connection, mapping, cells, record.rowid)


def _exists(connection: sqlite3.Connection, mapping: TableMapping, key: str) -> bool:
    """Whether the snapshot has a row of that key."""
    assert mapping.key is not None
    table = quoted(mapping.table)
    query = f"SELECT 1 FROM {table} WHERE CAST({quoted(mapping.key.legacy)} AS TEXT) = ? LIMIT 1"
    if mapping.key_is_rowid:
        query = f"SELECT 1 FROM {table} WHERE rowid = ?"
    if connection.execute(query, (key,)).fetchone() is not None:
        return True
    if mapping.key_is_rowid or (number := real_spelled(key)) is None:
        return False
    # As a real: beside a text column the number would be compared as SQLite spells it.
    name = quoted(mapping.key.legacy)
    query = f"SELECT 1 FROM {table} WHERE typeof({name}) = 'real' AND {name} = ? LIMIT 1"
    return connection.execute(query, (number,)).fetchone() is not None
