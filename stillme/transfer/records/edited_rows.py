"""Rows that came out of quarantine with edits: the target has what no legacy row says."""

from __future__ import annotations

from django.db.models import QuerySet

from stillme.transfer.keys import Key, spelled_keys
from stillme.transfer.mapping import TableMapping
from stillme.transfer.models import QuarantinedRow
from stillme.transfer.plumbing.stored_cells import unpack_cell


def edited_keys(alias: str, mapping: TableMapping) -> set[str]:
    """The keys, as text, that such rows of a table have instead of their own."""
    if not mapping.key_columns:
        return set()
    names = mapping.key_columns.names
    found = _edited(alias, mapping).filter(repairs__has_any_keys=names)
    rows = [{**cells, **repairs} for cells, repairs in found.values_list("cells", "repairs")]
    return set(spelled_keys(Key(tuple(unpack_cell(row.get(n)) for n in names)) for row in rows))


def keys_of_edited_rows(alias: str, mapping: TableMapping) -> set[str]:
    """The keys, as text, of all such rows of a table in the target."""
    if not mapping.key_columns:
        return set()
    own = _edited(alias, mapping).exclude(repairs__has_any_keys=mapping.key_columns.names)
    keys = own.values_list("key", flat=True)
    return {key for key in keys if key is not None} | edited_keys(alias, mapping)


def _edited(alias: str, mapping: TableMapping) -> QuerySet[QuarantinedRow]:
    rows = mapping.identity.of(QuarantinedRow.objects.using(alias))
    return rows.filter(status=QuarantinedRow.Status.REPAIRED).exclude(repairs={})
