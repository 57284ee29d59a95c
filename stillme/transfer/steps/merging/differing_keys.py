"""Do target rows hold what legacy rows say? Legacy rows are staged and compared in PostgreSQL.

For the sweep, the cut-over and the rollback.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from django.db import transaction

from stillme.transfer.keys import Key
from stillme.transfer.mapping import TableMapping
from stillme.transfer.models import QuarantinedRow
from stillme.transfer.postgresql.copy import STAGE, fetch_all
from stillme.transfer.records.edited_rows import keys_of_edited_rows
from stillme.transfer.sqlite.reading.key_ranges import KeyRange, key_ranges
from stillme.transfer.steps.merging.orphans import set_orphans_aside
from stillme.transfer.steps.merging.quarantine_records import packed_cells
from stillme.transfer.steps.merging.staging import (
    Merged,
    begin_stage,
    fill_stage,
    rows_differ,
    stage_keys,
)
from stillme.transfer.steps.rows.table_source import TableSource
from stillme.transfer.steps.rows.unusual_rows import key_as_text

_RANGE_ROWS = 10_000


def compare_table(
    alias: str, source: TableSource, between: Callable[[], None] = lambda: None
) -> list[str]:
    """Keys (as text) whose target row is missing, extra or different.

    `between` is called before each range of 10,000 keys.
    """
    differing: list[str] = []
    for key_range in key_ranges(source.connection, source.job.mapping, _RANGE_ROWS):
        between()
        differing += compare_range(alias, source, key_range)
    return differing


def compare_range(alias: str, source: TableSource, key_range: KeyRange) -> list[str]:
    """The same for one range of keys."""
    mapping = source.job.mapping
    if not mapping.key_columns:
        return []
    with transaction.atomic(using=alias):
        _, merged = begin_stage(alias, mapping)
        fill_stage(alias, source, key_range, merged)
        return _differing(alias, source, merged, *key_range.in_target(mapping, "t"))


def compare_keys(alias: str, source: TableSource, keys: Sequence[Key]) -> list[str]:
    """The same for the given keys."""
    columns = source.job.mapping.key_columns
    if not columns:
        return []
    with transaction.atomic(using=alias):
        writer, merged = begin_stage(alias, source.job.mapping)
        stage_keys(writer, source, keys, merged)
        return _differing(alias, source, merged, *columns.target_among(columns.held(keys), "t"))


def present_keys(alias: str, mapping: TableMapping, keys: Iterable[Key]) -> set[Key]:
    """Which of the keys the target has."""
    columns = mapping.key_columns
    if not columns:
        return set()
    among, values = columns.target_among(columns.held(keys))
    query = f"SELECT {columns.target()} FROM {mapping.relation} WHERE {among}"
    return {Key.of(*row) for row in fetch_all(alias, query, values)}


def _differing(
    alias: str, source: TableSource, merged: Merged, condition: str, values: Sequence[object]
) -> list[str]:
    set_orphans_aside(alias, source.job, merged, source.raw.keys)
    mapping = source.job.mapping
    keys = mapping.key_columns
    absent = [keys.target_null("s"), keys.target_null("t")]
    name = f"CASE WHEN {absent[0]} THEN {keys.target_text('t')} ELSE {keys.target_text('s')} END"
    rows = fetch_all(
        alias,
        f"SELECT {name}, {', '.join(absent)} FROM {STAGE} AS s "
        f"FULL JOIN (SELECT * FROM {mapping.relation} AS t WHERE {condition}) AS t "
        f"ON {keys.target_same('t', 's')} WHERE {' OR '.join(absent)} "
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
    records = mapping.identity.of(QuarantinedRow.objects.using(alias)).filter(key__in=keys)
    aside = records.exclude(status=QuarantinedRow.Status.REPAIRED)
    kept = {str(key): cells for key, cells in aside.values_list("key", "cells")}
    rows = source.raw.keys(mapping.key_columns.parsed(kept))
    there = ((str(key_as_text(mapping, row)), packed_cells(row)) for row in rows)
    return {name for name, cells in there if kept.get(name) == cells}
