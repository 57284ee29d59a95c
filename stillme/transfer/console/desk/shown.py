"""A stored cell as a form shows it, and whether the form can give it back unchanged."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from stillme.transfer.plumbing.stored_cells import unpack_anything

# Bytes. What is longer is saved as a file, not shown in a form.
LONGEST = 100_000
_NOT_SHOWN = "The cell is a {} that a form does not show: what you type replaces it."
_LONG = f"The cell has more than {LONGEST:,} bytes and is not shown: what you type replaces it."
_CHANGED = (
    "The text as stored, but for what a form cannot hold: U+FFFD stands for U+0000 and for bytes "
    "that are not UTF-8, a line break for a carriage return. Saving it writes it as shown."
)


@dataclass(frozen=True, slots=True)
class ShownCell:
    """`text` as a form has it; `note` says what is lost in it, "" where nothing is."""

    storage: str
    text: str
    note: str = ""


def shown_cell(packed: Any) -> ShownCell:
    """How a form shows a cell of a quarantined row."""
    storage, raw = unpack_anything(packed)
    if raw is None:
        return ShownCell("null", "")
    if not isinstance(raw, bytes):
        return ShownCell(storage, repr(raw))
    if storage != "text":
        return ShownCell("text", "", _NOT_SHOWN.format(storage))
    if len(raw) > LONGEST:
        return ShownCell("text", "", _LONG)
    text = raw.decode("utf-8", "replace").replace("\0", "\ufffd")
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    return ShownCell("text", text, "" if text.encode() == raw else _CHANGED)
