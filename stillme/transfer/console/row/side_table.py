"""The table of a legacy row next to its target row: a line per cell, what differs is marked."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from stillme.pages.cells import LONG, foldable, target_html
from stillme.transfer.models import KeptCell
from stillme.transfer.plumbing.stored_cells import Raw, show_cell
from stillme.transfer.quarantine.reasons import in_words
from stillme.visible import counted

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
class SideCell:
    """A legacy cell, the target column it went to, and the verdict.

    `size` is the number of stored bytes where only the beginning was read, `said` what the judge
    says, `kept` the original of a repaired cell with its beginning as `start`.
    """

    state: str
    name: str
    storage: str
    raw: Raw
    target: str
    value: Any
    size: int | None = None
    said: str = ""
    kept: KeptCell | None = None


def side_table(caption: str, cells: Iterable[SideCell]) -> SafeString:
    """HTML of all cells under a caption."""
    return format_html(_TABLE, caption, format_html_join("", _LINE, map(_line, cells)))


def side_caption(cells: Iterable[SideCell]) -> str:
    """How many differ."""
    states = [cell.state for cell in cells]
    count = states.count("differs")
    if count:
        return counted(count, "cell differs.", "cells differ.")
    return "Some cells are not compared here." if "unsure" in states else "No cell differs."


def _line(
    cell: SideCell,
) -> tuple[str, str, str, SafeString, str, SafeString, str, SafeString]:
    stored = stored_html(cell.storage, cell.raw, cell.size)
    mark, note = _MARKS[cell.state], _note(cell.said, cell.kept)
    shown = target_html(cell.value)
    return cell.state, cell.name, cell.storage, stored, cell.target, shown, mark, note


def _note(said: str, kept: KeptCell | None) -> SafeString:
    note = format_html("<br>{}", said) if said else SafeString("")
    if kept is None:
        return note
    start = kept.start  # type: ignore[attr-defined]
    value = None if start is None else bytes(start)
    original = stored_html("text", value)
    return format_html(
        "{}<br>{} ({}); original kept, <i>{}</i>: {}",
        note,
        in_words(kept.reason),
        kept.reason,
        kept.storage,
        original,
    )


def stored_html(storage: str, raw: Raw, size: int | None = None) -> SafeString:
    """A stored cell; `size` where only its beginning was read."""
    if size is None:
        size = len(raw) if isinstance(raw, bytes) else 0
    clipped = raw[: LONG + 4] if isinstance(raw, bytes) else raw
    return foldable(show_cell(storage, clipped, LONG), f"{size:,} bytes" if size else "")
