"""The panel that the engine adds to every target row's page: the legacy row as stored."""

from __future__ import annotations

from typing import Any

from stillme.transfer.console.row.side_by_side import legacy_table
from stillme.transfer.inventory.stores import stores


def legacy_html(row: Any) -> str:
    """HTML, read live from the legacy file or store, which is never written."""
    for store in stores():
        if (shown := store.legacy_html(row)) is not None:
            return shown
    return legacy_table(row)
