"""Which rows the way back must look at: those written in PostgreSQL since the cut-over."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from django.db import connections
from django.db.models.fields.json import KeyTextTransform, KeyTransform

from stillme.transfer.mapping import TableMapping
from stillme.transfer.models import QuarantinedRow
from stillme.transfer.postgresql.copy import fetch_all, quoted
from stillme.transfer.steps.merging.compare import target_keys
from stillme.transfer.steps.merging.staging import key_value
from stillme.transfer.steps.rows.careful import key_as_text
from stillme.transfer.steps.rows.job import TableSource


def changed_keys(alias: str, name: str) -> tuple[list[str], bool]:
    """(keys written since the cut-over, whether the table was truncated) of a target table."""
    rows = fetch_all(
        connections[alias],
        "SELECT DISTINCT key FROM transfer.reverse_change WHERE relation = %s",
        [name],
    )
    return [row[0] for row in rows if row[0] is not None], any(row[0] is None for row in rows)


def every_key(alias: str, source: TableSource) -> Iterator[object]:
    """Every key of both sides, because after a TRUNCATE all of them may have changed.

    Without those of rows that were set aside: PostgreSQL never had them, so the TRUNCATE did not
    delete them.
    """
    mapping = source.job.mapping
    assert mapping.key is not None
    aside = _set_aside(alias, mapping)
    for row in source.raw.where("1"):
        storage, raw = row.cells[mapping.key.legacy]
        if (storage, key_as_text(mapping, row)) not in aside:
            yield key_value(raw)
    key = quoted(mapping.key.target)
    for (present,) in fetch_all(connections[alias], f"SELECT {key} FROM {mapping.relation}"):
        yield present


def _set_aside(alias: str, mapping: TableMapping) -> set[tuple[str, str | None]]:
    """(storage class, key) of set-aside rows; not of one whose key an earlier row was loaded with.

    A blob that reads like a text is another key.
    """
    assert mapping.key is not None
    rows = mapping.identity.of(QuarantinedRow.objects.using(alias))
    rows = rows.exclude(status=QuarantinedRow.Status.REPAIRED).exclude(reason="duplicate_key")
    found = rows.values_list(
        KeyTextTransform("0", KeyTransform(mapping.key.legacy, "cells")), "key"
    )
    return {(storage or "integer", key) for storage, key in found}


def present_keys(alias: str, mapping: TableMapping, keys: Sequence[object]) -> list[int | str]:
    """Which of the keys the target has."""
    assert mapping.key is not None
    key = quoted(mapping.key.target)
    rows = fetch_all(
        connections[alias],
        f"SELECT {key} FROM {mapping.relation} WHERE {key} = ANY(%s)",
        [target_keys(mapping, keys)],
    )
    return [row[0] for row in rows]
