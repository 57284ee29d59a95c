"""Writing what a loaded row leaves beside it: quarantined rows and kept cells."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from django.db import connections

from stillme.transfer.csv_format import csv_line
from stillme.transfer.mapping import TableMapping
from stillme.transfer.models import KeptCell, QuarantinedRow
from stillme.transfer.postgresql.copy import copy_csv
from stillme.transfer.steps.rows.careful import Kept
from stillme.transfer.steps.rows.known_records import KnownRecords
from stillme.transfer.steps.rows.packed import KeptRow, PackedRow

_ROWS_AT_ONCE, _CHARACTERS_AT_ONCE = 2_000, 1_000_000
_COLUMNS = (
    "run_id", "file", "table", "key", "rowid", "cells", "reason", "column", "sentence", "status",
    "repairs", "note", "decided_by",
)  # fmt: skip
_KEPT_COLUMNS = ("run_id", "table", "key", "column", "storage", "value", "reason")


def quarantine_rows(
    alias: str, mapping: TableMapping, run_id: int | None, rows: Sequence[PackedRow]
) -> None:
    """Put rows into the quarantine, whole. A row that is there already, unchanged, stays as it is.

    An accepted row stays accepted as long as its stored values do not change.
    """
    if rows:
        fresh = _without_record(KnownRecords(alias, mapping, run_id), rows)
        for block in _blocks(_line(mapping, run_id, row) for row in fresh):
            copy_csv(connections[alias], QuarantinedRow._meta.db_table, _COLUMNS, [block])


def _without_record(known: KnownRecords, rows: Sequence[PackedRow]) -> Iterator[PackedRow]:
    for start in range(0, len(rows), _ROWS_AT_ONCE):
        yield from known.renew(rows[start : start + _ROWS_AT_ONCE])


def _line(mapping: TableMapping, run_id: int | None, row: PackedRow) -> str:
    return csv_line(
        (
            None if run_id is None else str(run_id), mapping.file, mapping.declared_table, row.key,
            None if row.rowid is None else str(row.rowid), row.cells, row.reason, row.column,
            row.sentence, QuarantinedRow.Status.OPEN.value, "{}", "", "",
        )
    )  # fmt: skip


def _blocks(lines: Iterable[str]) -> Iterator[bytes]:
    """Whole lines. A block is complete before it is sent: COPY leaves no room for questions."""
    block: list[str] = []
    size = 0
    for line in lines:
        block.append(line)
        size += len(line)
        if size >= _CHARACTERS_AT_ONCE:
            yield "".join(block).encode("utf-8")
            block, size = [], 0
    if block:
        yield "".join(block).encode("utf-8")


def keep_cells(
    alias: str, mapping: TableMapping, run_id: int | None, rows: Iterable[KeptRow]
) -> None:
    """Keep the originals of repaired cells."""
    lines = (_kept_line(mapping, run_id, row.key, kept) for row in rows for kept in row.kept)
    for block in _blocks(lines):
        copy_csv(connections[alias], KeptCell._meta.db_table, _KEPT_COLUMNS, [block])


def _kept_line(mapping: TableMapping, run_id: int | None, key: str, kept: Kept) -> str:
    return csv_line(
        (
            None if run_id is None else str(run_id), mapping.declared_table, key, kept.column,
            kept.storage, None if kept.value is None else rf"\x{kept.value.hex()}", kept.reason,
        )
    )  # fmt: skip
