"""What other apps show on the page of a row.

The migration engine adds one panel, the legacy row as stored: ``add_panel("legacy_row", "legacy row
as stored", legacy_html)``. Without the engine a row's page has its own columns and nothing else.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.contrib import admin

from stillme.pages.once import once

_panels: dict[str, Callable[[Any], str]] = {}


def add_panel(name: str, title: str, html: Callable[[Any], str]) -> None:
    """Show `html(row)` below the columns of every row; a second one of the name takes its place."""

    @admin.display(description=title)
    def shown(row: Any) -> str:
        made: str = once(row, name, lambda: html(row))
        return made

    shown.__name__ = name
    _panels[name] = shown


def panels() -> list[Callable[[Any], str]]:
    """The panels, as read-only fields of an admin page."""
    return list(_panels.values())
