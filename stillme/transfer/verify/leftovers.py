"""Records of legacy rows that are no longer there: kept cells and quarantined rows of nothing."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator

from stillme.transfer import kinds
from stillme.transfer.findings import Finding, FindingKind
from stillme.transfer.mapping import TableMapping
from stillme.transfer.models import KeptCell, QuarantinedRow
from stillme.transfer.raw_cells import real_spelled, whole_key
from stillme.transfer.sqlite.connect import quoted
from stillme.transfer.verify.table import TableCase

_AT_ONCE = 500


def leftovers(alias: str, case: TableCase) -> Iterator[Finding]:
    """One finding per key; reads the records piece by piece."""
    mapping = case.mapping
    if mapping.key is None:
        return
    name = mapping.declared_table
    cells = KeptCell.objects.using(alias).filter(table=name).order_by()
    rows = QuarantinedRow.objects.using(alias).filter(table=name, key__isnull=False).order_by()
    rows = rows.exclude(status=QuarantinedRow.Status.REPAIRED)
    noted = (
        (
            FindingKind.KEPT_CELL,
            ((key, None) for key in _keys(cells.values_list("key").distinct())),
        ),
        (FindingKind.QUARANTINE_KEPT_ROW, rows.values_list("key", "rowid").iterator(_AT_ONCE)),
    )
    connection = case.snapshot.open()
    try:
        for kind, records in noted:
            for key, rowid in records:
                if not _exists(connection, mapping, str(key), rowid):
                    note = "a record of it"
                    yield Finding(kind, mapping.target, key, "a legacy row", "none", note)
    finally:
        connection.close()


def _keys(found: object) -> Iterator[str]:
    for (key,) in found.iterator(_AT_ONCE):  # type: ignore[attr-defined]
        yield key


def _exists(
    connection: sqlite3.Connection, mapping: TableMapping, text: str, rowid: int | None
) -> bool:
    """Whether the row is there: by its key, by the key's text, by its rowid."""
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
        if rowid is not None and mapping.has_rowid:
            tests.append(("rowid = ?", rowid))
        if rowid is None and "\ufffd" in text:
            return True
    for test, value in tests:
        query = f"SELECT 1 FROM {table} WHERE {test} LIMIT 1"
        if connection.execute(query, (value,)).fetchone() is not None:
            return True
    return False
