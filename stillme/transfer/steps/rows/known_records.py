"""The quarantine's records of a table as they were, and which of them a row has."""

from __future__ import annotations

import json
from collections.abc import Sequence

from django.db.models import Max, Q, TextField
from django.db.models.functions import Cast

from stillme.transfer.mapping import TableMapping
from stillme.transfer.models import QuarantinedRow
from stillme.transfer.steps.rows.packed import PackedRow


class KnownRecords:
    """The records that were there before; each is the record of one row at most."""

    def __init__(self, alias: str, mapping: TableMapping, run_id: int | None) -> None:
        self._alias, self._mapping, self._run_id = alias, mapping, run_id
        self._records = QuarantinedRow.objects.using(alias).filter(table=mapping.declared_table)
        # What this transaction writes comes after it. Not a condition for the server, which
        # would look the records up by it instead of by their keys.
        self._newest: int | None = self._records.aggregate(Max("pk"))["pk__max"]
        self._taken: set[int] = set()

    def renew(self, rows: Sequence[PackedRow]) -> Sequence[PackedRow]:
        """Bring the records of rows up to date; the rows that have none."""
        if self._newest is None:
            return rows
        changed = self._changed(rows)
        records = [_record(self._mapping, self._run_id, row) for row in changed]
        candidates = self._by_key(records)
        return [
            row
            for row, record in zip(changed, records, strict=True)
            if not self._renewed(record, candidates.get(record.key, []))
        ]

    def _is_free(self, pk: int) -> bool:
        return self._newest is not None and pk <= self._newest and pk not in self._taken

    def _changed(self, rows: Sequence[PackedRow]) -> list[PackedRow]:
        """The rows without those whose record says just the same.

        Most rows of a range that is read again are such, and to make records of them takes longer.
        """
        # What came back without an edit and is bad again is open again: `_still_holds`.
        back = {"status": QuarantinedRow.Status.REPAIRED, "repairs": {}}
        settled = self._records.filter(key__in=_keys(rows)).exclude(**back)
        told = settled.annotate(text=Cast("cells", TextField()))
        found: dict[tuple[object, ...], list[int]] = {}
        for pk, *same in told.values_list("pk", "key", "rowid", "text", "reason"):
            if self._is_free(pk):
                found.setdefault(tuple(same), []).append(pk)
        changed = []
        for row in rows:
            if pks := found.get((row.key, row.rowid, row.cells, row.reason)):
                self._taken.add(pks.pop())
            else:
                changed.append(row)
        return changed

    def _by_key(self, records: Sequence[QuarantinedRow]) -> dict[str | None, list[QuarantinedRow]]:
        keyed = self._records.filter(key__in=_keys(records))
        keyless = self._records.filter(key=None).filter(
            Q(rowid__in=[r.rowid for r in records if r.key is None]) | Q(rowid=None)
        )
        found: dict[str | None, list[QuarantinedRow]] = {}
        for row in [*keyed.order_by("pk"), *keyless.order_by("pk")]:
            if self._is_free(row.pk):
                found.setdefault(row.key, []).append(row)
        return found

    def _renewed(self, record: QuarantinedRow, candidates: list[QuarantinedRow]) -> bool:
        """Whether one of the candidates is the row's, which then says what the row is now."""
        old = _match(self._mapping, record, candidates)
        if old is None:
            return False
        self._taken.add(old.pk)
        if not _still_holds(old, record):
            record.pk = old.pk
            record.save(using=self._alias, force_update=True)
        elif old.rowid != record.rowid:
            old.rowid = record.rowid
            old.save(using=self._alias, update_fields=["rowid"])
        return True


def _keys(rows: Sequence[PackedRow] | Sequence[QuarantinedRow]) -> list[str]:
    return [row.key for row in rows if row.key is not None]


def _record(mapping: TableMapping, run_id: int | None, row: PackedRow) -> QuarantinedRow:
    return QuarantinedRow(
        run_id=run_id,
        file=mapping.file,
        table=mapping.declared_table,
        key=row.key,
        rowid=row.rowid,
        cells=json.loads(row.cells),
        reason=row.reason,
        column=row.column,
        sentence=row.sentence,
    )


def _match(
    mapping: TableMapping, new: QuarantinedRow, candidates: list[QuarantinedRow]
) -> QuarantinedRow | None:
    """The entry of the same legacy row, taken out of the candidates.

    A key may stand for several rows (a repeated key; text and blob that read alike): the same
    stored values decide, then the same rowid, then the very key where no two rows can have it.
    """
    same = [old for old in candidates if old.cells == new.cells]
    alike = sorted(same, key=lambda old: old.rowid != new.rowid)
    alike += [old for old in candidates if old.rowid == new.rowid]
    if mapping.key is not None and mapping.key_is_unique and new.key is not None:
        name = mapping.key.legacy
        known = [old for old in candidates if name in old.cells]
        alike += [old for old in known if old.cells[name] == new.cells[name]]
    if not alike:
        return None
    candidates.remove(alike[0])
    return alike[0]


def _still_holds(old: QuarantinedRow, new: QuarantinedRow) -> bool:
    """Whether the decision about a row stands: the stored values have not changed since.

    A row that came back without an edit (an orphan, say) and is bad again is open again.
    """
    if old.cells != new.cells:
        return False
    if old.status == QuarantinedRow.Status.REPAIRED:
        return bool(old.repairs)
    return old.reason == new.reason
