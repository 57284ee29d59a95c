"""Find the quarantine record that belongs to a row."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

from django.db.models import Max, Q, TextField
from django.db.models.functions import Cast

from stillme.transfer.identity import OF_TABLE
from stillme.transfer.mapping import TableMapping
from stillme.transfer.models import QuarantinedRow
from stillme.transfer.plumbing.stored_cells import unpack_record
from stillme.transfer.postgresql.copy import fetch_all
from stillme.transfer.steps.rows.packed import PackedRow

_AT_ONCE = 500
_SAID = ("key", "rowid", "text", "reason", "column", "sentence")


class KnownRecords:
    """The records that were there before; each is the record of one row at most."""

    def __init__(self, alias: str, mapping: TableMapping) -> None:
        self._alias, self._mapping = alias, mapping
        self._records = mapping.identity.of(QuarantinedRow.objects.using(alias))
        # What this transaction writes comes after it. Not a condition for the server, which
        # would look the records up by it instead of by their keys.
        self._newest: int | None = self._records.aggregate(Max("pk"))["pk__max"]
        self._taken: set[int] = set()

    def outdated(self, rows: Sequence[PackedRow]) -> Iterator[tuple[int | None, PackedRow]]:
        """The rows to write, each with the id of the record in whose place it comes, if any.

        Those records are deleted; records that are right stay as they are.
        """
        if self._newest is None or not self._any(rows):
            yield from ((None, row) for row in rows)
            return
        changed = self._changed(rows)
        candidates = self._by_key(changed)
        replaced: list[tuple[int | None, PackedRow]] = []
        renewed: list[QuarantinedRow] = []
        for row in changed:
            cells = json.loads(row.cells())
            old = self._taken_for(row, cells, candidates.get(row.key, []))
            if old is None or not _still_holds(old, row, cells):
                replaced.append((None if old is None else old.pk, row))
            elif _renew(old, row):
                renewed.append(old)
        self._records.filter(pk__in=[pk for pk, _ in replaced if pk is not None]).delete()
        self._records.bulk_update(renewed, ["rowid", "column", "sentence"], batch_size=_AT_ONCE)
        yield from replaced

    def _any(self, rows: Sequence[PackedRow]) -> bool:
        """Whether one of the rows may have a record. Most ranges have none when they are loaded
        for the first time, though others of the table have."""
        if any(row.key is None for row in rows):
            return True
        found = f"SELECT 1 FROM transfer.quarantined_row WHERE {OF_TABLE} AND key = ANY(%s::text[])"
        values = [*self._mapping.identity, [row.key for row in rows]]
        return bool(fetch_all(self._alias, f"{found} LIMIT 1", values))

    def _is_free(self, pk: int) -> bool:
        return self._newest is not None and pk <= self._newest and pk not in self._taken

    def _changed(self, rows: Sequence[PackedRow]) -> list[PackedRow]:
        """The rows without those whose record says just the same.

        Most rows of a range that is read again are such, and to make records of them takes longer.
        """
        keyless = [row.rowid for row in rows if row.key is None]
        same = Q(key__in=_keys(rows)) | Q(key=None, rowid__in=keyless)
        # Of what was edited, or came back, and is bad again, `_still_holds` decides.
        settled = self._records.filter(same, repairs={})
        settled = settled.exclude(status=QuarantinedRow.Status.REPAIRED)
        told = settled.annotate(text=Cast("cells", TextField()))
        found: dict[tuple[object, ...], list[int]] = {}
        for pk, *said in told.values_list("pk", *_SAID):
            if self._is_free(pk):
                found.setdefault(tuple(said), []).append(pk)
        changed = []
        for row in rows:
            cells = row.cells().decode()
            said = (row.key, row.rowid, cells, row.reason, row.column, row.sentence)
            if pks := found.get(said):
                self._taken.add(pks.pop())
            else:
                changed.append(row)
        return changed

    def _by_key(self, rows: Sequence[PackedRow]) -> dict[str | None, list[QuarantinedRow]]:
        keyed = self._records.filter(key__in=_keys(rows))
        keyless = self._records.filter(key=None).filter(
            Q(rowid__in=[row.rowid for row in rows if row.key is None]) | Q(rowid=None)
        )
        found: dict[str | None, list[QuarantinedRow]] = {}
        for record in [*keyed.order_by("pk"), *keyless.order_by("pk")]:
            if self._is_free(record.pk):
                found.setdefault(record.key, []).append(record)
        return found

    def _taken_for(
        self, row: PackedRow, cells: dict[str, Any], candidates: list[QuarantinedRow]
    ) -> QuarantinedRow | None:
        """The record of the same legacy row, taken out of the candidates.

        Several rows may have one key (a repeated key; a text and a blob that read the same). So
        the same stored values decide first, then the same rowid, then the same stored key if the
        file guarantees that no two rows have it.
        """
        same = [old for old in candidates if old.cells == cells]
        alike = sorted(same, key=lambda old: old.rowid != row.rowid)
        alike += [old for old in candidates if old.rowid == row.rowid]
        if self._mapping.key_is_unique and row.key is not None:
            key = self._key_cells(cells)
            alike += [old for old in candidates if self._key_cells(old.cells) == key]
        if not alike:
            return None
        candidates.remove(alike[0])
        self._taken.add(alike[0].pk)
        return alike[0]

    def _key_cells(self, cells: dict[str, Any]) -> list[Any]:
        """The packed key cells; a record that lacks one of them matches no row."""
        return [cells.get(name) for name in self._mapping.key_columns.names]


def _keys(rows: Sequence[PackedRow]) -> list[str]:
    return [row.key for row in rows if row.key is not None]


def _renew(old: QuarantinedRow, new: PackedRow) -> bool:
    """Whether a record of which the decision stands says something else than the row now does.

    The rowid may have moved. For the same reason another column may count: another parent is
    missing now.
    """
    wanted = (new.rowid, new.column, new.sentence)
    if old.reason != new.reason:
        wanted = (new.rowid, old.column, old.sentence)
    is_other = wanted != (old.rowid, old.column, old.sentence)
    old.rowid, old.column, old.sentence = wanted
    return is_other


def _still_holds(old: QuarantinedRow, new: PackedRow, cells: dict[str, Any]) -> bool:
    """Whether the decision about a row stands: the stored values have not changed since.

    A row that came back without an edit (an orphan, say) and is bad again is open again.
    """
    edits = unpack_record(old.repairs)
    # Of a record that somebody changed by hand no command takes them off again.
    are_none = any(n not in cells or cell[0] == "damaged" for n, cell in edits.items())
    if old.cells != cells or are_none:
        return False
    if old.status == QuarantinedRow.Status.REPAIRED:
        return bool(old.repairs)
    return old.reason == new.reason
