"""Quarantine records and kept originals: which one is which legacy row's, and what differs.

A record holds a whole legacy row, the storage class and bytes of every cell. It is found by the
row's key as text and by its rowid. Neither is enough alone: a rowid moves in a VACUUM, and rows
whose key stands twice, or is no text at all (NULL, a blob), share what is looked for.

Example: two rows with the key 7. The first is loaded, and the second is set aside as
`duplicate_key`. Its record has key "7" and the second row's rowid, and is not the first row's.

While rows are judged, the id of each record that belongs to one is noted. What the ledger holds in
addition is a finding (`unclaimed`): it is of a row that is fine, of a row that is gone, a second
one of the same row, or of a column that needs none.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Collection, Iterator, Sequence
from itertools import groupby, islice
from typing import TypeVar

from django.db.models import Model, Q, QuerySet

from stillme.transfer.findings import Finding, FindingKind
from stillme.transfer.inventory.stores import stores
from stillme.transfer.mapping import TableMapping
from stillme.transfer.models import KeptCell, QuarantinedRow
from stillme.transfer.plumbing.stored_cells import unpack_anything, unpack_record
from stillme.transfer.records.proofs import DATABLE
from stillme.transfer.registry import legacy_models
from stillme.transfer.sqlite.schema.found import folded
from stillme.transfer.verify.kinds.cell_comparison import same_raw
from stillme.transfer.verify.result import TableProof
from stillme.transfer.verify.rows.stored_records import as_stored
from stillme.transfer.verify.sides.legacy_rows import StoredRow
from stillme.transfer.verify.sides.row_query import read

# A row and its key as the ledger writes it; None if the key is no text.
KeyedRow = tuple[StoredRow, str | None]
_AT_ONCE = 20_000
RecordT = TypeVar("RecordT", bound=Model)


class QuarantineRecords:
    """The records of some rows of one table, read with two queries."""

    def __init__(self, alias: str, mapping: TableMapping, rows: Sequence[KeyedRow]) -> None:
        self._mapping = mapping
        records = mapping.identity.of(QuarantinedRow.objects.using(alias))
        self._by_key: dict[str | None, list[QuarantinedRow]] = {}
        for record in as_stored(
            records.filter(key__in=[key for _, key in rows if key is not None])
        ):
            self._by_key.setdefault(record.key, []).append(record)
        rowids = [row.rowid for row, key in rows if key is None]
        if rowids:
            keyless = records.filter(key=None)
            # Rows of a table without rowids are told apart by their cells.
            self._by_key[None] = list(
                as_stored(keyless.filter(rowid__in=rowids) if mapping.has_rowid else keyless)
            )

    def of(self, row: StoredRow, key: str | None) -> QuarantinedRow | None:
        """The record of this row: by rowid, else (rowids move in a VACUUM) by its very key."""
        candidates = self._by_key.get(key, [])
        if not self._mapping.has_rowid:
            return next((c for c in candidates if self._same_cells(c, row)), None)
        same = [c for c in candidates if self._same_key(c, row)]
        for record in same or candidates:
            if record.rowid == row.rowid:
                return record
        # Where a key may stand for several rows, the record may be another row's.
        unsure = row.is_repeat or key is None or not self._mapping.key_is_unique
        return None if unsure or not same else same[0]

    def count(self, row: StoredRow, key: str | None) -> int:
        """How many records name this very row. The loader writes one a row."""
        if not self._mapping.has_rowid:
            return 0
        candidates = self._by_key.get(key, [])
        return sum(c.rowid == row.rowid and self._same_key(c, row) for c in candidates)

    def _same_key(self, record: QuarantinedRow, row: StoredRow) -> bool:
        noted = record.cells if isinstance(record.cells, dict) else {}
        return all(
            name in noted and unpack_anything(noted[name]) == row.cells[name]
            for name in self._mapping.key_columns.names
        )

    def _same_cells(self, record: QuarantinedRow, row: StoredRow) -> bool:
        noted = unpack_record(record.cells)
        return all(same_raw(noted.get(name), cell) for name, cell in row.cells.items())


def differences(record: QuarantinedRow, row: StoredRow) -> Iterator[tuple[str, str, str]]:
    """Yield (column, the legacy cell, the recorded cell) for each that differs or is surplus."""
    stored = {folded(name): (name, cell) for name, cell in row.cells.items()}
    noted = unpack_record(record.cells)
    # SQLite does not tell names apart by their case, and a column may have been renamed so.
    by_name = {folded(name): cell for name, cell in noted.items()}
    names = [name for key, (name, cell) in stored.items() if not same_raw(by_name.get(key), cell)]
    names += [name for name in noted if folded(name) not in stored]
    if len(by_name) < len(noted):
        names.append("a column twice")
    for name in names:
        yield name, repr(row.cells.get(name))[:80], repr(by_name.get(folded(name)))[:80]


def unclaimed(
    alias: str, mapping: TableMapping, proof: TableProof, keys: Collection[str] | None = None
) -> Iterator[Finding]:
    """A finding for each, of all the table's rows or of those with chosen keys."""
    rows = mapping.identity.of(QuarantinedRow.objects.using(alias)).defer("decided_at")
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
    if read(alias, held, [key]):
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


def undatable(alias: str) -> Iterator[Finding]:
    """Records whose time of decision is none, such as `infinity`: no page can show them."""
    dated = QuarantinedRow.objects.using(alias).exclude(decided_at=None)
    wrong = dated.exclude(decided_at__range=DATABLE).order_by("pk")
    for pk, file, table, key in wrong.values_list("pk", "file", "table", "key"):
        kind, where = FindingKind.QUARANTINE_KEPT_ROW, f"{file}.{table}"
        note = f"transfer.quarantined_row, id {pk}: set decided_at to a date, now() for one"
        yield Finding(kind, where, key, "a time of decision", "a time that is no date", note)


def _beyond(records: QuerySet[RecordT], claimed: array[int]) -> Iterator[RecordT]:
    """The records whose id is not among the claimed ones, and all of an id that stands twice."""
    known = array("q", (pk for pk, _ in groupby(sorted(claimed))))
    ids = records.order_by("pk").values_list("pk", flat=True).iterator(_AT_ONCE)
    before = twice = None
    while few := array("q", islice(ids, _AT_ONCE)):
        place = bisect_left(known, few[0])
        # As a rule all of them are claimed, each once.
        for pk in few if few != known[place : place + len(few)] or few[0] == before else ():
            place = bisect_left(known, pk)
            is_again, before = pk == before, pk
            if is_again and pk != twice:
                twice = pk
                yield from records.filter(pk=pk)
            elif not is_again and (place == len(known) or known[place] != pk):
                yield records.filter(pk=pk)[0]
        before = few[-1]


def kept_cells(
    alias: str, mapping: TableMapping, keys: Collection[str]
) -> dict[str, dict[str, KeptCell]]:
    """The kept originals of these keys: key -> column -> cell."""
    found: dict[str, dict[str, KeptCell]] = {}
    for cell in as_stored(mapping.identity.of(KeptCell.objects.using(alias)).filter(key__in=keys)):
        found.setdefault(cell.key, {})[cell.column] = cell
    return found
