"""An application like the old one runs on the services while its PostgreSQL is restarted twice.

FastAPI under uvicorn in two processes, a scheduler in a third, each with a pool of two. Every
acknowledged write is there, once; counters equal what they count; no pool was ever exhausted; no
connection is left. `STILLME_LOAD_SECONDS=30 pytest -m slow tests/application` loads it longer.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from threading import Event
from typing import Any

import psycopg
import pytest

from tests.ops.servers import Server, migrated_server, wait_until

pytest.importorskip("fastapi")
pytest.importorskip("uvicorn")
pytest.importorskip("httpx")
from tests.application.clients import Told, client, load

pytestmark = pytest.mark.embedded
ROOT = Path(__file__).resolve().parents[2]
POOL, WEB_PROCESSES, CLIENTS = 2, 2, 6
SECONDS = float(os.environ.get("STILLME_LOAD_SECONDS", "9"))
# Where each kind of write is found again, by its key.
STORED = {
    "items": "SELECT content FROM knowledge.knowledge_items WHERE source = 'application'",
    "burst": "SELECT content FROM knowledge.knowledge_items WHERE source = 'burst'",
    "sessions": "SELECT content_learned FROM knowledge.learning_sessions",
    "scores": "SELECT question FROM accuracy.accuracy_scores",
    "moves": "SELECT reason FROM continuum.tier_audit",
    "fetched": "SELECT item_link FROM rss.fetch_items",
    "vectors": "SELECT embedding_id FROM vector.items",
}
WRONG_COUNTERS = """
    SELECT c.id FROM rss.fetch_cycles c LEFT JOIN rss.fetch_items i ON i.cycle_id = c.id
    GROUP BY c.id HAVING c.items_fetched <> count(i.id)
        OR c.items_added <> count(*) FILTER (WHERE i.status = 'Added to RAG')
        OR c.items_filtered <> count(*) FILTER (WHERE starts_with(i.status, 'Filtered: '))
"""
SCHEDULED = "SELECT count(*) FROM rss.fetch_items WHERE starts_with(item_link, 'scheduler')"
SESSIONS = """
    SELECT count(*) FROM pg_stat_activity
    WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()
"""


@pytest.mark.slow(campaign=True)
def test_the_application_goes_on_while_its_server_is_restarted(migrated_cluster: Path) -> None:
    with migrated_server(migrated_cluster) as (server, folder):
        told, pools = run_application(server, folder, SECONDS)
        wait_until(lambda: server.ask(SESSIONS) == 0)
        check_rows(server, told)
    assert len(pools) == WEB_PROCESSES + 1
    for pool in pools:
        # A caller that waited in vain, or a connection that nobody gave back.
        assert pool.get("requests_errors", 0) == 0, pool
        assert pool["pool_available"] == pool["pool_size"], pool
        assert pool.get("requests_waiting", 0) == 0, pool
        assert pool["pool_size"] <= POOL, pool


def run_application(
    server: Server, folder: Path, seconds: float
) -> tuple[Told, list[dict[str, Any]]]:
    """What clients and scheduler were told under load, and the figures of every pool at the end."""
    environment = environment_of(server, folder)
    with ExitStack() as running:
        webs = [web_process(folder, number, environment) for number in range(WEB_PROCESSES)]
        sockets = [running.enter_context(web) for web in webs]
        cycles = running.enter_context(scheduler(environment))
        wait_until(lambda: server.ask(SCHEDULED))
        with client(sockets[0]) as http:
            cycle = http.post("/cycles").json()
        told, over = Told(), Event()
        with ThreadPoolExecutor(1) as thread:
            loaded = thread.submit(load, sockets, cycle, CLIENTS, told, over)
            try:
                restart_twice(server, seconds, told)
            finally:
                over.set()
            loaded.result()
        assert server.ask(SESSIONS) <= POOL * (WEB_PROCESSES + 1)  # type: ignore[operator]
        scheduled = json.loads(cycles.communicate("", timeout=600)[0])
    told.acknowledged["fetched"].update(scheduled["acknowledged"])
    told.unknown["fetched"].update(scheduled["unknown"])
    reports = [json.loads(path.read_text()) for path in folder.glob("web-*.json")]
    return told, [scheduled["pool"], *reports]


def restart_twice(server: Server, seconds: float, told: Told) -> None:
    """In a load of so many seconds: once in order, once after a crash.

    Each time the application goes on without anybody's help.
    """
    time.sleep(seconds / 3)
    for mode in ("fast", "immediate"):
        server.stop(mode)
        server.start()
        restarted, scheduled = time.monotonic(), server.ask(SCHEDULED)
        time.sleep(seconds / 3)
        wait_until(lambda restarted=restarted: min(told.last.values()) > restarted)
        wait_until(lambda scheduled=scheduled: server.ask(SCHEDULED) > scheduled)


def environment_of(server: Server, folder: Path) -> dict[str, str]:
    return {
        **os.environ,
        "DATABASE_URL": server.url,
        "DB_POOL_MIN_SIZE": "1",
        "DB_POOL_MAX_SIZE": str(POOL),
        "DB_POOL_TIMEOUT": "30",  # also where the machine stands still for a while
        "ENABLE_CONTINUUM_MEMORY": "true",
        "SECRET_KEY": "only-for-tests",
        "PYTHONPATH": str(ROOT),
        "POOL_REPORTS": str(folder),
    }


@contextmanager
def web_process(folder: Path, number: int, environment: dict[str, str]) -> Iterator[Path]:
    """uvicorn behind a socket, once it answers; stopped as a deployment stops it."""
    socket, log = folder / f"web-{number}.sock", folder / f"web-{number}.log"
    command = [sys.executable, "-m", "uvicorn", "tests.application.web:app", "--uds", str(socket)]
    # A loop that waits for the server has not gone idle.
    command += ["--no-access-log", "--timeout-keep-alive", "60"]
    with log.open("w") as output:
        process = subprocess.Popen(
            command, env=environment, cwd=ROOT, stdout=output, stderr=subprocess.STDOUT
        )
        try:
            wait_until(lambda: "startup complete" in log.read_text())
            yield socket
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(300)
    assert "No connection of the pool came free" not in log.read_text()


@contextmanager
def scheduler(environment: dict[str, str]) -> Iterator[subprocess.Popen[str]]:
    """The scheduler's process; ends when its standard input does."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.application.scheduler"],
        env=environment,
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def check_rows(server: Server, told: Told) -> None:
    """Every acknowledged write is there once, and nothing that nobody wrote; counters are exact."""
    with psycopg.connect(server.url) as session:
        for kind, sql in STORED.items():
            found = [key for (key,) in session.execute(sql).fetchall()]  # type: ignore[arg-type]
            acknowledged, unknown = told.acknowledged[kind], told.unknown[kind]
            if kind == "burst":
                acknowledged, unknown = four_of_each(acknowledged), four_of_each(unknown)
            assert len(found) == len(set(found)), kind
            assert acknowledged, kind
            assert acknowledged <= set(found) <= acknowledged | unknown, kind
        assert session.execute(WRONG_COUNTERS).fetchall() == []


def four_of_each(keys: set[str]) -> set[str]:
    """The keys that a burst writes for each of its own."""
    return {f"{key}.{place}" for key in keys for place in range(4)}
