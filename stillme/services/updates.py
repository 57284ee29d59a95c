"""An UPDATE as in SQLite: if it finds no row, it accepts any value."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.db.models import QuerySet


def update(rows: QuerySet[Any], columns: Callable[[], dict[str, Any]]) -> bool:
    """Set `columns()` in `rows`. Returns whether there was a row.

    An unusable value (the ValueError of `columns`) is raised only if there is a row: SQLite looked
    at a value after it had found the row. That takes one statement, and for an unusable value one
    more.
    """
    try:
        changes = columns()
    except ValueError:
        if rows.exists():
            raise
        return False
    return bool(rows.update(**changes))
