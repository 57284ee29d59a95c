"""A process that is no Django project: one call, then services in threads and under asyncio."""

from __future__ import annotations

import subprocess
import sys

import pytest

pytestmark = pytest.mark.django_db(transaction=True)

PROGRAM = """
import asyncio, os
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
import stillme
stillme.setup()
stillme.setup()
from asgiref.sync import sync_to_async
from django.db import connections
from knowledge.services import KnowledgeRetention
from rss.services import RSSFetchHistory

assert datetime.now().astimezone().utcoffset().total_seconds() == 7 * 3600
retention, history = KnowledgeRetention(), RSSFetchHistory()
with ThreadPoolExecutor(8) as threads:
    keys = list(threads.map(lambda n: retention.add_knowledge(f"t{n}", "s"), range(40)))
assert min(keys) > 0

async def main():
    add = sync_to_async(retention.add_knowledge, thread_sensitive=False)
    return await asyncio.gather(*(add(f"a{n}", "s") for n in range(40)))

assert min(asyncio.run(main())) > 0

async def endpoint(n):
    return retention.add_knowledge(f"e{n}", "s")  # as the old application does

async def endpoints():
    keys = await asyncio.gather(*(endpoint(n) for n in range(5)))
    item = history.add_fetch_item(history.create_fetch_cycle(0), "t", "f", "l", "s", "x")
    assert history.get_latest_fetch_items()[0]["id"] == item
    return keys

assert min(asyncio.run(endpoints())) > 0
cycle = history.create_fetch_cycle(1)
now = datetime.now()
history.add_fetch_item(cycle, "t", "f", "l", "s", "Added to RAG", added_to_rag_at=now.isoformat())
row = history.get_latest_fetch_items()[0]
assert row["added_to_rag_at"] == now.isoformat(), row
assert now.isoformat() <= row["fetch_timestamp"] <= datetime.now().isoformat(), row
stats = connections["default"].pool.get_stats()
assert stats["pool_size"] <= 4, stats
print(len(keys))
"""


def test_one_call_sets_it_up(target_environment: dict[str, str]) -> None:
    environment = {
        **target_environment,
        "TZ": "Asia/Ho_Chi_Minh",
        "DB_POOL_MAX_SIZE": "4",
        "LEGACY_TIME_ZONE": "auto",
    }
    environment.pop("DJANGO_SETTINGS_MODULE")
    ended = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert ended.stdout.strip() == "40", ended.stderr
    assert "Traceback" not in ended.stderr
