"""What a page shows of a row is made once: unfold's template asks for a field five times."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def once(row: Any, name: str, make: Callable[[], Any]) -> Any:
    """What `make` gives, kept with the row under the name."""
    kept: dict[str, Any] = row.__dict__.setdefault("_made_once", {})
    if name not in kept:
        kept[name] = make()
    return kept[name]
