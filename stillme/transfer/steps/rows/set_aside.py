"""Writing what a loaded row leaves next to it: quarantined rows and kept cells."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import repeat

from django.db import connections, models

from stillme.transfer.mapping import TableMapping
from stillme.transfer.models import KeptCell, QuarantinedRow
from stillme.transfer.plumbing.csv_format import QUOTE, csv_line, quoted_cell
from stillme.transfer.plumbing.garbage import no_search_for_cycles
from stillme.transfer.postgresql.copy import copy_csv
from stillme.transfer.steps.rows.known_records import KnownRecords
from stillme.transfer.steps.rows.packed import KeptRow, PackedRow
from stillme.transfer.steps.rows.unusual_rows import Kept

_ROWS_AT_ONCE, _BYTES_AT_ONCE = 2_000, 1_000_000
_COLUMNS = (
    "run_id", "file", "table", "key", "rowid", "cells", "reason", "column", "sentence", "status",
    "repairs", "note", "decided_by",
)  # fmt: skip
# Of its last four columns.
_UNDECIDED = csv_line((QuarantinedRow.Status.OPEN.value, "{}", "", ""))[:-1]
_KEPT_COLUMNS = ("run_id", "file", "table", "key", "column", "storage", "value", "reason")


def quarantine_rows(
    alias: str,
    mapping: TableMapping,
    run_id: int | None,
    rows: Sequence[PackedRow],
    *,
    all_new: bool = False,
) -> None:
    """Put rows into the quarantine, whole. A row that is there already, unchanged, stays as it is.

    An accepted row stays accepted as long as its stored values do not change. Of rows that are
    `all_new` none can be there.
    """
    with no_search_for_cycles():
        _quarantine_rows(alias, mapping, run_id, rows, all_new)


def _quarantine_rows(
    alias: str, mapping: TableMapping, run_id: int | None, rows: Sequence[PackedRow], all_new: bool
) -> None:
    known = KnownRecords(alias, mapping) if rows and not all_new else None
    head = csv_line((None if run_id is None else str(run_id), *mapping.identity))[:-1]
    for start in range(0, len(rows), _ROWS_AT_ONCE):
        fresh: list[bytes] = []
        again: list[bytes] = []
        some = rows[start : start + _ROWS_AT_ONCE]
        for pk, row in known.outdated(some) if known else zip(repeat(None), some, strict=False):
            if pk is None:
                fresh.append(_line(head, row, "\n"))
            else:
                again.append(_line(head, row, f",{pk}\n"))
        _copy(alias, QuarantinedRow, _COLUMNS, fresh)
        _copy(alias, QuarantinedRow, (*_COLUMNS, "id"), again)


def _line(head: str, row: PackedRow, end: str) -> bytes:
    """The line of a record, between `head` and `end`. JSON holds no quote that is to be doubled."""
    key = "" if row.key is None else quoted_cell(row.key)
    rowid = "" if row.rowid is None else row.rowid
    about = ",".join(map(quoted_cell, (row.reason, row.column, row.sentence)))
    return b"".join(
        (
            f"{head},{key},{rowid},{QUOTE}".encode(),
            row.cells(),
            f"{QUOTE},{about},{_UNDECIDED}{end}".encode(),
        )
    )


def _copy(
    alias: str, model: type[models.Model], columns: Sequence[str], lines: Iterable[bytes]
) -> None:
    for block in _blocks(lines):
        copy_csv(connections[alias], model._meta.db_table, columns, [block])


def _blocks(lines: Iterable[bytes]) -> Iterator[bytes]:
    """Whole lines, some thousand at a time."""
    block: list[bytes] = []
    size = 0
    for line in lines:
        block.append(line)
        size += len(line)
        if size >= _BYTES_AT_ONCE:
            yield b"".join(block)
            block, size = [], 0
    if block:
        yield b"".join(block)


def keep_cells(
    alias: str, mapping: TableMapping, run_id: int | None, rows: Iterable[KeptRow]
) -> None:
    """Keep the originals of repaired cells."""
    lines = (_kept_line(mapping, run_id, row.key, kept) for row in rows for kept in row.kept)
    _copy(alias, KeptCell, _KEPT_COLUMNS, lines)


def keep_lines(alias: str, blocks: Sequence[bytes]) -> None:
    """The same, as lines of CSV that are ready (`mended_rows`)."""
    if blocks:
        copy_csv(connections[alias], KeptCell._meta.db_table, _KEPT_COLUMNS, blocks)


def _kept_line(mapping: TableMapping, run_id: int | None, key: str, kept: Kept) -> bytes:
    return csv_line(
        (
            None if run_id is None else str(run_id), *mapping.identity, key, kept.column,
            kept.storage, None if kept.value is None else rf"\x{kept.value.hex()}", kept.reason,
        )
    ).encode()  # fmt: skip
