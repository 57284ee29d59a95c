"""Rows whose parent is in the legacy file, but not in the target.

An example: `rss_fetch_items` 7 refers to cycle 3, which was deleted in PostgreSQL or is in
quarantine. Item 7 is taken out of the stage and quarantined as `missing_parent`; it is loaded when
cycle 3 comes back: then `children` names it, to be read again.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence

from stillme.transfer.keys import Key
from stillme.transfer.mapped_column import MappedColumn
from stillme.transfer.mapping import TableMapping
from stillme.transfer.postgresql.copy import STAGE, fetch_all, quoted
from stillme.transfer.records.table_job import TableJob
from stillme.transfer.sqlite.reading.stored_rows import RawRow
from stillme.transfer.steps.merging.staging import Merged
from stillme.transfer.steps.rows.unusual_rows import SetAside, key_as_text

FindRaw = Callable[[Iterable[Key]], Iterable[RawRow]]
# Reasons that are found before any reference is looked at.
_FIRST = ("no_key", "missing_column", "refused_by_target", "missing_parent")


def set_orphans_aside(
    alias: str,
    job: TableJob,
    merged: Merged,
    find_raw: FindRaw,
    later: Collection[str] = (),
) -> None:
    """Take staged rows whose parent is not in the target out of the stage.

    For rows of tables that come `later` the caller asks itself, when they are there.
    The ledger may say that the parent was loaded although somebody deleted it in the target.
    `find_raw` gives the raw rows of keys. Stage and parents are asked by two statements, because
    they may be on different nodes.
    """
    while _take_out(alias, job, merged, find_raw, later) and job.mapping.refers_to_itself:
        # What was taken out may have been a parent of what is left.
        continue
    _give_first_reason(alias, job, merged)


def _take_out(
    alias: str, job: TableJob, merged: Merged, find_raw: FindRaw, later: Collection[str]
) -> bool:
    """Whether any row was taken out."""
    mapping = job.mapping
    keys = mapping.key_columns
    some = False
    for column, parent in _references(job):
        if parent.declared_table in later:
            continue
        name = quoted(column.target)
        staged = fetch_all(
            alias,
            f"SELECT DISTINCT {column.shown(name)} FROM {STAGE} WHERE {name} IS NOT NULL",
        )
        lost = _absent(alias, mapping, parent, column, [row[0] for row in staged])
        if not lost:
            continue
        some = True
        orphans = fetch_all(
            alias,
            f"DELETE FROM {STAGE} WHERE {name} = ANY(%s::{column.array}) RETURNING {keys.target()}",
            [lost],
        )
        for raw in find_raw(Key.of(*row) for row in orphans):
            if raw.repeated:
                # It has the key, but is not the row that was staged.
                continue
            key = key_as_text(mapping, raw)
            merged.take_back(key or "")
            merged.note(
                SetAside(key, raw, "missing_parent", column.legacy, parent_sentence(parent))
            )
    return some


def _references(job: TableJob) -> Iterator[tuple[MappedColumn, TableMapping]]:
    """References whose parent table is there; without it the row was set aside before."""
    for column, table in job.mapping.references():
        parent = job.parents[table]
        if table in job.later:
            continue
        if parent is not None and parent.named_by(column) is not None:
            yield column, parent


def _absent(
    alias: str,
    mapping: TableMapping,
    parent: TableMapping,
    column: MappedColumn,
    values: Sequence[int | str],
) -> list[int | str]:
    """Those of a reference's values that the parent table does not have in the target.

    Where the table refers to itself, the staged rows count as present.
    """
    tables = [parent.relation] + [STAGE] * (parent.identity == mapping.identity)
    present = present_parents(alias, parent, column, values, tables)
    return [each for each in values if each not in present]


def present_parents(
    alias: str,
    parent: TableMapping,
    column: MappedColumn,
    values: Sequence[int | str],
    tables: Sequence[str] = (),
) -> set[int | str]:
    """Those of a reference's values that the parent table (or others of its shape) has."""
    named = parent.named_by(column)
    if not values or named is None:
        return set()
    name = quoted(named)
    return {
        row[0]
        for table in tables or [parent.relation]
        for row in fetch_all(
            alias,
            f"SELECT {column.shown(name)} FROM {table} WHERE {name} = ANY(%s::{column.array})",
            [list(values)],
        )
    }


def parent_sentence(parent: TableMapping) -> str:
    """Why such a row is set aside."""
    return f"{parent.target} has no such row any more."


def _give_first_reason(alias: str, job: TableJob, merged: Merged) -> None:
    """Of several reasons the one of the first column counts, as docs/reference/values.md says.

    A row that was set aside for its third column, and whose first one names a missing parent, gets
    the reason `missing_parent`.
    """
    mapping = job.mapping
    places = {column.legacy: place for place, column in enumerate(mapping.columns)}
    for column, parent in _references(job):
        later = {
            place: value
            for place, row in enumerate(merged.set_aside)
            if row.reason not in _FIRST and places[row.column] > places[column.legacy]
            for name, value in row.references
            if name == column.legacy and value is not None
        }
        absent = set(_absent(alias, mapping, parent, column, list(later.values())))
        for place, value in later.items():
            if value in absent:
                row = merged.set_aside[place]
                merged.replace(
                    place,
                    row._replace(
                        reason="missing_parent",
                        column=column.legacy,
                        sentence=parent_sentence(parent),
                    ),
                )
