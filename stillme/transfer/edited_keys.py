"""Rows that came out of quarantine with edits: the target has what no legacy row says."""

from __future__ import annotations

from django.db.models import QuerySet

from stillme.transfer.mapping import TableMapping
from stillme.transfer.models import QuarantinedRow
from stillme.transfer.raw_cells import Raw, unpack_cell


def edited_keys(alias: str, mapping: TableMapping) -> set[str]:
    """The keys, as text, that such rows of a table have instead of their own."""
    if mapping.key is None:
        return set()
    name = mapping.key.legacy
    repairs = _edited(alias, mapping).filter(repairs__has_key=name)
    found = repairs.values_list("repairs", flat=True)
    return {_spelled(unpack_cell(cells[name])[1]) for cells in found}


def keys_of_edited_rows(alias: str, mapping: TableMapping) -> set[str]:
    """The keys, as text, of all such rows of a table in the target."""
    if mapping.key is None:
        return set()
    own = _edited(alias, mapping).exclude(repairs__has_key=mapping.key.legacy)
    keys = own.values_list("key", flat=True)
    return {key for key in keys if key is not None} | edited_keys(alias, mapping)


def _edited(alias: str, mapping: TableMapping) -> QuerySet[QuarantinedRow]:
    rows = mapping.identity.of(QuarantinedRow.objects.using(alias))
    return rows.filter(status=QuarantinedRow.Status.REPAIRED).exclude(repairs={})


def _spelled(raw: Raw) -> str:
    return raw.decode("utf-8", "replace") if isinstance(raw, bytes) else str(raw)
