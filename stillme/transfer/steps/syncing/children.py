"""The children of parents that came or went, found in the target and in its quarantine.

The target has an index for each foreign key. A legacy table need not have one
(`knowledge_relationships` has none): looking there read a whole table for every new parent.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from django.db import connections

from stillme.transfer.identity import OF_TABLE
from stillme.transfer.key_columns import MappedColumn
from stillme.transfer.mapping import TableMapping
from stillme.transfer.models import QuarantinedRow
from stillme.transfer.postgresql.copy import fetch_all, quoted
from stillme.transfer.raw_cells import unpack_cell
from stillme.transfer.sqlite.key_text import Key
from stillme.transfer.steps.syncing.live_file import LiveFile


def children_of(
    alias: str, live: LiveFile, table: str, keys: Sequence[int]
) -> dict[str, list[Key]]:
    """Child table -> keys of its rows that refer to the given rows of `table`."""
    found: dict[str, list[Key]] = {}
    for child, source in live.tables.items():
        mapping = source.job.mapping
        columns = [column for column, parent in mapping.references() if parent == table]
        if mapping.key is None or not columns or not keys:
            continue
        wanted: dict[Key, None] = {}
        for column in columns:
            wanted.update(dict.fromkeys(_loaded(alias, mapping, column, keys)))
            wanted.update(dict.fromkeys(_set_aside(alias, mapping, column, keys)))
        found[child] = list(wanted)
    return found


def _loaded(
    alias: str, mapping: TableMapping, column: MappedColumn, keys: Sequence[int]
) -> list[Key]:
    assert mapping.key is not None
    rows = fetch_all(
        connections[alias],
        f"SELECT {quoted(mapping.key.target)} FROM {mapping.relation} "
        f"WHERE {quoted(column.target)} = ANY(%s)",
        [list(keys)],
    )
    return [row[0] for row in rows]


def _set_aside(
    alias: str, mapping: TableMapping, column: MappedColumn, keys: Sequence[int]
) -> list[Key]:
    assert mapping.key is not None
    rows = fetch_all(
        connections[alias],
        f"SELECT cells -> %s FROM {QuarantinedRow._meta.db_table} WHERE {OF_TABLE} "
        "AND cells -> %s ->> 0 = 'integer' AND (cells -> %s ->> 1)::numeric = ANY(%s)",
        [
            mapping.key.legacy,
            *mapping.identity,
            column.legacy,
            column.legacy,
            list(keys),
        ],
    )
    return [_key(unpack_cell(_parsed(row[0]))) for row in rows]


def _parsed(cell: object) -> list[Any]:
    """A JSON value as the cursor gives it: text, where Django registered no loader."""
    return json.loads(cell) if isinstance(cell, str) else cell  # type: ignore[return-value]


def _key(cell: tuple[str, int | float | bytes | None]) -> Key:
    """As the change log gives it: text as str where it is UTF-8."""
    storage, raw = cell
    if storage == "text" and isinstance(raw, bytes):
        try:
            return raw.decode("utf-8")
        except UnicodeDecodeError:
            return raw
    return raw
