"""From the stage into the target: insert what is new, update what changed, no more.

A range of the snapshot, or rows that a follower was told of, is staged (`staging`), rows without a
parent are taken out (`orphans`), and the stage is compared with the target. An example: of 10,000
staged rows 9,990 are equal and stay untouched, 7 are new and inserted, 3 differ. Two of those were
last written by the engine and are updated; the third was written by somebody else: it is left
alone and named as a conflict, unless the operator said `--overwrite`.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from django.db import connections

from stillme.transfer.identity import OF_TABLE
from stillme.transfer.key_columns import Condition
from stillme.transfer.keys import Key
from stillme.transfer.mapping import TableMapping
from stillme.transfer.models import KeptCell, QuarantinedRow
from stillme.transfer.postgresql.copy import STAGE, create_stage, execute, fetch_all
from stillme.transfer.postgresql.distributed import NearTable, staged_for
from stillme.transfer.records.edited_rows import edited_keys
from stillme.transfer.records.outcome import MOST_KEYS
from stillme.transfer.records.table_job import TableJob
from stillme.transfer.sqlite.reading.key_ranges import KeyRange
from stillme.transfer.steps.merging.clashes import Clashes, delete_rows, find_clashes
from stillme.transfer.steps.merging.orphans import FindRaw, set_orphans_aside
from stillme.transfer.steps.merging.staging import (
    Merged,
    fill_stage,
    merged_columns,
    rows_differ,
)
from stillme.transfer.steps.rows.read_range import RangeReader, ReadRange
from stillme.transfer.steps.rows.table_source import TableSource
from stillme.transfer.steps.rows.unusual_rows import SetAside, key_as_text

# A row written by somebody else than the engine has an xmin that no mark knows.
# Correlated, so that few rows ask the index on the expression: a follower leaves a mark a round.
OURS = (
    "EXISTS (SELECT 1 FROM transfer.write_mark AS w "
    "WHERE mod(w.xid, 4294967296) = t.xmin::text::bigint)"
)


def merge_range(
    alias: str, source: TableSource, key_range: KeyRange, read: ReadRange | None = None
) -> Merged:
    """Stage a range of the snapshot and merge it, in the caller's transaction.

    `read` is the range where it was read already.
    """
    mapping = source.job.mapping
    merged = Merged(mapping)
    if not mapping.key_columns:
        # None of them can be loaded.
        for raw in RangeReader(source, key_range).everything():
            merged.note(source.careful.convert(raw))
        return merged
    create_stage(connections[alias], mapping)
    fill_stage(alias, source, key_range, merged, read)
    set_orphans_aside(alias, source.job, merged, source.raw.keys)
    within = key_range.in_target(mapping, "t")
    table = staged_table(alias, mapping)
    if table.is_near:
        find_vanished(alias, source.job, merged, *within)
    merge_stage(alias, source.job, merged, source.raw.keys, within, table)
    return merged


def merge_stage(
    alias: str,
    job: TableJob,
    merged: Merged,
    find_raw: FindRaw,
    within: Condition = ("TRUE", []),
    table: NearTable | None = None,
    *,
    resolves: bool = True,
    later: Collection[str] = (),
) -> None:
    """Insert and update from the stage; rows that the target side changed are left alone.

    Rows that PostgreSQL refuses next to the others are set aside, and those of the same table that
    refer to them; `find_raw` gives their raw rows, `later` is what `set_orphans_aside` says.
    `within` is a condition on the target `t`, with its parameters, that holds for every staged
    key: it spares the server a look at the whole table. With `resolves` the quarantine records
    of staged rows are marked as repaired.
    """
    condition, values = within
    mapping = job.mapping
    keys = mapping.key_columns
    table = table or staged_table(alias, mapping)
    whose = OURS if table.is_near else "FALSE"
    # Compared once; few rows differ as a rule, and those are found again by their key.
    changed = fetch_all(
        alias,
        f"SELECT {'TRUE' if job.overwrite else whose}, {keys.target_text('s')}, "
        f"{keys.target('s')} FROM {STAGE} AS s JOIN {table.present()} AS t ON {table.same_row} "
        f"WHERE {condition} AND {rows_differ(mapping)} ORDER BY 2 FOR UPDATE OF t",
        values,
    )
    conflicts = [name for ours, name, *_ in changed if not ours]
    merged.outcome.conflict_count += len(conflicts)
    merged.outcome.conflicts += conflicts[:MOST_KEYS]
    to_update = [tuple(key) for ours, _, *key in changed if ours]

    def merge() -> tuple[int, int]:
        updated = 0
        if to_update:
            chosen, among = keys.target_among(to_update, "s")
            updated = table.update(merged_columns(mapping), chosen, among)
        return updated, table.insert(mapping.target_columns, condition, values)

    clashes = find_clashes(alias, mapping, to_update, merge) if table.is_near else Clashes()
    if clashes.rewrite:
        delete_rows(alias, mapping, mapping.relation, to_update)
    if clashes.refused:
        _set_clashing_aside(alias, mapping, clashes, merged, find_raw)
        if mapping.refers_to_itself:
            set_orphans_aside(alias, job, merged, find_raw, later)
        staged_keys = set(fetch_all(alias, f"SELECT {keys.target()} FROM {STAGE}"))
        to_update = [key for key in to_update if key in staged_keys]
    # The kept cells of staged rows are written again.
    staged = f"SELECT {keys.target_text('s')} FROM {STAGE} AS s"
    kept = f"DELETE FROM {KeptCell._meta.db_table} WHERE {OF_TABLE} AND key IN ({staged})"
    execute(alias, kept, mapping.identity)
    if resolves:
        _resolve(alias, mapping)
    if clashes.rewrite:
        merged.outcome.updated += len(to_update)
        merged.outcome.inserted -= len(to_update)
        to_update = []
    updated, inserted = merge()
    merged.outcome.updated += updated
    merged.outcome.inserted += inserted


def _set_clashing_aside(
    alias: str, mapping: TableMapping, clashes: Clashes, merged: Merged, find_raw: FindRaw
) -> None:
    for key, message in clashes.refused:
        for raw in find_raw([Key.of(*key)]):
            if raw.repeated:
                continue
            name = key_as_text(mapping, raw)
            merged.take_back(name or "")
            sentence = f"PostgreSQL refuses the row: {message}"
            merged.note(SetAside(name, raw, "refused_by_target", "", sentence))
    delete_rows(alias, mapping, STAGE, [key for key, _ in clashes.refused])


def staged_table(alias: str, mapping: TableMapping) -> NearTable:
    """The target table, to be merged with the stage."""
    return staged_for(connections[alias], mapping.relation, STAGE, mapping.key_columns.targets)


def find_vanished(
    alias: str, job: TableJob, merged: Merged, condition: str, values: Sequence[Any]
) -> None:
    """Find target rows whose legacy row is gone, or is in quarantine now, and report them.

    Only rows that the engine wrote, unless the job overwrites. With `prune` their keys are
    collected; they are deleted when all tables are loaded, children first.
    """
    mapping = job.mapping
    keys = mapping.key_columns
    name = keys.target_text("t")
    edited = sorted(edited_keys(alias, mapping))
    whose = "TRUE" if job.overwrite else OURS
    gone = fetch_all(
        alias,
        f"SELECT {name} FROM {mapping.relation} AS t WHERE {condition} AND {whose} "
        f"AND NOT EXISTS (SELECT 1 FROM {STAGE} AS s WHERE {keys.target_same('s', 't')}) "
        # A row that was edited in quarantine is in the target in place of its bad legacy row.
        f"AND NOT EXISTS (SELECT 1 FROM {QuarantinedRow._meta.db_table} AS q "
        f"WHERE q.key = {name} AND {OF_TABLE} AND q.status = 'repaired' "
        f"AND q.repairs <> '{{}}'::jsonb) AND {name} <> ALL(%s) ORDER BY {keys.target_names('t')}",
        [*values, *mapping.identity, edited],
    )
    names = [row[0] for row in gone]
    merged.outcome.vanished_count += len(names)
    merged.outcome.vanished += names[:MOST_KEYS]
    if job.prune:
        merged.outcome.to_prune += names


def delete_keys(alias: str, mapping: TableMapping, keys: Sequence[str]) -> int:
    """Delete target rows by key (as text), and the originals that were kept of them."""
    mapping.identity.of(KeptCell.objects.using(alias)).filter(key__in=list(keys)).delete()
    return delete_rows(alias, mapping, mapping.relation, mapping.key_columns.parsed(keys))


def _resolve(alias: str, mapping: TableMapping) -> None:
    """Mark the quarantine records of staged rows as repaired.

    A record of a row whose key cannot be a staged row's (a blob that reads like it, say) is left
    alone. Edits that no retry has used go: the row is in the target without them.
    """
    keys = mapping.key_columns
    unused = "CASE WHEN repairs <> '{}' THEN ' Its edits were not used.' ELSE '' END"
    own = "".join(" AND coalesce(cells -> %s ->> 0, 'integer') = ANY(%s)" for _ in keys)
    classes = [part for c in keys for part in (c.legacy, list(c.key_classes))]
    execute(
        alias,
        f"UPDATE {QuarantinedRow._meta.db_table} SET status = 'repaired', decided_at = now(), "
        f"note = 'The legacy row loads now.' || {unused}, repairs = '{{}}' WHERE {OF_TABLE} "
        f"AND key IN (SELECT {keys.target_text('s')} FROM {STAGE} AS s) "
        f"AND status <> 'repaired'{own}",
        [*mapping.identity, *classes],
    )
