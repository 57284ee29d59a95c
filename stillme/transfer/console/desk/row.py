"""A quarantined row as HTML: each cell as stored, with its bytes and its edit."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import quote

from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from stillme.transfer.console.row.side_table import stored_html
from stillme.transfer.models import QuarantinedRow
from stillme.transfer.plumbing.stored_cells import cell_bytes, unpack_anything
from stillme.transfer.registry import legacy_models

HEX = 64
_TABLE = (
    '<div class="console-wide" tabindex="0" role="region" aria-label="Row as stored">'
    '<table class="console-cells"><thead><tr><th scope="col">column</th>'
    '<th scope="col">stored as</th><th scope="col">stored</th><th scope="col">bytes</th>'
    '<th scope="col">edit</th></tr></thead><tbody>{}</tbody></table></div>'
)
_LINE = (
    '<tr class="{}"><th scope="row">{}</th><td><i>{}</i></td><td>{}</td><td>{}</td><td>{}</td></tr>'
)


def stored_row(row: QuarantinedRow) -> SafeString:
    """Cell by cell; the one at fault is marked, an edit stands next to its original."""
    return format_html(_TABLE, format_html_join("", _LINE, _lines(row)))


def _lines(
    row: QuarantinedRow,
) -> Iterator[tuple[str, SafeString, str, SafeString, SafeString, SafeString]]:
    for name in _declared_order(row):
        packed = row.cells[name]
        storage, raw = unpack_anything(packed)
        at_fault = name == row.column
        title = format_html("{}<br><strong>✗ fault</strong>", name) if at_fault else name
        kept = cell_bytes(storage, raw) if isinstance(raw, bytes) else None
        edit = row.repairs.get(name)
        edited = stored_html(*unpack_anything(edit)) if edit else SafeString("")
        mark = "console-differs" if at_fault else ""
        shown = stored_html(storage, raw)
        yield mark, format_html("{}", title), storage, shown, _bytes(row, name, kept), edited


def _declared_order(row: QuarantinedRow) -> list[str]:
    """The columns as the legacy table declares them, undeclared ones last; jsonb has its own."""
    models = (m for m in legacy_models() if m.identity() == (row.file, row.table))
    declared = [str(f.column) for model in models for f in model._meta.concrete_fields]
    return [n for n in declared if n in row.cells] + [n for n in row.cells if n not in declared]


def _bytes(row: QuarantinedRow, name: str, kept: bytes | None) -> SafeString:
    """How many, the first of them, and the way to all."""
    if kept is None:
        return SafeString("")
    address = reverse("admin:transfer_quarantinedrow_cell", args=[row.pk])
    more = "…" if len(kept) > HEX else ""
    return format_html(
        '<details><summary>{}</summary><code>{}{}</code></details><a href="{}?column={}">save</a>',
        f"{len(kept):,}",
        kept[:HEX].hex(" "),
        more,
        address,
        quote(name, safe=""),
    )
