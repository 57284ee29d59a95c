"""An UPDATE as the old callers knew it: of no row, it takes any value."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.db.models import QuerySet


def update(rows: QuerySet[Any], columns: Callable[[], dict[str, Any]]) -> bool:
    """Set `columns()` in `rows`; False where there is none, True otherwise.

    An unusable value (the ValueError of `columns`) matters only where a row would take it:
    SQLite looked at a value when it had found its row. One statement; a second one to look for the
    row of an unusable value.
    """
    try:
        changes = columns()
    except ValueError:
        if rows.exists():
            raise
        return False
    return bool(rows.update(**changes))
