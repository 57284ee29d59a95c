"""Single cells: whether a kept cell is the stored one, and how a value is shown in a finding."""

from __future__ import annotations

import struct
from typing import Any

from stillme.transfer.models import KeptCell
from stillme.transfer.plumbing.stored_cells import Raw
from stillme.transfer.verify.kinds.huge_text import HugeText


def show_tree(tree: Any) -> str | None:
    """A tree for a person's eyes."""
    try:
        return show(tree)
    except RecursionError:
        return "a deeply nested document"


def same_raw(noted: tuple[str, Raw] | None, stored: tuple[Any, ...]) -> bool:
    """Whether a cell that was set aside is the stored one."""
    if noted is None or noted[0] != stored[0]:
        return False
    if isinstance(stored[1], HugeText):
        return stored[1].is_same(noted[1])
    if isinstance(stored[1], float):
        return isinstance(noted[1], float) and noted[1].hex() == stored[1].hex()
    return bool(noted[1] == stored[1])


def same_kept(cell: KeptCell, storage: str, raw: Raw) -> bool:
    """Whether the original that was kept of a cell is the stored one."""
    if cell.storage != storage:
        return False
    value = None if cell.value is None else bytes(cell.value)
    if isinstance(raw, bytes) or raw is None:
        return value == raw
    text = (value or b"").decode("ascii", "replace")
    if isinstance(raw, float):
        return text == raw.hex()
    return text == str(raw)


def show(value: Any) -> str:
    """A value for a person's eyes."""
    if value is None:
        return "NULL"
    if isinstance(value, bytes) and len(value) == 8:
        return repr(struct.unpack(">d", value)[0])
    text = repr(value)
    return text if len(text) <= 120 else text[:117] + "..."
