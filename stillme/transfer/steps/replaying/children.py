"""The children of parents that came or went, found in the target and in its quarantine.

The target has an index for each foreign key. A legacy table need not have one
(`knowledge_relationships` has none): looking there read a whole table for every new parent.
"""

from __future__ import annotations

from collections.abc import Sequence

from django.db import connections

from stillme.transfer.identity import OF_TABLE
from stillme.transfer.keys import Key
from stillme.transfer.mapped_column import MappedColumn
from stillme.transfer.mapping import TableMapping
from stillme.transfer.models import QuarantinedRow
from stillme.transfer.plumbing.stored_cells import pack_cell, unpack_json
from stillme.transfer.postgresql.copy import fetch_all, quoted
from stillme.transfer.steps.syncing.live_file import LiveFile


def children_of(
    alias: str, live: LiveFile, table: str, keys: Sequence[Key]
) -> dict[str, list[Key]]:
    """Child table -> keys of its rows that refer to the given rows of `table`."""
    found: dict[str, list[Key]] = {}
    columns_of_key = live.tables[table].job.mapping.key_columns
    wanted_keys = columns_of_key.held(keys) if columns_of_key.is_single else []
    values = [key.values[0] for key in wanted_keys]
    for child, source in live.tables.items():
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
        connections[alias],
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
        connections[alias],
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
