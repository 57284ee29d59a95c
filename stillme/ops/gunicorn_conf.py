"""gunicorn, right for the pool: ``gunicorn -c stillme/ops/gunicorn_conf.py stillme.wsgi``.

Workers are processes with a pool each; threads share it. All workers together hold at most
``workers * DB_POOL_MAX_SIZE`` connections, which must stay below the server's max_connections.
"""

from __future__ import annotations

import os
from typing import Any

bind = os.environ.get("BIND", "127.0.0.1:8000")
workers = int(os.environ.get("WEB_CONCURRENCY", "2"))
threads = int(os.environ.get("WEB_THREADS", "8"))
worker_class = "gthread"

# One connection per thread: a thread never waits for another one's, and none lies idle for good.
os.environ.setdefault("DB_POOL_MAX_SIZE", str(threads))

# The application is loaded per worker: a fork would have to close pools first (it does, see
# stillme/postgresql/forks.py), and a reload picks up new code this way.
preload_app = False

# SIGTERM: no new requests, the running ones get this long; then the pools are closed.
graceful_timeout = int(os.environ.get("GRACEFUL_TIMEOUT", "30"))
timeout = int(os.environ.get("WEB_TIMEOUT", "60"))
keepalive = 5
# Against slow leaks; the jitter keeps the workers from leaving together.
max_requests = 10_000
max_requests_jitter = 1_000

# The application writes a line per request itself, with its id (logger `stillme.requests`).
accesslog = None
errorlog = "-"


def worker_exit(server: Any, worker: Any) -> None:
    """Give the server its sessions back instead of letting it find them dead."""
    from django.db import connections

    from stillme.postgresql.forks import close_pools

    connections.close_all()
    close_pools()


def child_exit(server: Any, worker: Any) -> None:
    """Tell Prometheus's files that a worker is gone."""
    if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
        from prometheus_client import multiprocess

        multiprocess.mark_process_dead(worker.pid)  # type: ignore[no-untyped-call]
