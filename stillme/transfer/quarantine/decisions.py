"""The quarantine as a library: list, edit, accept, retry the rows that were set aside."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from django.db import transaction
from django.db.models import Count, Q

from stillme.services.arguments import stored_integer, stored_real
from stillme.transfer.errors import TransferError
from stillme.transfer.identity import TableId
from stillme.transfer.inventory.taking import who_decides
from stillme.transfer.models import QuarantinedRow
from stillme.transfer.plumbing.stored_cells import pack_cell
from stillme.transfer.records.proofs import time_of_decision
from stillme.transfer.steps.aside.retry_rows import (
    CHANGED,
    Retried,
    locked_records,
    refuse_store,
    retry,
)

__all__ = [
    "Retried",
    "accept",
    "accept_ids",
    "edit",
    "retry",
    "select_rows",
    "summary",
]

Status = QuarantinedRow.Status


def select_rows(
    alias: str,
    *,
    ids: Sequence[int] = (),
    reason: str = "",
    table: str = "",
    status: str = Status.OPEN,
) -> list[QuarantinedRow]:
    """Rows by id, or by reason and table (``NAME`` or ``FILE.NAME``).

    Raises TransferError for an unknown id.
    """
    rows = QuarantinedRow.objects.using(alias).order_by("id")
    if ids:
        found = list(rows.filter(pk__in=ids))
        missing = sorted(set(ids) - {row.pk for row in found})
        if missing:
            raise TransferError(f"There is no quarantined row {missing[0]}.")
        return found
    wanted = {"status": status, "reason": reason}
    rows = rows.filter(**{name: value for name, value in wanted.items() if value})
    if table:
        file, _, name = table.partition(".")
        rows = rows.filter(Q(table=table) | Q(file=file, table=name))
    return list(rows)


def summary(alias: str) -> list[dict[str, object]]:
    """Counts by file, table, reason and status."""
    rows = QuarantinedRow.objects.using(alias).values("file", "table", "reason", "status")
    counted = rows.annotate(rows=Count("id")).order_by("file", "table", "reason", "status")
    return [dict(line) for line in counted]


def accept(alias: str, rows: Iterable[QuarantinedRow], note: str, who: str = "") -> int:
    """Leave rows out of the target for good, with a reason.

    Raises TransferError without one, or for a row that is in the target or was changed meanwhile.
    """
    with transaction.atomic(using=alias):
        shown = {row.pk: row for row in rows}
        found = locked_records(alias, list(shown))
        for pk, row in found.items():
            if row.cells != shown[pk].cells:
                raise TransferError(CHANGED.format(pk))
        return len(_accept(alias, list(found), note, who))


def accept_ids(alias: str, ids: Sequence[int], note: str, who: str = "") -> list[int]:
    """Accept those of these rows that are open and not edited; answers their ids."""
    with transaction.atomic(using=alias):
        rows = QuarantinedRow.objects.using(alias).filter(
            pk__in=ids, status=Status.OPEN, repairs={}
        )
        # Locked first: somebody else may be deciding the same rows.
        found = sorted(rows.select_for_update().values_list("pk", flat=True))
        return _accept(alias, found, note, who)


def _accept(alias: str, ids: list[int], note: str, who: str) -> list[int]:
    if not note.strip():
        raise TransferError("Accepting a quarantined row needs a reason: give --note TEXT.")
    QuarantinedRow.objects.using(alias).filter(pk__in=ids).update(
        status=Status.ACCEPTED,
        note=note.strip(),
        decided_by=who or who_decides(),
        decided_at=time_of_decision(alias),
    )
    return ids


def edit(
    alias: str, row: QuarantinedRow, column: str, value: str | None, storage: str, who: str = ""
) -> None:
    """Give a cell another value for the retry. The legacy file is not touched.

    `storage` is the storage class the value shall have: text, integer, real, or null. Raises
    TransferError for a row that could not be retried.
    """
    refuse_store(TableId(row.file, row.table))
    if column not in row.cells:
        names = ", ".join(row.cells)
        raise TransferError(f"Row {row.pk} has no column {column!r}: it has {names}.")
    with transaction.atomic(using=alias):
        found = locked_records(alias, [row.pk])[row.pk]
        if found.cells != row.cells:
            raise TransferError(CHANGED.format(row.pk))
        row.repairs = {**found.repairs, column: _pack(value, storage)}
        row.decided_by = who or who_decides()
        QuarantinedRow.objects.using(alias).filter(pk=row.pk).update(
            repairs=row.repairs, decided_by=row.decided_by, decided_at=time_of_decision(alias)
        )


def _pack(value: str | None, storage: str) -> list[object]:
    if value is None or storage == "null":
        return ["null", None]
    try:
        if storage == "integer":
            return pack_cell("integer", stored_integer(value))
        if storage == "real":
            return pack_cell("real", stored_real(value))
        return pack_cell("text", value.encode("utf-8"))
    except ValueError as error:
        raise TransferError(f"{value[:60]!a} is no {storage} that SQLite can store.") from error
