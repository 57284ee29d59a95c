"""Work on many short-lived objects without Python's search for reference cycles.

Parsing 800 documents makes some thousand dicts and lists, and every 700 of them start a search. As
nothing parsed refers to itself, there is nothing to find. Measured on 160,000 documents: 0.40
microseconds each instead of 0.97.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def no_search_for_cycles() -> Iterator[None]:
    """Postpone the search until the work is done."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
