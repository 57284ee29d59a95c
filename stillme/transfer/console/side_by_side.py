"""The legacy row behind a target row, as stored, read live and read-only from its file."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import Any

from django.db.models import Model
from django.utils.html import format_html, format_html_join

from stillme.transfer.errors import TransferError
from stillme.transfer.legacy import LegacyModel
from stillme.transfer.models import KeptCell
from stillme.transfer.raw_cells import Raw, show_cell
from stillme.transfer.registry import legacy_file, legacy_models
from stillme.transfer.sqlite.connect import open_legacy, quoted

# A stored text may have megabytes; the page shows its beginning.
CLIP = 2000


def legacy_table(row: Model) -> str:
    """HTML: column, storage class, stored value, and whether the import repaired it."""
    model = next((m for m in legacy_models() if m.target_model() is type(row)), None)
    if model is None:
        return "No legacy table belongs to this one."
    try:
        cells = _stored(model, row.pk)
    except (TransferError, sqlite3.Error) as error:
        return f"The legacy file cannot be read: {error}"
    if cells is None:
        return "The legacy file holds no row with this key."
    kept = KeptCell.objects.filter(table=model._meta.db_table, key=str(row.pk))
    reasons = dict(kept.values_list("column", "reason"))
    lines = [(n, s, show_cell(s, raw, CLIP), _mark(reasons.get(n))) for n, s, raw in cells]
    body = format_html_join(
        "", "<tr><th>{}</th><td><i>{}</i></td><td><code>{}</code></td><td>{}</td></tr>", lines
    )
    return format_html("<details><summary>Show</summary><table>{}</table></details>", body)


def _mark(reason: str | None) -> str:
    return f"repaired: {reason}" if reason else ""


def _stored(model: type[LegacyModel], key: Any) -> list[tuple[str, str, Raw]] | None:
    table = model._meta.db_table
    own = next(str(c.column) for c in model.columns() if c.primary_key)
    with closing(open_legacy(legacy_file(model.legacy.file).path, timeout=1.0)) as connection:
        found = connection.execute("SELECT name FROM pragma_table_info(?)", (table,))
        names = [str(name) for (name,) in found]
        picked = ", ".join(_cell(quoted(name)) for name in names)
        sql = f"SELECT {picked} FROM {quoted(table)} WHERE {quoted(own)} = ? LIMIT 1"
        row = connection.execute(sql, (key,)).fetchone() if names else None
    if row is None:
        return None
    return [(name, row[2 * at], row[2 * at + 1]) for at, name in enumerate(names)]


def _cell(name: str) -> str:
    """Storage class and value; text as bytes, since it need not be UTF-8."""
    start = f"substr(CAST({name} AS BLOB), 1, {CLIP})"
    kind = f"typeof({name})"
    return f"{kind}, CASE WHEN {kind} IN ('text', 'blob') THEN {start} ELSE {name} END"
