"""The server crashes and comes back while threads write: no acknowledged write is lost."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import psycopg
import pytest

from stillme.postgresql.cluster import Cluster
from tests.ops.servers import Server, scratch

pytestmark = [pytest.mark.slow, pytest.mark.embedded]
ROOT = Path(__file__).resolve().parents[2]

PROGRAM = """
import json, logging, sys, time
import stillme
stillme.setup()
logging.disable(logging.CRITICAL)
from concurrent.futures import ThreadPoolExecutor
from knowledge.services import KnowledgeRetention
retention = KnowledgeRetention()
print("ready", flush=True)

def write(number):
    kept, refused, back = [], 0, 0
    end = time.monotonic() + 8
    while time.monotonic() < end:
        key = retention.add_knowledge(f"{number}", "s")
        if key > 0:
            kept.append(key)
            back += refused > 0
        else:
            refused += 1
            time.sleep(0.05)
    return kept, refused, back

with ThreadPoolExecutor(8) as threads:
    print(json.dumps(list(threads.map(write, range(8)))))
"""


@pytest.mark.parametrize("pool", ["0", "4"])
def test_a_crash_under_load(pool: str) -> None:
    with scratch() as folder:
        server = Server(Cluster.at(folder / "s"))
        server.cluster.initialise()
        server.start()
        try:
            kept, refused, back = crash_under_load(server, pool)
            with psycopg.connect(server.url) as session:
                found = session.execute("SELECT id FROM knowledge.knowledge_items").fetchall()
        finally:
            server.stop("immediate")
    assert kept <= {key for (key,) in found}
    assert len(kept) > 50
    assert refused > 0
    # Writes went on after the crash, without anybody's help.
    assert back > 20


def crash_under_load(server: Server, pool: str) -> tuple[set[int], int, int]:
    environment = {
        **os.environ,
        "DATABASE_URL": server.url,
        "DB_POOL_MAX_SIZE": pool,
        "DB_POOL_TIMEOUT": "1",
        "SECRET_KEY": "only-for-tests",
        "PYTHONPATH": str(ROOT),
    }
    subprocess.run(
        [sys.executable, "manage.py", "migrate", "-v0"], env=environment, cwd=ROOT, check=True
    )
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM], env=environment, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    time.sleep(2)
    server.stop("immediate")
    # Down for longer than a caller waits for a connection: calls of this time must be refused.
    time.sleep(2)
    server.start()
    written = json.loads(process.communicate(timeout=60)[0])
    kept = {key for keys, _, _ in written for key in keys}
    return kept, sum(row[1] for row in written), sum(row[2] for row in written)
