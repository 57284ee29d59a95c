"""Rows whose parent is in the legacy file, but not in the target."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from django.db import connections

from stillme.transfer.mapping import MappedColumn, TableMapping
from stillme.transfer.postgresql.copy import STAGE, fetch_all, quoted
from stillme.transfer.sqlite.raw import RawRow
from stillme.transfer.steps.merging.merged import Merged
from stillme.transfer.steps.rows.careful import SetAside, key_as_text
from stillme.transfer.steps.rows.job import Source

FindRaw = Callable[[Iterable[Any]], Iterable[RawRow]]
# Reasons that come before a look at any reference.
_FIRST = ("no_key", "missing_column", "refused_by_target", "missing_parent")


def set_orphans_aside(alias: str, source: Source, merged: Merged, find_raw: FindRaw) -> None:
    """Take staged rows whose parent is not in the target out of the stage.

    The legacy parent may be loaded by the ledger and yet be gone: deleted on the target side.
    `find_raw` gives the raw rows of keys. Stage and parents are asked apart: they may be on
    different nodes.
    """
    mapping = source.job.mapping
    assert mapping.key is not None
    key = quoted(mapping.key.target)
    for column, parent in _references(source):
        name = quoted(column.target)
        staged = fetch_all(
            connections[alias], f"SELECT DISTINCT {name} FROM {STAGE} WHERE {name} IS NOT NULL"
        )
        lost = _absent(alias, parent, [row[0] for row in staged])
        if not lost:
            continue
        orphans = fetch_all(
            connections[alias],
            f"DELETE FROM {STAGE} WHERE {name} = ANY(%s) RETURNING {key}",
            [lost],
        )
        for raw in find_raw(row[0] for row in orphans):
            if raw.repeated:
                # It has the key, but is not the row that was staged.
                continue
            merged.take_back(str(raw.cells[mapping.key.legacy][1]))
            merged.note(_orphan(mapping, raw, column, parent))
    _give_first_reason(alias, source, merged)


def _references(source: Source) -> Iterator[tuple[MappedColumn, TableMapping]]:
    """References whose parent table is there; without it the row was set aside before."""
    for column, table in source.job.mapping.references():
        parent = source.job.parents[table]
        if parent is not None and parent.key is not None:
            yield column, parent


def _absent(alias: str, parent: TableMapping, keys: list[int]) -> list[int]:
    """Those of the keys that the parent table does not have in the target."""
    if not keys:
        return []
    key = _key_of(parent)
    query = f"SELECT {key} FROM {parent.relation} WHERE {key} = ANY(%s)"
    present = {row[0] for row in fetch_all(connections[alias], query, [keys])}
    return [each for each in keys if each not in present]


def _key_of(parent: TableMapping) -> str:
    assert parent.key is not None
    return quoted(parent.key.target)


def _orphan(
    mapping: TableMapping, raw: RawRow, column: MappedColumn, parent: TableMapping
) -> SetAside:
    sentence = f"{parent.target} has no such row any more."
    key = key_as_text(mapping, raw)
    return SetAside(key, raw, "missing_parent", column.legacy, sentence)


def _give_first_reason(alias: str, source: Source, merged: Merged) -> None:
    """A row set aside for a later column lacks a parent first: docs/values.md names that one."""
    mapping = source.job.mapping
    places = {column.legacy: place for place, column in enumerate(mapping.columns)}
    for column, parent in _references(source):
        later = [
            (row, row.raw.cells[column.legacy][1])
            for row in merged.set_aside
            if row.reason not in _FIRST and places[row.column] > places[column.legacy]
        ]
        wanted = [raw for _, raw in later if isinstance(raw, int)]
        absent = set(_absent(alias, parent, wanted))
        for row, raw in later:
            if isinstance(raw, int) and raw in absent:
                merged.replace(row, _orphan(mapping, row.raw, column, parent))
