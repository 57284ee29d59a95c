"""Records of legacy rows that are no longer there: kept cells and quarantined rows of nothing."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator

from django.db.models import QuerySet

from stillme.transfer import kinds
from stillme.transfer.findings import Finding, FindingKind
from stillme.transfer.mapping import TableMapping
from stillme.transfer.models import KeptCell, QuarantinedRow
from stillme.transfer.raw_cells import real_spelled, unpack_record, whole_key
from stillme.transfer.sqlite.connect import quoted
from stillme.transfer.sqlite.stored import is_stored
from stillme.transfer.verify.table import TableCase

_AT_ONCE = 500


def leftovers(alias: str, case: TableCase) -> Iterator[Finding]:
    """One finding per key; reads the records piece by piece."""
    mapping = case.mapping
    if mapping.key is None:
        return
    cells = mapping.identity.of(KeptCell.objects.using(alias)).order_by()
    rows = mapping.identity.of(QuarantinedRow.objects.using(alias)).filter(key__isnull=False)
    rows = rows.order_by()
    rows = rows.exclude(status=QuarantinedRow.Status.REPAIRED)
    connection = case.snapshot.open()
    try:
        for kept in _keys(cells.values_list("key").distinct()):
            if not _exists(connection, mapping, kept):
                yield _finding(FindingKind.KEPT_CELL, mapping, kept)
        for pk, key in rows.values_list("pk", "key").iterator(_AT_ONCE):
            if not _is_there(connection, mapping, rows, pk, str(key)):
                yield _finding(FindingKind.QUARANTINE_KEPT_ROW, mapping, key)
    finally:
        connection.close()


def _finding(kind: FindingKind, mapping: TableMapping, key: str | None) -> Finding:
    return Finding(kind, mapping.target, key, "a legacy row", "none", "a record of it")


def _is_there(
    connection: sqlite3.Connection,
    mapping: TableMapping,
    rows: QuerySet[QuarantinedRow],
    pk: int,
    key: str,
) -> bool:
    """Whether the legacy has a quarantined row: by its key, if that tells it from all others."""
    if mapping.key_is_unique and "\ufffd" not in key:
        return _exists(connection, mapping, key)
    record = rows.get(pk=pk)
    cells = unpack_record(record.cells)
    return is_stored(connection, mapping, cells, record.rowid)


def _keys(found: object) -> Iterator[str]:
    for (key,) in found.iterator(_AT_ONCE):  # type: ignore[attr-defined]
        yield key


def _exists(connection: sqlite3.Connection, mapping: TableMapping, text: str) -> bool:
    """Whether a row of that key is there: by the key, by its text."""
    assert mapping.key is not None
    key, table = quoted(mapping.key.legacy), quoted(mapping.table)
    tests: list[tuple[str, str | int | float]] = [(f"{key} = ?", text)]
    if isinstance(mapping.key.kind, kinds.Key) and (whole := whole_key(text)) is not None:
        tests = [(f"{key} = ?", whole)]
    if not mapping.key_is_rowid:
        # An unusual key: what is kept of it may be a mended text.
        tests.append((f"CAST({key} AS TEXT) = ?", text))
        if (number := real_spelled(text)) is not None:
            # As a real: beside a text column it would be compared as SQLite spells it.
            tests.append((f"typeof({key}) = 'real' AND {key} = ?", number))
    for test, value in tests:
        query = f"SELECT 1 FROM {table} WHERE {test} LIMIT 1"
        if connection.execute(query, (value,)).fetchone() is not None:
            return True
    return False
