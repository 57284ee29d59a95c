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

from tests.ops.servers import Server, migrated_server

pytestmark = [pytest.mark.slow(campaign=True), pytest.mark.embedded]
ROOT = Path(__file__).resolve().parents[2]

# Writes until its standard input closes; says after each write how many were kept, refused, and
# kept by a thread that had been refused before.
PROGRAM = """
import json, logging, sys, time
import stillme
stillme.setup()
logging.disable(logging.CRITICAL)
from concurrent.futures import ThreadPoolExecutor
from threading import Event, Lock
from knowledge.services import KnowledgeRetention
retention, over, lock = KnowledgeRetention(), Event(), Lock()
kept, counts = [], {"kept": 0, "refused": 0, "back": 0}

def write(number):
    refused = False
    while not over.is_set():
        key = retention.add_knowledge(f"{number}", "s")
        with lock:
            if key > 0:
                kept.append(key)
                counts["kept"] += 1
                counts["back"] += refused
            else:
                counts["refused"] += 1
                refused = True
            print(json.dumps(counts), flush=True)
        if key < 0:
            time.sleep(0.05)

with ThreadPoolExecutor(8) as threads:
    ends = [threads.submit(write, number) for number in range(8)]
    sys.stdin.read()
    over.set()
for end in ends:
    end.result()
print(json.dumps(kept))
"""


@pytest.mark.parametrize("pool", ["0", "4"])
def test_a_crash_under_load(migrated_cluster: Path, pool: str) -> None:
    with migrated_server(migrated_cluster) as (server, _):
        kept = crash_under_load(server, pool)
        with psycopg.connect(server.url) as session:
            found = session.execute("SELECT id FROM knowledge.knowledge_items").fetchall()
    assert kept <= {key for (key,) in found}


def crash_under_load(server: Server, pool: str) -> set[int]:
    """What was acknowledged before and after a crash. Writes must go on without anybody's help."""
    environment = {
        **os.environ,
        "DATABASE_URL": server.url,
        "DB_POOL_MAX_SIZE": pool,
        "DB_POOL_TIMEOUT": "1",
        "SECRET_KEY": "only-for-tests",
        "PYTHONPATH": str(ROOT),
    }
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        follow(process, "kept", 50)
        server.stop("immediate")
        # While it is down callers are refused, once they have waited for a connection.
        follow(process, "refused", 8)
        server.start()
        follow(process, "back", 20)
        *_, last = process.communicate(timeout=600)[0].splitlines()
    finally:
        process.kill()
    return set(json.loads(last))


def follow(process: subprocess.Popen[str], name: str, enough: int) -> None:
    """Read what the program says until one of its counts is high enough."""
    assert process.stdout is not None
    deadline = time.monotonic() + 120
    for line in process.stdout:
        if json.loads(line)[name] >= enough:
            return
        assert time.monotonic() < deadline, f"only {line}"
    raise AssertionError("The program ended.")
