"""Writing what a loaded row leaves beside it: quarantined rows and kept cells."""

from __future__ import annotations

from collections.abc import Sequence

from django.db.models import Q

from stillme.transfer.errors import TransferError
from stillme.transfer.mapping import TableMapping
from stillme.transfer.models import KeptCell, QuarantinedRow
from stillme.transfer.raw_cells import Raw, pack_cell
from stillme.transfer.steps.rows.careful import LoadedRow, SetAside

_BATCH = 500
# jsonb holds 2**28 - 1 bytes; a cell is there as base64.
MOST_KEPT_BYTES = 200_000_000


def quarantine_rows(
    alias: str, mapping: TableMapping, run_id: int | None, rows: Sequence[SetAside]
) -> None:
    """Put rows into the quarantine, whole. A row that is there already, unchanged, stays as it is.

    An accepted row stays accepted as long as its stored values do not change.
    """
    if not rows:
        return
    records = [_record(mapping, run_id, row) for row in rows]
    known = _known(alias, mapping.declared_table, records)
    fresh: list[QuarantinedRow] = []
    for record in records:
        old = _match(mapping, record, known.get(record.key, []))
        if old is None:
            fresh.append(record)
        elif old.rowid != record.rowid and _still_holds(old, record):
            old.rowid = record.rowid
            old.save(using=alias, update_fields=["rowid"])
        elif not _still_holds(old, record):
            record.pk = old.pk
            record.save(using=alias, force_update=True)
    QuarantinedRow.objects.using(alias).bulk_create(fresh, batch_size=_BATCH)


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


def _known(
    alias: str, table: str, records: Sequence[QuarantinedRow]
) -> dict[str | None, list[QuarantinedRow]]:
    found = QuarantinedRow.objects.using(alias).filter(table=table).order_by("pk")
    keyed = found.filter(key__in=[r.key for r in records if r.key is not None])
    keyless = found.filter(key=None).filter(
        Q(rowid__in=[r.rowid for r in records if r.key is None]) | Q(rowid=None)
    )
    known: dict[str | None, list[QuarantinedRow]] = {}
    for row in [*keyed, *keyless]:
        known.setdefault(row.key, []).append(row)
    return known


def _record(mapping: TableMapping, run_id: int | None, row: SetAside) -> QuarantinedRow:
    cells = row.raw.whole().cells
    _check_room(mapping, row, cells)
    return QuarantinedRow(
        run_id=run_id,
        file=mapping.file,
        table=mapping.declared_table,
        key=row.key,
        rowid=row.raw.rowid,
        cells={name: pack_cell(*cell) for name, cell in cells.items()},
        reason=row.reason,
        column=row.column,
        sentence=row.sentence,
    )


def _check_room(mapping: TableMapping, row: SetAside, cells: dict[str, tuple[str, Raw]]) -> None:
    sizes = {name: len(raw) for name, (_, raw) in cells.items() if isinstance(raw, bytes)}
    size = sum(sizes.values())
    if size > MOST_KEPT_BYTES:
        largest = max(sizes, key=sizes.__getitem__)
        raise TransferError(
            f"Row {row.key} of {mapping.declared_table} has to be set aside ({row.reason}), but "
            f"holds {size:,} bytes, and the quarantine keeps at most {MOST_KEPT_BYTES:,} of a row: "
            f"mend or shorten its {largest} in the legacy file, then run the same command again."
        )


def keep_cells(
    alias: str, mapping: TableMapping, run_id: int | None, rows: Sequence[LoadedRow]
) -> None:
    """Keep the originals of repaired cells."""
    records = [
        KeptCell(
            run_id=run_id,
            table=mapping.declared_table,
            key=row.key,
            column=kept.column,
            storage=kept.storage,
            value=kept.value,
            reason=kept.reason,
        )
        for row in rows
        for kept in row.kept
    ]
    KeptCell.objects.using(alias).bulk_create(records, batch_size=_BATCH)
