"""Deleting target rows whose legacy row vanished, after everything else is loaded."""

from __future__ import annotations

import sqlite3

from django.db import IntegrityError, transaction

from stillme.transfer import ledger
from stillme.transfer.errors import TransferError
from stillme.transfer.mapping import TableMapping
from stillme.transfer.models import KeptCell, QuarantinedRow
from stillme.transfer.raw_cells import real_spelled
from stillme.transfer.sqlite.connect import quoted
from stillme.transfer.steps.job import TableJob
from stillme.transfer.steps.merge import delete_keys
from stillme.transfer.steps.outcome import Outcome

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
            for pk, key, rowid in records.values_list("pk", "key", "rowid")
            if not _exists(connection, mapping, key, rowid)
        ]
        keys = cells.values_list("key", flat=True).distinct()
        lost = [key for key in keys if not _exists(connection, mapping, key, None)]
    finally:
        connection.close()
    return records.filter(pk__in=gone).delete()[0] + cells.filter(key__in=lost).delete()[0]


def _exists(
    connection: sqlite3.Connection, mapping: TableMapping, key: str | None, rowid: int | None
) -> bool:
    """Whether the snapshot still has the row; by rowid where its key tells nothing."""
    table = quoted(mapping.table)
    by_rowid = mapping.key is None or key is None or "\ufffd" in key
    if by_rowid:
        if rowid is None or not mapping.has_rowid:
            return True
        query = f"SELECT 1 FROM {table} WHERE rowid = ?"
        return connection.execute(query, (rowid,)).fetchone() is not None
    assert mapping.key is not None
    assert key is not None
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
