"""The quarantine records of a batch of legacy rows: which record is which row's, and what differs.

A record holds a whole legacy row, the storage class and bytes of every cell. It is found by the
row's key as text and by its rowid. Neither is enough alone: a rowid moves in a VACUUM, and rows
whose key stands twice, or is no text at all (NULL, a blob), share what is looked for.

Example: two rows with the key 7. The first is loaded, and the second is set aside as
`duplicate_key`. Its record has key "7" and the second row's rowid, and is not the first row's.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from stillme.transfer.mapping import TableMapping
from stillme.transfer.models import QuarantinedRow
from stillme.transfer.plumbing.stored_cells import unpack_anything, unpack_record
from stillme.transfer.sqlite.schema.found import folded
from stillme.transfer.verify.kinds.cell_comparison import same_raw
from stillme.transfer.verify.sides.legacy_rows import StoredRow

# A row and its key as the ledger writes it; None if the key is no text.
KeyedRow = tuple[StoredRow, str | None]


class QuarantineRecords:
    """The records of some rows of one table, read with two queries."""

    def __init__(self, alias: str, mapping: TableMapping, rows: Sequence[KeyedRow]) -> None:
        self._mapping = mapping
        records = mapping.identity.of(QuarantinedRow.objects.using(alias))
        self._by_key: dict[str | None, list[QuarantinedRow]] = {}
        for record in records.filter(key__in=[key for _, key in rows if key is not None]):
            self._by_key.setdefault(record.key, []).append(record)
        rowids = [row.rowid for row, key in rows if key is None]
        if rowids:
            keyless = records.filter(key=None)
            # Rows of a table without rowids are told apart by their cells.
            self._by_key[None] = list(
                keyless.filter(rowid__in=rowids) if mapping.has_rowid else keyless
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
