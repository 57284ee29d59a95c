"""Quarantine records of changed rows, where several rows can have one key.

A table without a primary key may hold a key twice. An untyped key column may hold 7 and '7', of
which only 7 is a key of the target. A text key column may hold a blob whose bytes are another row's
text. The cells of the whole row tell such rows apart.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Sequence
from typing import Any

from stillme.transfer.mapping import TableMapping
from stillme.transfer.models import QuarantinedRow
from stillme.transfer.plumbing.stored_cells import pack_cell, unpack_cell
from stillme.transfer.sqlite.reading.connect import quoted
from stillme.transfer.sqlite.reading.stored_rows import RawRow, is_stored, stored_rowids
from stillme.transfer.steps.rows.table_source import TableSource
from stillme.transfer.steps.rows.unusual_rows import key_as_text


def unloaded_keys(alias: str, source: TableSource, rows: Sequence[RawRow]) -> list[str]:
    """The keys (as text) among `rows` none of whose rows was loaded.

    `rows` are all rows that the legacy file has of their keys, and were applied just now. Records
    of rows that the file no longer has are deleted. A key that only reads like one (a blob, text
    that is not UTF-8) is left out: the target's row with that text belongs to another row.
    """
    mapping = source.job.mapping
    loaded: dict[str, list[dict[str, list[Any]]]] = {}
    real = set()
    for row in rows:
        key = key_as_text(mapping, row)
        if key is not None:
            loaded.setdefault(key, []).append(packed_cells(row))
            if mapping.key_columns.in_target(mapping.key_columns.of_cells(row.cells)) is not None:
                real.add(key)
    every = {key: list(cells) for key, cells in loaded.items()}
    for record in _undone(alias, mapping, rows, list(loaded)):
        key = str(record.key)
        if record.cells in loaded[key]:
            loaded[key].remove(record.cells)
            continue
        cells = {name: unpack_cell(cell) for name, cell in record.cells.items()}
        if record.cells in every[key] or not is_stored(
            source.connection, mapping, cells, record.rowid
        ):
            record.delete(using=alias)
    return [key for key, left in loaded.items() if not left and key in real]


def drop_records(alias: str, source: TableSource, keys: Sequence[str]) -> None:
    """Delete the records of rows of these keys that the legacy no longer has."""
    mapping = source.job.mapping
    if mapping.key_is_rowid:
        mapping.identity.of(QuarantinedRow.objects.using(alias)).filter(key__in=keys).delete()
        return

    def there(cells: dict[str, list[Any]]) -> list[int | None]:
        unpacked = {name: unpack_cell(cell) for name, cell in cells.items()}
        return stored_rowids(source.connection, mapping, unpacked)

    _drop_surplus(alias, mapping, there, key__in=keys)


def drop_keyless(alias: str, source: TableSource) -> None:
    """The same for rows without a key. They are read once, because no index finds them."""
    mapping = source.job.mapping
    null = mapping.key_columns.legacy_null(quoted(mapping.table))
    rows = [(row.rowid, packed_cells(row)) for row in source.raw.where(null)]
    known = {*(c.legacy for c in mapping.columns), *mapping.extra}
    by_shape: dict[frozenset[str], dict[str, list[int | None]]] = {}

    def there(cells: dict[str, list[Any]]) -> list[int | None]:
        shape = frozenset(cells.keys() & known)
        if shape not in by_shape:
            found = by_shape.setdefault(shape, {})
            for rowid, packed in rows:
                found.setdefault(_text(packed, shape), []).append(rowid)
        return by_shape[shape].get(_text(cells, shape), [])

    _drop_surplus(alias, mapping, there, key=None)


def _drop_surplus(
    alias: str,
    mapping: TableMapping,
    there: Callable[[dict[str, list[Any]]], list[int | None]],
    **which: Any,
) -> None:
    """Keep one record per stored row and delete the surplus; `there` gives rowids of such rows."""
    found = mapping.identity.of(QuarantinedRow.objects.using(alias))
    same: dict[str, list[QuarantinedRow]] = {}
    for record in found.filter(**which).order_by("pk"):
        same.setdefault(_text(record.cells, record.cells.keys()), []).append(record)
    surplus: list[int] = []
    for records in same.values():
        rowids = there(records[0].cells)
        present = set(rowids)
        records.sort(key=lambda record: record.rowid not in present)
        surplus += [record.pk for record in records[len(rowids) :]]
    found.filter(pk__in=surplus).delete()


def packed_cells(row: RawRow) -> dict[str, list[Any]]:
    """The cells as a record keeps them."""
    return {name: pack_cell(*cell) for name, cell in row.cells.items()}


def _text(cells: dict[str, list[Any]], names: Collection[str]) -> str:
    return json.dumps({name: cells[name] for name in names}, sort_keys=True)


def _undone(
    alias: str, mapping: TableMapping, rows: Sequence[RawRow], keys: Sequence[str]
) -> list[QuarantinedRow]:
    """Records that set a row aside; of equal ones those at the rowid of one of `rows` first."""
    records = mapping.identity.of(QuarantinedRow.objects.using(alias)).filter(key__in=keys)
    here = {row.rowid for row in rows}
    undone = records.exclude(status=QuarantinedRow.Status.REPAIRED)
    return sorted(undone, key=lambda record: record.rowid not in here)
