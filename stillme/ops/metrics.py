"""Figures for Prometheus: requests by view, and the connection pools.

With several worker processes set PROMETHEUS_MULTIPROC_DIR to an empty directory; any worker then
answers for all of them. The figures of the pools are those of the worker that answers.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

from django.conf import settings
from django.db.backends.postgresql.base import DatabaseWrapper
from django.http import Http404, HttpRequest, HttpResponse
from django.utils.crypto import constant_time_compare
from prometheus_client import (
    CONTENT_TYPE_LATEST,
    REGISTRY,
    CollectorRegistry,
    Counter,
    Histogram,
    generate_latest,
    multiprocess,
)
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

REQUESTS = Counter("stillme_http_requests", "Requests answered.", ["method", "view", "status"])
SECONDS = Histogram("stillme_http_request_seconds", "Time to answer a request.", ["view"])

# psycopg's name of a figure -> what it is.
POOL_FIGURES = {
    "pool_size": "Connections the pool has.",
    "pool_available": "Connections that are free.",
    "requests_waiting": "Threads that wait for a connection.",
    "requests_errors": "Requests for a connection that ended without one.",
    "connections_lost": "Connections found dead.",
}


class PoolCollector(Collector):
    """The state of each connection pool of this process."""

    def collect(self) -> Iterator[Metric]:
        """One gauge per figure, labelled with the database alias."""
        pools = dict(DatabaseWrapper._connection_pools)  # type: ignore[attr-defined]
        found = {alias: pool.get_stats() for alias, pool in pools.items()}
        for name, meaning in POOL_FIGURES.items():
            gauge = GaugeMetricFamily(f"stillme_db_{name}", meaning, labels=["database"])
            for alias, stats in found.items():
                gauge.add_metric([alias], stats.get(name, 0))
            yield gauge


def _may_read(request: HttpRequest) -> bool:
    """Whether the request has the token METRICS_TOKEN, or comes from a member of the staff."""
    token: str = settings.METRICS_TOKEN
    given = request.headers.get("Authorization", "")
    if token and constant_time_compare(given, f"Bearer {token}"):
        return True
    return request.user.is_active and request.user.is_staff


_pools = PoolCollector()
REGISTRY.register(_pools)


def metrics(request: HttpRequest) -> HttpResponse:
    """The page that Prometheus reads; for whoever may not, there is no such page."""
    if not _may_read(request):
        raise Http404
    if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
        registry = CollectorRegistry()
        multiprocess.MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        registry.register(_pools)
        return HttpResponse(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)
    return HttpResponse(generate_latest(REGISTRY), content_type=CONTENT_TYPE_LATEST)
