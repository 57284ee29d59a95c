"""Which rows the way back must look at: those written in PostgreSQL since the cut-over."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from django.db.models.fields.json import KeyTransform

from stillme.transfer.keys import Key
from stillme.transfer.mapping import TableMapping
from stillme.transfer.models import QuarantinedRow
from stillme.transfer.plumbing.stored_cells import unpack_anything
from stillme.transfer.postgresql.copy import fetch_all
from stillme.transfer.steps.rows.table_source import TableSource


def changed_keys(alias: str, mapping: TableMapping) -> tuple[list[Key], bool]:
    """(keys written since the cut-over, whether the table was truncated) of a target table."""
    rows = fetch_all(
        alias,
        "SELECT DISTINCT key FROM transfer.reverse_change WHERE relation = %s",
        [mapping.target],
    )
    keys = mapping.key_columns.parsed(row[0] for row in rows)
    return keys, any(row[0] is None for row in rows)


def every_key(alias: str, source: TableSource) -> Iterator[Key]:
    """Every key of both sides, because after a TRUNCATE all of them may have changed.

    Without those of rows that were set aside: PostgreSQL never had them, so the TRUNCATE did not
    delete them.
    """
    mapping = source.job.mapping
    keys = mapping.key_columns
    aside = _set_aside(alias, mapping)
    for row in source.raw.where("1"):
        key = keys.of_cells(row.cells)
        if key not in aside:
            yield key
    query = f"SELECT {keys.target()} FROM {mapping.relation}"
    yield from (Key.of(*row) for row in fetch_all(alias, query))


def _set_aside(alias: str, mapping: TableMapping) -> set[Key | None]:
    """The keys of set-aside rows; not of one whose key an earlier row was loaded with."""
    rows = mapping.identity.of(QuarantinedRow.objects.using(alias))
    rows = rows.exclude(status=QuarantinedRow.Status.REPAIRED).exclude(reason="duplicate_key")
    cells = [KeyTransform(name, "cells") for name in mapping.key_columns.names]
    return {_key(mapping, text, cells) for text, *cells in rows.values_list("key", *cells)}


def _key(mapping: TableMapping, text: str | None, cells: Sequence[Any]) -> Key | None:
    """By the stored cells; by the recorded text where somebody damaged those."""
    parts = tuple(map(unpack_anything, cells))
    is_damaged = any(storage == "damaged" for storage, _ in parts)
    return mapping.key_columns.parse(text) if is_damaged else Key(parts)
