"""Do target rows hold what legacy rows say? Legacy rows are staged and compared in PostgreSQL.

For the sweep, the cut-over and the rollback.
"""

from __future__ import annotations

from collections.abc import Sequence

from django.db import connections, transaction

from stillme.transfer import kinds
from stillme.transfer.edited_keys import keys_of_edited_rows
from stillme.transfer.keys import whole_keys
from stillme.transfer.mapping import TableMapping
from stillme.transfer.models import QuarantinedRow
from stillme.transfer.postgresql.copy import STAGE, StageWriter, create_stage, fetch_all, quoted
from stillme.transfer.raw_cells import pack_cell
from stillme.transfer.sqlite.ranges import KeyRange
from stillme.transfer.steps.merging.difference import rows_differ
from stillme.transfer.steps.merging.merge import range_condition
from stillme.transfer.steps.merging.orphans import set_orphans_aside
from stillme.transfer.steps.merging.staging import Merged, fill_stage, key_value, stage_keys
from stillme.transfer.steps.rows.job import TableSource


def compare_range(alias: str, source: TableSource, key_range: KeyRange) -> list[str]:
    """Keys (as text) of a range whose target row is missing, extra or different."""
    mapping = source.job.mapping
    if mapping.key is None:
        return []
    with transaction.atomic(using=alias):
        create_stage(connections[alias], mapping.relation, mapping.key.target)
        merged = Merged(source.job.mapping)
        fill_stage(alias, source, key_range, merged)
        set_orphans_aside(alias, source, merged, source.raw.keys)
        condition, values = range_condition(mapping, key_range, "t")
        return _differing(alias, source, condition, values)


def compare_keys(alias: str, source: TableSource, keys: Sequence[int | str]) -> list[str]:
    """The same for the given keys."""
    mapping = source.job.mapping
    if mapping.key is None:
        return []
    connection = connections[alias]
    with transaction.atomic(using=alias):
        create_stage(connection, mapping.relation, mapping.key.target)
        merged = Merged(source.job.mapping)
        stage_keys(StageWriter(connection, mapping.target_columns), source, keys, merged)
        set_orphans_aside(alias, source, merged, source.raw.keys)
        condition = f"t.{quoted(mapping.key.target)} = ANY(%s)"
        return _differing(alias, source, condition, [target_keys(mapping, keys)])


def target_keys(mapping: TableMapping, keys: Sequence[object]) -> list[int] | list[str]:
    """Those keys that the target's key column can hold, in its type."""
    assert mapping.key is not None
    if isinstance(mapping.key.kind, kinds.Key):
        return whole_keys(str(key) for key in keys if isinstance(key, int | str))
    return [key for key in keys if isinstance(key, str) and "\0" not in key]


def _differing(
    alias: str, source: TableSource, condition: str, values: Sequence[object]
) -> list[str]:
    mapping = source.job.mapping
    assert mapping.key is not None
    key = quoted(mapping.key.target)
    rows = fetch_all(
        connections[alias],
        f"SELECT coalesce(s.{key}::text, t.{key}::text), s.{key} IS NULL, t.{key} IS NULL "
        f"FROM {STAGE} AS s "
        f"FULL JOIN (SELECT * FROM {mapping.relation} AS t WHERE {condition}) AS t "
        f"ON t.{key} = s.{key} WHERE s.{key} IS NULL OR t.{key} IS NULL "
        f"OR {rows_differ(mapping)} ORDER BY 1",
        values,
    )
    in_target = {name for name, is_absent, _ in rows if is_absent}
    in_file = [name for name, _, is_absent in rows if is_absent]
    # A row that was edited in quarantine is in the target only, one that is set aside in the file
    # only: both are as they should be.
    explained: set[str] = set()
    if in_target:
        explained |= in_target & keys_of_edited_rows(alias, mapping)
    if in_file:
        explained |= _still_set_aside(alias, source, in_file)
    return [name for name, _, _ in rows if name not in explained]


def _still_set_aside(alias: str, source: TableSource, keys: Sequence[str]) -> set[str]:
    """Those of the keys whose row is in quarantine, and in the file just as it was set aside.

    Such a row may be ready to load: a child whose parent was retried, say.
    """
    mapping = source.job.mapping
    assert mapping.key is not None
    records = mapping.identity.of(QuarantinedRow.objects.using(alias)).filter(key__in=keys)
    kept = {
        str(key): cells
        for key, cells in records.exclude(status=QuarantinedRow.Status.REPAIRED).values_list(
            "key", "cells"
        )
    }
    found = set()
    for row in source.raw.keys(target_keys(mapping, list(kept))):
        name = str(key_value(row.cells[mapping.key.legacy][1]))
        if kept.get(name) == {column: pack_cell(*cell) for column, cell in row.cells.items()}:
            found.add(name)
    return found
