"""One quarantined row put through the checks of the import again, with its edits.

It must not take another row's place: neither a key that the target has, nor the record of another
row that has the same key in the file.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import Any

from django.db import connections

from stillme.transfer.mapping import TableMapping
from stillme.transfer.models import QuarantinedRow
from stillme.transfer.plumbing.stored_cells import unpack_cell
from stillme.transfer.postgresql.copy import fetch_all
from stillme.transfer.sqlite.clock.evidence_sql import row_offset_sql
from stillme.transfer.sqlite.reading.connect import quoted as legacy_quoted
from stillme.transfer.sqlite.reading.stored_rows import Raw, RawRow
from stillme.transfer.steps.rows.unusual_rows import key_as_text, keys_not_taken

_DECISION = ("status", "note", "decided_by", "decided_at")


def raw_row(row: QuarantinedRow, mapping: TableMapping) -> RawRow:
    """The row with its edits; one that repeats a key does so until its key is edited."""
    cells = {name: unpack_cell(cell) for name, cell in {**row.cells, **row.repairs}.items()}
    repeated = row.reason == "duplicate_key" and not _has_new_key(row, mapping)
    return RawRow(row.rowid, cells, _own_offset(mapping, cells), frozenset(), repeated)


def _own_offset(mapping: TableMapping, cells: dict[str, tuple[str, Raw]]) -> int | None:
    """The offset that the row's own stamps show, by the very SQL that the import asks."""
    twin = mapping.clock
    if twin is None:
        return None
    stamps = [cells.get(name, ("null", None)) for name in (twin.local, twin.utc)]
    marks = ["CAST(? AS TEXT)" if storage == "text" else "?" for storage, _ in stamps]
    names = f"{marks[0]} AS {legacy_quoted(twin.local)}, {marks[1]} AS {legacy_quoted(twin.utc)}"
    with closing(sqlite3.connect(":memory:")) as connection:
        query = f"SELECT {row_offset_sql(twin)} FROM (SELECT {names})"
        found = connection.execute(query, [raw for _, raw in stamps]).fetchone()[0]
    return None if found is None else int(found)


def taken(alias: str, row: QuarantinedRow, mapping: TableMapping, raw: RawRow) -> str:
    """Why the edited key cannot be this row's; "" where it can, or was not edited."""
    key = key_as_text(mapping, raw)
    if key is None or not _has_new_key(row, mapping):
        return ""
    others = mapping.identity.of(QuarantinedRow.objects.using(alias)).filter(key=key)
    others = others.exclude(status=QuarantinedRow.Status.REPAIRED).exclude(pk=row.pk)
    if standing := others.exclude(reason__in=keys_not_taken(mapping)).first():
        return f"Row {standing.pk} in quarantine has the key {key}: give this one another."
    among, values = mapping.key_columns.target_among(mapping.key_columns.parsed([key]))
    query = f"SELECT 1 FROM {mapping.relation} WHERE {among}"
    if fetch_all(connections[alias], query, values):
        return f"The target has a row with the key {key}: give this one another."
    return ""


def _has_new_key(row: QuarantinedRow, mapping: TableMapping) -> bool:
    return any(name in row.repairs for name in mapping.key_columns.names)


class OtherRecords:
    """The records of other rows with the same key: loading one row decides nothing about them."""

    def __init__(self, alias: str, row: QuarantinedRow, key: str | None) -> None:
        self._rows = QuarantinedRow.objects.using(alias)
        found = self._rows.filter(file=row.file, table=row.table, key=key).exclude(pk=row.pk)
        open_ones = found.exclude(status=QuarantinedRow.Status.REPAIRED)
        self._before: list[dict[str, Any]] = list(open_ones.values("pk", *_DECISION))

    def restore(self) -> None:
        """As they were."""
        for record in self._before:
            decision = {name: record[name] for name in _DECISION}
            self._rows.filter(pk=record["pk"]).update(**decision)
