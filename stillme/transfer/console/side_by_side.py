"""The legacy row beside its target row: as stored, read live and read-only, differences marked."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from django.db import models
from django.db.models.functions import Substr
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from stillme.transfer.console.cells import LONG, Clipped, stored_html, target_html
from stillme.transfer.console.row_verdict import LARGEST, RowVerdict, judge_row
from stillme.transfer.errors import TransferError
from stillme.transfer.legacy import LegacyModel
from stillme.transfer.mapping import EXTRA_COLUMN, TableMapping, map_table
from stillme.transfer.models import KeptCell
from stillme.transfer.raw_cells import Raw
from stillme.transfer.registry import legacy_file, legacy_models
from stillme.transfer.sqlite.connect import open_legacy, quoted
from stillme.transfer.sqlite.schema import read_schema

_MARKS = {
    "same": "✓ same",
    "differs": "≠ differs",
    "repaired": "✎ repaired",
    "unsure": "? not compared",
    "kept": "↳ in legacy_extra",
}
_TABLE = (
    '<div class="console-wide" tabindex="0" role="region" aria-label="Legacy row">'
    '<table class="console-cells"><caption>{}</caption><thead><tr>'
    '<th scope="col">legacy column</th><th scope="col">stored as</th><th scope="col">stored</th>'
    '<th scope="col">target</th><th scope="col">verdict</th></tr></thead>'
    "<tbody>{}</tbody></table></div>"
)
_LINE = (
    '<tr class="console-{}"><th scope="row">{}</th><td><i>{}</i></td><td>{}</td>'
    "<td>{}<br>{}</td><td><strong>{}</strong>{}</td></tr>"
)


@dataclass(frozen=True, slots=True)
class _Found:
    """What the file holds of a row, where it goes, and what the judge says."""

    mapping: TableMapping
    cells: dict[str, tuple[str, Raw]]
    verdict: RowVerdict
    # The bytes of each cell, of which a long one is read only as far as it is shown.
    sizes: dict[str, int]


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
    of_row = KeptCell.objects.filter(table=model._meta.db_table, key=str(row.pk))
    start = Substr("value", 1, LONG + 4, output_field=models.BinaryField())
    kept = of_row.defer("value").annotate(start=start)
    lines = format_html_join("", _LINE, _lines(row, found, {cell.column: cell for cell in kept}))
    return format_html(_TABLE, _caption(found.verdict), lines)


def _caption(verdict: RowVerdict) -> str:
    if verdict.general:
        return " ".join(verdict.general)
    if verdict.differs:
        count = len(verdict.differs)
        return "1 cell differs." if count == 1 else f"{count} cells differ."
    return "Some times are not compared here." if verdict.unsure else "No cell differs."


def _lines(
    row: models.Model, found: _Found, kept: dict[str, KeptCell]
) -> Iterator[tuple[str, str, str, SafeString, str, SafeString, str, SafeString]]:
    fields = {str(f.column): f for f in row._meta.concrete_fields}
    for name, (storage, raw) in found.cells.items():
        column = found.mapping.column(name)
        target = column.target if column else EXTRA_COLUMN
        value = getattr(row, fields[target].attname)
        if column is None:
            value = value.get(name) if isinstance(value, dict) else value
        state = _state(target, found.verdict, kept.get(name), extra=column is None)
        said = found.verdict.differs.get(target, "") if state == "differs" else ""
        original = _original(said, kept.get(name))
        shown, mark = target_html(value), _MARKS[state]
        stored = stored_html(storage, raw, found.sizes[name])
        yield state, name, storage, stored, target, shown, mark, original


def _state(target: str, verdict: RowVerdict, kept: KeptCell | None, *, extra: bool) -> str:
    if target in verdict.differs:
        return "differs"
    if target in verdict.unsure:
        return "unsure"
    if kept is not None:
        return "repaired"
    return "kept" if extra else "same"


def _original(said: str, kept: KeptCell | None) -> SafeString:
    note = format_html("<br>{}", said) if said else SafeString("")
    if kept is None:
        return note
    start = kept.start  # type: ignore[attr-defined]
    value = None if start is None else bytes(start)
    original = stored_html("text", value)
    return format_html(
        "{}<br>{}; original kept, <i>{}</i>: {}", note, kept.reason, kept.storage, original
    )


def _read(model: type[LegacyModel], row: models.Model) -> _Found | None:
    path = legacy_file(model.legacy.file).path
    with closing(open_legacy(path, timeout=1.0)) as connection:
        mapping = map_table(model, read_schema(connection))
        if mapping is None or mapping.key is None:
            return None
        names = [c.legacy for c in mapping.columns] + list(mapping.extra)
        sizes = _ask(connection, mapping, row.pk, [_size(quoted(name)) for name in names])
        if sizes is None:
            return None
        long = sum(sizes) > LARGEST
        wanted = [_cell(quoted(name), long) for name in names]
        rowid = "rowid" if mapping.has_rowid else "NULL"
        found = _ask(connection, mapping, row.pk, [rowid, *wanted])
        if found is None:
            return None
        cells = {name: (found[2 * at + 1], found[2 * at + 2]) for at, name in enumerate(names)}
        # What the target holds is read by the judge as well.
        size = sum(sizes) + sum(v.size for v in vars(row).values() if isinstance(v, Clipped))
        verdict = judge_row(connection, mapping, found[0], cells, size)
        return _Found(mapping, cells, verdict, dict(zip(names, sizes, strict=True)))


def _ask(
    connection: sqlite3.Connection, mapping: TableMapping, key: Any, wanted: list[str]
) -> tuple[Any, ...] | None:
    """Expressions of one row."""
    assert mapping.key is not None
    sql = f"SELECT {', '.join(wanted)} FROM {quoted(mapping.table)} "
    sql += f"WHERE {quoted(mapping.key.legacy)} = ? LIMIT 1"
    found: tuple[Any, ...] | None = connection.execute(sql, (key,)).fetchone()
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
