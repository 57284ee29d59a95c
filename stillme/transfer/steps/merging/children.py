"""The rows that refer to given ones: they are read again when those come or go.

A row is referred to by its key, or by a unique column (Django's `to_field`). So what a table's rows
are known by is a set of pairs: ``("", Key.of(7))`` and ``("code", Key.of("vi"))`` are one row.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

from stillme.transfer.identity import OF_TABLE
from stillme.transfer.keys import Key
from stillme.transfer.mapped_column import MappedColumn
from stillme.transfer.mapping import TableMapping
from stillme.transfer.models import QuarantinedRow
from stillme.transfer.plumbing.stored_cells import pack_cell, unpack_json
from stillme.transfer.postgresql.copy import fetch_all, quoted
from stillme.transfer.steps.merging.differing_keys import present_keys
from stillme.transfer.steps.rows.table_source import TableSource

# The column of the parent ("" for its key), and the value.
Known = tuple[str, Key]


def known_by(
    alias: str, sources: Mapping[str, TableSource], table: str, keys: Collection[Key]
) -> set[Known]:
    """What references name of those of the keys' rows that the target has; nothing if none does."""
    mapping = sources[table].job.mapping
    references = [
        column
        for source in sources.values()
        for column, parent in source.job.mapping.references()
        if parent == table
    ]
    if not references:
        return set()
    found: set[Known] = {("", key) for key in present_keys(alias, mapping, keys)}
    for column in {column.names: column for column in references if column.names}.values():
        named = mapping.named_by(column)
        if named is None:
            continue
        among, values = mapping.key_columns.target_among(mapping.key_columns.held(keys))
        query = f"SELECT {column.shown(quoted(named))} FROM {mapping.relation} WHERE {among}"
        rows = fetch_all(alias, query, values)
        found |= {(column.names, Key.of(row[0])) for row in rows if row[0] is not None}
    return found


def children_of(
    alias: str, sources: Mapping[str, TableSource], table: str, rows: Iterable[Known]
) -> dict[str, list[Key]]:
    """Child table -> keys of its rows that refer to the given rows of `table`.

    In the target and in its quarantine: the target has an index for each foreign key. A legacy
    table need not have one (`knowledge_relationships` has none): looking there read a whole table
    for every new parent.
    """
    found: dict[str, list[Key]] = {}
    columns_of_key = sources[table].job.mapping.key_columns
    known: dict[str, list[Key]] = {}
    for name, key in rows:
        known.setdefault(name, []).append(key)
    if columns_of_key.is_single:
        known[""] = columns_of_key.held(known.get("", ()))
    for child, source in sources.items():
        mapping = source.job.mapping
        columns = [
            (column, keys)
            for column, parent in mapping.references()
            if parent == table and (keys := known.get(column.names))
        ]
        if not mapping.key_columns or not columns or not columns_of_key.is_single:
            continue
        wanted: dict[Key, None] = {}
        for column, keys in columns:
            values = [key.values[0] for key in keys]
            wanted.update(dict.fromkeys(_loaded(alias, mapping, column, values)))
            wanted.update(dict.fromkeys(_set_aside(alias, mapping, column, keys)))
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
