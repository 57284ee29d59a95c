"""Rows whose parent is in the legacy file, but not in the target.

An example: `rss_fetch_items` 7 refers to cycle 3, which was deleted in PostgreSQL or is in
quarantine. Item 7 is taken out of the stage and quarantined as `missing_parent`; it is loaded when
cycle 3 comes back: then `children_of` names it, to be read again.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from stillme.transfer.identity import OF_TABLE
from stillme.transfer.keys import Key
from stillme.transfer.mapped_column import MappedColumn
from stillme.transfer.mapping import TableMapping
from stillme.transfer.models import QuarantinedRow
from stillme.transfer.plumbing.stored_cells import pack_cell, unpack_json
from stillme.transfer.postgresql.copy import STAGE, fetch_all, quoted
from stillme.transfer.sqlite.reading.stored_rows import RawRow
from stillme.transfer.steps.merging.staging import Merged
from stillme.transfer.steps.rows.table_source import Source, TableSource
from stillme.transfer.steps.rows.unusual_rows import SetAside, key_as_text

FindRaw = Callable[[Iterable[Key]], Iterable[RawRow]]
# Reasons that are found before any reference is looked at.
_FIRST = ("no_key", "missing_column", "refused_by_target", "missing_parent")


def set_orphans_aside(
    alias: str,
    source: Source,
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
    while _take_out(alias, source, merged, find_raw, later) and source.job.mapping.refers_to_itself:
        # What was taken out may have been a parent of what is left.
        continue
    _give_first_reason(alias, source, merged)


def _take_out(
    alias: str, source: Source, merged: Merged, find_raw: FindRaw, later: Collection[str]
) -> bool:
    """Whether any row was taken out."""
    mapping = source.job.mapping
    keys = mapping.key_columns
    some = False
    for column, parent in _references(source):
        if parent.declared_table in later:
            continue
        name = quoted(column.target)
        staged = fetch_all(
            alias,
            f"SELECT DISTINCT {column.shown(name)} FROM {STAGE} WHERE {name} IS NOT NULL",
        )
        lost = _absent(alias, mapping, parent, [row[0] for row in staged])
        if not lost:
            continue
        some = True
        orphans = fetch_all(
            alias,
            f"DELETE FROM {STAGE} WHERE {name} = ANY(%s::{parent.key_columns.columns[0].array}) "
            f"RETURNING {keys.target()}",
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


def _references(source: Source) -> Iterator[tuple[MappedColumn, TableMapping]]:
    """References whose parent table is there; without it the row was set aside before."""
    for column, table in source.job.mapping.references():
        parent = source.job.parents[table]
        if table in source.job.later:
            continue
        if parent is not None and parent.key_columns.is_single:
            yield column, parent


def _absent(
    alias: str, mapping: TableMapping, parent: TableMapping, keys: Sequence[int | str]
) -> list[int | str]:
    """Those of the keys that the parent table does not have in the target.

    Where the table refers to itself, the staged rows count as present.
    """
    if not keys:
        return []
    among, values = parent.key_columns.target_among([(key,) for key in keys])
    key = parent.key_columns.target()
    tables = [parent.relation] + [STAGE] * (parent.identity == mapping.identity)
    present = {
        row[0]
        for table in tables
        for row in fetch_all(alias, f"SELECT {key} FROM {table} WHERE {among}", values)
    }
    return [each for each in keys if each not in present]


def parent_sentence(parent: TableMapping) -> str:
    """Why such a row is set aside."""
    return f"{parent.target} has no such row any more."


def _give_first_reason(alias: str, source: Source, merged: Merged) -> None:
    """Of several reasons the one of the first column counts, as docs/reference/values.md says.

    A row that was set aside for its third column, and whose first one names a missing parent, gets
    the reason `missing_parent`.
    """
    mapping = source.job.mapping
    places = {column.legacy: place for place, column in enumerate(mapping.columns)}
    for column, parent in _references(source):
        later = {
            place: value
            for place, row in enumerate(merged.set_aside)
            if row.reason not in _FIRST and places[row.column] > places[column.legacy]
            for name, value in row.references
            if name == column.legacy and value is not None
        }
        absent = set(_absent(alias, mapping, parent, list(later.values())))
        for place, value in later.items():
            if value in absent:
                row = merged.set_aside[place]
                merged.replace(
                    place,
                    replace(
                        row,
                        reason="missing_parent",
                        column=column.legacy,
                        sentence=parent_sentence(parent),
                    ),
                )


def children_of(
    alias: str, sources: Mapping[str, TableSource], table: str, keys: Sequence[Key]
) -> dict[str, list[Key]]:
    """Child table -> keys of its rows that refer to the given rows of `table`.

    In the target and in its quarantine: the target has an index for each foreign key. A legacy
    table need not have one (`knowledge_relationships` has none): looking there read a whole table
    for every new parent.
    """
    found: dict[str, list[Key]] = {}
    columns_of_key = sources[table].job.mapping.key_columns
    wanted_keys = columns_of_key.held(keys) if columns_of_key.is_single else []
    values = [key.values[0] for key in wanted_keys]
    for child, source in sources.items():
        mapping = source.job.mapping
        columns = [column for column, parent in mapping.references() if parent == table]
        if not mapping.key_columns or not columns or not values:
            continue
        wanted: dict[Key, None] = {}
        for column in columns:
            wanted.update(dict.fromkeys(_loaded(alias, mapping, column, values)))
            wanted.update(dict.fromkeys(_set_aside(alias, mapping, column, wanted_keys)))
        found[child] = list(wanted)
    return found


def _loaded(
    alias: str, mapping: TableMapping, column: MappedColumn, keys: Sequence[int | str]
) -> list[Key]:
    rows = fetch_all(
        alias,
        f"SELECT {mapping.key_columns.target()} FROM {mapping.relation} "
        f"WHERE {quoted(column.target)} = ANY(%s::{column.array})",
        [list(keys)],
    )
    return [Key.of(*row) for row in rows]


def _set_aside(
    alias: str, mapping: TableMapping, column: MappedColumn, keys: Sequence[Key]
) -> list[Key]:
    parts = ", ".join("cells -> %s" for _ in mapping.key_columns)
    rows = fetch_all(
        alias,
        f"SELECT {parts} FROM {QuarantinedRow._meta.db_table} WHERE {OF_TABLE} "
        "AND cells -> %s ->> 0 = %s AND cells -> %s ->> 1 = ANY(%s::text[])",
        [
            *mapping.key_columns.names,
            *mapping.identity,
            column.legacy,
            column.kind.storage,
            column.legacy,
            [str(pack_cell(*key.parts[0])[1]) for key in keys],
        ],
    )
    return [Key(tuple(map(unpack_json, row))) for row in rows]
