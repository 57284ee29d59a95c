"""The old application's scheduler in small: a process of its own, calls in a coroutine.

Runs cycles until its standard input closes, then says what was acknowledged, what was not, and the
figures of its connection pool.
"""

from __future__ import annotations

import asyncio
import json
import sys
from threading import Event, Thread

import stillme

stillme.setup()

from django.db import Error, connections  # noqa: E402

from rss.services import RSSFetchHistory  # noqa: E402
from tests.pools import pool_becomes_whole  # noqa: E402

history = RSSFetchHistory()
STATUSES = ("Added to RAG", "Filtered: Duplicate", "Filtered: Low Score", "Fetched (not added)")


async def cycles(over: Event) -> dict[str, list[str]]:
    """Cycles of eight items; the keys of those that were stored, and of those that failed."""
    said: dict[str, list[str]] = {"acknowledged": [], "unknown": []}
    number = 0
    while not over.is_set():
        number += 1
        try:
            cycle = history.create_fetch_cycle(number)
        except Error:
            continue
        for place in range(8):
            key = f"scheduler {number}.{place}"
            try:
                history.add_fetch_item(cycle, "t", "f", key, "s", STATUSES[place % 4])
                said["acknowledged"].append(key)
            except Error:
                said["unknown"].append(key)
        history.complete_fetch_cycle(cycle)
        await asyncio.sleep(0.01)
    return said


def main() -> None:
    over = Event()
    Thread(target=lambda: (sys.stdin.read(), over.set()), daemon=True).start()
    said = asyncio.run(cycles(over))
    pool_becomes_whole()
    print(json.dumps({**said, "pool": connections["default"].pool.get_stats()}))


if __name__ == "__main__":
    main()
