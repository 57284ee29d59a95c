"""Records that belong to no legacy row: in the quarantine, and among the kept originals.

While rows are judged, the id of each record that belongs to one is noted. A record that the ledger
holds in addition is a finding: it is one of a row that is fine, of a row that is gone, a second one
of the same row, or one of a column that needs none.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Collection, Iterator
from typing import TypeVar

from django.db.models import Model, Q, QuerySet

from stillme.transfer.findings import Finding, FindingKind
from stillme.transfer.inventory.stores import stores
from stillme.transfer.mapping import TableMapping
from stillme.transfer.models import KeptCell, QuarantinedRow
from stillme.transfer.plumbing.stored_cells import unpack_record
from stillme.transfer.registry import legacy_models
from stillme.transfer.verify.result import TableProof
from stillme.transfer.verify.sides.target_table import select

_AT_ONCE = 5000
RecordT = TypeVar("RecordT", bound=Model)


def unclaimed(
    alias: str, mapping: TableMapping, proof: TableProof, keys: Collection[str] | None = None
) -> Iterator[Finding]:
    """A finding for each, of all the table's rows or of those with chosen keys."""
    rows = mapping.identity.of(QuarantinedRow.objects.using(alias))
    # What came back by itself is history: its row is loaded, and judged as such.
    rows = rows.exclude(Q(status=QuarantinedRow.Status.REPAIRED) & Q(repairs={}))
    cells = mapping.identity.of(KeptCell.objects.using(alias))
    if keys is not None:
        rows, cells = rows.filter(key__in=keys), cells.filter(key__in=keys)
    for row in _beyond(rows, proof.records):
        yield from _excused(alias, mapping, row)
        yield Finding(
            FindingKind.QUARANTINE_KEPT_ROW,
            mapping.target,
            row.key,
            "a legacy row that was set aside",
            "none",
            f"record {row.pk} ({row.status}, {row.reason})"[:200],
        )
    for cell in _beyond(cells, proof.originals):
        yield Finding(
            FindingKind.KEPT_CELL,
            f"{mapping.target}:{cell.column}",
            cell.key,
            "a loaded legacy row that needs it",
            "none",
            f"original {cell.pk} ({cell.reason})"[:200],
        )


def _excused(alias: str, mapping: TableMapping, record: QuarantinedRow) -> Iterator[Finding]:
    """The target row that such a record pretends to be the edit of."""
    edits = record.repairs
    keys = mapping.key_columns
    if not isinstance(edits, dict) or not edits.keys() & set(keys.names):
        return
    cells = unpack_record(record.cells) | unpack_record(edits)
    key = keys.of_cells(cells).spelled() if cells.keys() >= set(keys.names) else None
    held = f"SELECT 1 FROM {mapping.relation} WHERE {keys.target_text()} = %s LIMIT 1"
    if select(alias, held, [key]):
        note = "the edit of a record that belongs to no legacy row"
        yield Finding(FindingKind.EXTRA_ROW, mapping.target, key, "no row", "a row", note)


def of_unknown_tables(alias: str) -> Iterator[Finding]:
    """Records of a file or table that nobody declares: no row of any proof could claim them."""
    known = {(m.legacy.file, m._meta.db_table) for m in legacy_models()}
    others = {store.name for store in stores()}
    for kind, model in (
        (FindingKind.QUARANTINE_KEPT_ROW, QuarantinedRow),
        (FindingKind.KEPT_CELL, KeptCell),
    ):
        found = model._default_manager.using(alias).values_list("file", "table")
        for file, table in found.order_by("file", "table").distinct():
            if (file, table) not in known and file not in others:
                where = f"{file or '(no file)'}.{table}"
                yield Finding(kind, where, None, "no record", "records", "no such legacy table")


def _beyond(records: QuerySet[RecordT], claimed: array[int]) -> Iterator[RecordT]:
    """The records whose id is not among the claimed ones."""
    known = array("q", sorted(claimed))
    ids = records.order_by("pk").values_list("pk", flat=True)
    for pk in ids.iterator(_AT_ONCE):
        place = bisect_left(known, pk)
        if place == len(known) or known[place] != pk:
            yield records.get(pk=pk)
