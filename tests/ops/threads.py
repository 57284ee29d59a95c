"""Running the same call in many threads, each with a connection of its own."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from django.db import connections


def in_threads(count: int, call: Callable[[int], Any]) -> list[Any]:
    """`call(number)` in `count` threads; their results. An error of any is raised."""

    def work(number: int) -> Any:
        try:
            return call(number)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(work, range(count)))
