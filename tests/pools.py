"""A connection pool on the default alias, for the length of a test."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connections

from tests.ops.servers import wait_until

PATIENCE = 60.0  # seconds; a machine that stands still for a few is no failure


@contextmanager
def pool_of(size: int) -> Iterator[None]:
    """The default alias with a pool of so many, as the settings would make it."""
    settings = connections["default"].settings_dict
    before = dict(settings["OPTIONS"]), settings["CONN_MAX_AGE"]
    connections["default"].close()
    settings["OPTIONS"]["pool"] = {"min_size": 1, "max_size": size, "timeout": PATIENCE}
    settings["CONN_MAX_AGE"] = 0
    try:
        yield
    finally:
        connections["default"].close()
        connections["default"].close_pool()
        settings["OPTIONS"], settings["CONN_MAX_AGE"] = before


def pool_becomes_whole() -> None:
    """Wait until nobody has a session of the pool; it opens some in threads of its own."""
    stats = connections["default"].pool.get_stats
    wait_until(lambda: stats()["pool_available"] == stats()["pool_size"], PATIENCE)
