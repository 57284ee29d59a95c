"""The legacy row next to its target row: as stored, read live and read-only, differences marked."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from django.db import models
from django.db.models.functions import Substr

from stillme.pages.cells import LONG, Clipped
from stillme.transfer.console.row.side_table import SideCell, side_caption, side_table
from stillme.transfer.console.row.verdict import LARGEST, RowVerdict, judge_row
from stillme.transfer.errors import TransferError
from stillme.transfer.identity import TableId
from stillme.transfer.inventory.stores import stores
from stillme.transfer.keys import Key
from stillme.transfer.legacy import LegacyModel
from stillme.transfer.mapping import EXTRA_COLUMN, TableMapping, map_table
from stillme.transfer.models import KeptCell
from stillme.transfer.plumbing.stored_cells import Raw
from stillme.transfer.registry import legacy_file, legacy_models
from stillme.transfer.sqlite.copying.utf16 import UTF_8, utf8_bytes
from stillme.transfer.sqlite.reading.connect import open_legacy, quoted
from stillme.transfer.sqlite.schema.found import read_schema

# A legacy table has fewer columns.
MOST_KEPT = 500


@dataclass(frozen=True, slots=True)
class _Found:
    """What the file holds of a row, where it goes, and what the judge says."""

    mapping: TableMapping
    cells: dict[str, tuple[str, Raw]]
    verdict: RowVerdict
    # The bytes of each cell, of which a long one is read only as far as it is shown.
    sizes: dict[str, int]


def legacy_html(row: Any) -> str:
    """The panel of a target row's page, read live from the legacy file or store."""
    shown = (store.legacy_html(row) for store in stores())
    return next((html for html in shown if html is not None), None) or legacy_table(row)


def legacy_table(row: models.Model) -> str:
    """HTML: cell by cell, what is stored, what the target holds, and whether that is right."""
    model = next((m for m in legacy_models() if m.target_model() is type(row)), None)
    if model is None:
        return "No legacy table belongs to this one."
    try:
        found = _read(model, row)
    except (TransferError, sqlite3.Error) as error:
        return f"The legacy file cannot be read: {error}"
    if found is None:
        return "The legacy file holds no row with this key."
    kept = kept_cells(model.identity(), Key.of_pk(row.pk).spelled() or "")
    cells = list(_cells(row, found, kept))
    return side_table(" ".join(found.verdict.general) or side_caption(cells), cells)


def kept_cells(table: TableId, key: str) -> dict[str, KeptCell]:
    """The repaired cells of a row by column; of their originals only what a page shows."""
    start = Substr("value", 1, LONG + 4, output_field=models.BinaryField())
    of_row = table.of(KeptCell.objects.filter(key=key)).defer("value").annotate(start=start)
    return {cell.column: cell for cell in of_row[:MOST_KEPT]}


def _cells(row: models.Model, found: _Found, kept: dict[str, KeptCell]) -> Iterator[SideCell]:
    fields = {str(f.column): f for f in row._meta.concrete_fields}
    for name, (storage, raw) in found.cells.items():
        column = found.mapping.column(name)
        target = column.target if column else EXTRA_COLUMN
        value = getattr(row, fields[target].attname)
        if column is None:
            value = value.get(name) if isinstance(value, dict) else value
        state = _state(target, found.verdict, kept.get(name), extra=column is None)
        said = found.verdict.differs.get(target, "") if state == "differs" else ""
        size = found.sizes[name]
        yield SideCell(state, name, storage, raw, target, value, size, said, kept.get(name))


def _state(target: str, verdict: RowVerdict, kept: KeptCell | None, *, extra: bool) -> str:
    if target in verdict.differs:
        return "differs"
    if target in verdict.unsure:
        return "unsure"
    if kept is not None:
        return "repaired"
    return "kept" if extra else "same"


def _read(model: type[LegacyModel], row: models.Model) -> _Found | None:
    path = legacy_file(model.legacy.file).path
    with closing(open_legacy(path, timeout=1.0)) as connection:
        mapping = map_table(model, read_schema(connection))
        if mapping is None or not mapping.key_columns:
            return None
        key = Key.of_pk(row.pk)
        names = [c.legacy for c in mapping.columns] + list(mapping.extra)
        sizes = _ask(connection, mapping, key, [_size(quoted(name)) for name in names])
        if sizes is None:
            return None
        long = sum(sizes) > LARGEST
        wanted = [_cell(quoted(name), long) for name in names]
        rowid = "rowid" if mapping.has_rowid else "NULL"
        found = _ask(connection, mapping, key, [rowid, *wanted])
        if found is None:
            return None
        cells = {name: (found[2 * at + 1], found[2 * at + 2]) for at, name in enumerate(names)}
        _spell_in_utf8(connection, cells)
        # What the target holds is read by the judge as well.
        size = sum(sizes) + sum(v.size for v in vars(row).values() if isinstance(v, Clipped))
        verdict = judge_row(connection, mapping, found[0], cells, size)
        return _Found(mapping, cells, verdict, dict(zip(names, sizes, strict=True)))


def _spell_in_utf8(connection: sqlite3.Connection, cells: dict[str, tuple[str, Raw]]) -> None:
    """The texts of a file in UTF-16 as a snapshot would have them."""
    encoding = connection.execute("PRAGMA encoding").fetchone()[0]
    if encoding == UTF_8:
        return
    for name, (storage, raw) in cells.items():
        if storage == "text" and isinstance(raw, bytes):
            cells[name] = (storage, utf8_bytes(raw, encoding))


def _ask(
    connection: sqlite3.Connection, mapping: TableMapping, key: Key, wanted: list[str]
) -> tuple[Any, ...] | None:
    """Expressions of one row."""
    # By the key's index only where that is in an order that this SQLite knows.
    sought = "" if mapping.key_is_in_order else "+"
    where, values = mapping.key_columns.legacy_is(key, sought=sought)
    sql = f"SELECT {', '.join(wanted)} FROM {quoted(mapping.table)} WHERE {where} LIMIT 1"
    found: tuple[Any, ...] | None = connection.execute(sql, values).fetchone()
    return found


def _size(name: str) -> str:
    return (
        f"CASE WHEN typeof({name}) IN ('text', 'blob') THEN length(CAST({name} AS BLOB)) ELSE 0 END"
    )


def _cell(name: str, long: bool) -> str:
    """Storage class and value; text as bytes, since it need not be UTF-8."""
    kind, raw = f"typeof({name})", f"CAST({name} AS BLOB)"
    if long:
        raw = f"substr({raw}, 1, {LONG + 4})"
    return f"{kind}, CASE WHEN {kind} IN ('text', 'blob') THEN {raw} ELSE {name} END"
