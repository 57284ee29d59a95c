"""The row judge: for single legacy rows, what must have become of each, and what did.

Rows come here that a block's checksum could not settle: unusual ones, rows of a block that differs,
rows of which something is kept or set aside. A batch of them is judged like this:

1. Read the target rows with their keys, their quarantine records and their kept originals.
2. Work out from the legacy row and docs/reference/values.md alone what must be there (`fate`).
3. If the row is in quarantine: the record must hold the row and the right reason, and the target no
   row, or the edited one. Otherwise the target must hold every value, and every original that has
   to be kept must be kept, and no other.

Example: '7' in an INTEGER column. The target must hold 7, and a kept original the text '7' with
the reason `numeric_text`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

from stillme.transfer import kinds
from stillme.transfer.findings import Finding, FindingKind
from stillme.transfer.keys import Key
from stillme.transfer.mapping import TableMapping
from stillme.transfer.models import KeptCell, QuarantinedRow
from stillme.transfer.plumbing.stored_cells import unpack_record
from stillme.transfer.records.recorded_clock import GUESS_REASON
from stillme.transfer.verify.kinds import judge_of
from stillme.transfer.verify.kinds.cell_comparison import same_kept, show
from stillme.transfer.verify.kinds.local_clock import LocalClock
from stillme.transfer.verify.result import TableProof
from stillme.transfer.verify.rows.quarantine_records import (
    QuarantineRecords,
    differences,
    kept_cells,
)
from stillme.transfer.verify.rows.refused_rows import takes_row
from stillme.transfer.verify.rows.row_expectation import Fate, Oracle
from stillme.transfer.verify.sides.legacy_rows import StoredRow
from stillme.transfer.verify.sides.target_table import UNDECLARED, TargetSide
from stillme.visible import counted

NEVER_HAD = "the legacy file has nothing for this column: set it back by hand"
_ASIDE = FindingKind.QUARANTINE_KEPT_ROW
# Reasons that come and go with other rows. Of an edited record the loader does not renew them.
_PASSING = ("", "missing_parent", "duplicate_key")
_AT_ONCE = 500
_BYTES_AT_ONCE = 4_000_000


class RowJudge:
    """Judges rows of one table against target, kept cells and quarantine."""

    def __init__(
        self,
        alias: str,
        mapping: TableMapping,
        clock: LocalClock,
        units: dict[str, str],
        target: TargetSide,
    ) -> None:
        self._alias = alias
        self._mapping = mapping
        self._keys = mapping.key_columns
        self._oracle = Oracle(mapping, clock, units)
        self._target = target
        self._unfilled = {column.target for column in mapping.unfilled}
        self._judges = {column.target: judge_of(column.kind) for column in mapping.columns}
        self._judges.update({name: judge_of(kinds.Json()) for name in mapping.extra_columns})

    def judge(self, rows: Iterable[StoredRow], proof: TableProof) -> set[str]:
        """Judge rows into `proof`; return their keys as text, which the target may have."""
        seen: set[str] = set()
        batch: list[StoredRow] = []
        size = 0
        for row in rows:
            batch.append(row)
            size += row.size
            if len(batch) == _AT_ONCE or size > _BYTES_AT_ONCE:
                seen |= self._judge_batch(batch, proof)
                batch, size = [], 0
        return seen | self._judge_batch(batch, proof)

    def _judge_batch(self, rows: list[StoredRow], proof: TableProof) -> set[str]:
        if not rows:
            return set()
        keyed = {self.key_text(row): row for row in rows if not row.is_repeat}
        lookups = [self._lookup(row) for row in rows]
        found = self._target.rows([k for k in lookups if k is not None])
        self._tell_repeated(proof)
        records = QuarantineRecords(
            self._alias, self._mapping, [(row, self.key_text(row)) for row in rows]
        )
        kept = kept_cells(self._alias, self._mapping, [key for key in keyed if key is not None])
        for row, lookup in zip(rows, lookups, strict=True):
            # A key that the target cannot hold may read like another row's (a blob, say).
            key = self.key_text(row) if lookup is not None else None
            record = records.of(row, self.key_text(row))
            proof.by_cell += 1
            proof.cells += len(row.cells)
            if (count := records.count(row, self.key_text(row))) > 1:
                twice = (self.key_text(row), "", "one record", f"{count} records")
                proof.findings.add(self._finding(_ASIDE, *twice))
            target = None if key is None else found.get(key)
            originals = {} if key is None else kept.get(key, {})
            proof.findings.extend(self._one(row, target, record, originals, proof))
        return {key for key in keyed if key is not None}

    def _tell_repeated(self, proof: TableProof) -> None:
        """Add a finding for each key that the target holds more than once."""
        for key, rows in self._target.repeated.items():
            found = f"{counted(rows, 'row')} of this key"
            proof.findings.add(self._finding(FindingKind.EXTRA_ROW, key, "", "one row", found))

    def key_text(self, row: StoredRow) -> str | None:
        """The row's key as the ledger writes it."""
        return self._keys.of_cells(row.cells).spelled() if self._keys else None

    def _lookup(self, row: StoredRow) -> Key | None:
        """The key as the target holds it; None where it cannot hold it."""
        return self._keys.in_target(self._keys.of_cells(row.cells))

    def _one(
        self,
        row: StoredRow,
        target: dict[str, Any] | None,
        record: QuarantinedRow | None,
        kept: dict[str, KeptCell],
        proof: TableProof,
    ) -> Iterator[Finding]:
        """Compare what must have become of one row with what did."""
        fate = self._oracle.fate(row)
        key = self.key_text(row)
        if record is not None and (record.status != record.Status.REPAIRED or record.repairs):
            proof.records.append(record.pk)
            yield from self._set_aside(row, record, proof)
            if not record.repairs or fate.reason not in _PASSING:
                yield from self._reason(row, record, fate)
            if record.status == record.Status.REPAIRED:
                yield from self._edited(row, record, target, proof)
            elif target is not None and not row.is_repeat:
                note = "an earlier version of a row in quarantine"
                yield self._finding(FindingKind.EXTRA_ROW, key, "", "no row", "a row", note)
            return
        if fate.reason:
            note = f"the legacy row belongs into quarantine: {fate.reason}"
            found = "a target row" if target else "neither row nor record"
            yield self._finding(_ASIDE, key, "", "a record", found, note)
            return
        if target is None:
            yield self._finding(FindingKind.MISSING_ROW, key, "", "a row", "no row")
            return
        proof.repaired += fate.repaired
        proof.guessed += sum(reason == GUESS_REASON for _, _, reason in fate.kept.values())
        yield from self._values(key, fate.values, target)
        yield from self._kept_cells(key, fate, kept, proof)

    def _reason(self, row: StoredRow, record: QuarantinedRow, fate: Fate) -> Iterator[Finding]:
        """The record must give the reason of docs/reference/values.md, and the column. If the
        loader says that PostgreSQL refused the row, PostgreSQL is asked to take it once more, with
        its parents or without."""
        reason = record.reason
        if reason == fate.reason:
            # Of several parents that were missing one may have come back since.
            references = {column.legacy for column, _ in self._mapping.references()}
            is_lost = reason == "missing_parent" and record.column in references
            if record.column != fate.column and not is_lost:
                note = "the column because of which the row was set aside"
                told = (fate.column, record.column[:80])
                yield self._finding(_ASIDE, self.key_text(row), fate.column, *told, note)
            return
        wanted = fate.reason or "no reason: the row can be loaded"
        note = "the reason why the row was set aside"
        if reason == "refused_by_target":
            alone = self._oracle.fate(replace(row, lost_parents=frozenset()))
            if not alone.reason:
                note = takes_row(self._alias, self._mapping, alone)
                if not note and not record.column:
                    return
                if not note:
                    wanted, reason = "no column", record.column[:80]
                    note = "PostgreSQL refuses the row, not one of its cells"
        yield self._finding(_ASIDE, self.key_text(row), "", wanted, reason, note)

    def _set_aside(
        self, row: StoredRow, record: QuarantinedRow, proof: TableProof
    ) -> Iterator[Finding]:
        """Count the record by its status; it must hold the legacy row."""
        if record.status == record.Status.OPEN:
            proof.open += 1
        elif record.status == record.Status.ACCEPTED:
            proof.accepted += 1
        elif record.status == record.Status.REPAIRED:
            proof.mended += 1
        else:
            wanted, note = "open, repaired or accepted", "the status of the record"
            yield self._finding(_ASIDE, record.key, "", wanted, repr(record.status)[:80], note)
        for name, stored, noted in differences(record, row):
            note = "the kept row is not the legacy row"
            yield self._finding(_ASIDE, record.key, name, stored, noted, note)
        for name in _no_edits(record, row):
            note = "an edit that cannot be read, or of a column that the row has not"
            yield self._finding(_ASIDE, record.key, name, "an edit", "something else", note)

    def _edited(
        self,
        row: StoredRow,
        record: QuarantinedRow,
        target: dict[str, Any] | None,
        proof: TableProof,
    ) -> Iterator[Finding]:
        """A row that somebody edited: the target holds what the edited cells mean."""
        cells = {**row.cells, **unpack_record(record.repairs)}
        edited = StoredRow(row.rowid, cells, row.minutes, frozenset(), False)
        fate = self._oracle.fate(edited)
        key = self.key_text(edited)
        if key != self.key_text(row):
            # The legacy row's own key in the target is another row's, or nobody's.
            if target is not None and not row.is_repeat:
                yield self._finding(
                    FindingKind.EXTRA_ROW, self.key_text(row), "", "no row", "a row", "key edited"
                )
            target = None
        if fate.reason:
            yield self._finding(FindingKind.VALUE, key, "", "a row", f"cannot be: {fate.reason}")
        elif target is None and not (target := self._held(edited, proof)):
            yield self._finding(FindingKind.MISSING_ROW, key, "", "the edited row", "no row")
        else:
            yield from self._values(key, fate.values, target)
            kept = kept_cells(self._alias, self._mapping, [] if key is None else [key])
            yield from self._kept_cells(key, fate, kept.get(key or "", {}), proof)

    def _held(self, edited: StoredRow, proof: TableProof) -> dict[str, Any] | None:
        """The target row of an edited key."""
        lookup = self._lookup(edited)
        found = self._target.rows([] if lookup is None else [lookup])
        self._tell_repeated(proof)
        return found.get(self.key_text(edited) or "")

    def _values(
        self, key: str | None, expected: dict[str, Any], found: dict[str, Any]
    ) -> Iterator[Finding]:
        for name, wanted in expected.items():
            judge = self._judges.get(name, UNDECLARED)
            present = judge.read(found[name])
            if not judge.is_same(present, wanted):
                note = NEVER_HAD if name in self._unfilled else ""
                yield self._finding(
                    FindingKind.VALUE, key, name, judge.show(wanted), judge.show(present), note
                )

    def _kept_cells(
        self, key: str | None, fate: Fate, kept: dict[str, KeptCell], proof: TableProof
    ) -> Iterator[Finding]:
        proof.originals.extend(cell.pk for cell in kept.values())
        for name, (storage, raw, reason) in fate.kept.items():
            cell = kept.get(name)
            if cell is None:
                note = f"the original of a cell ({reason}) is not kept"
                yield self._finding(FindingKind.KEPT_CELL, key, name, show(raw), "nothing", note)
            elif not same_kept(cell, storage, raw):
                yield self._finding(
                    FindingKind.KEPT_CELL, key, name, show(raw), repr(bytes(cell.value or b""))
                )
            elif cell.reason != reason:
                note = "the reason kept with the original"
                yield self._finding(FindingKind.KEPT_CELL, key, name, reason, cell.reason, note)
        for name in kept.keys() - fate.kept.keys():
            yield self._finding(
                FindingKind.KEPT_CELL, key, name, "nothing kept", "an original", "needs none"
            )

    def _finding(
        self,
        kind: FindingKind,
        key: str | None,
        column: str,
        expected: str | None,
        found: str | None,
        note: str = "",
    ) -> Finding:
        where = f"{self._mapping.target}:{column}" if column else self._mapping.target
        return Finding(kind, where, key, expected, found, note)


def _no_edits(record: QuarantinedRow, row: StoredRow) -> list[str]:
    """The columns of what is noted as an edit and is none."""
    edits = unpack_record(record.repairs)
    return [name for name, cell in edits.items() if name not in row.cells or cell[0] == "damaged"]
