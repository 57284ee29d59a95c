"""Reads from streaming replicas, within a request or a task, until it writes.

Outside of a task everything goes to the primary: commands that load and prove must never read a
replica. Within one, reads of the domains go to a replica that is up and not too far behind, and
to the primary once the task has written, and inside transactions. A thread asks the replicas how
they are; one that is dead or lags is left out, and comes back by itself.
"""

from __future__ import annotations

import logging
import os
import random
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import psycopg
from django.conf import settings
from django.db import connections
from django.db.models import Model

logger = logging.getLogger(__name__)

PREFIX = "replica_"
DOMAINS = frozenset(settings.DOMAINS)
CHECK_EVERY = 1.0
CONNECT_TIMEOUT = 2

# A replica without a walreceiver hears nothing of the primary any more, however small its lag
# looks; one that has replayed all it received is 0 behind, however long ago the last write was.
_STATE = """
    SELECT pg_is_in_recovery(), EXISTS (SELECT FROM pg_stat_wal_receiver),
           CASE WHEN pg_last_wal_receive_lsn() = pg_last_wal_replay_lsn() THEN 0
                ELSE coalesce(extract(epoch FROM clock_timestamp()
                                                 - pg_last_xact_replay_timestamp()), 0)
           END::float8
"""


@dataclass(slots=True)
class Task:
    """A request or a piece of work: whether it has written yet."""

    wrote: bool = False


_task: ContextVar[Task | None] = ContextVar("task", default=None)


@contextmanager
def task() -> Iterator[Task]:
    """Reads within may come from a replica, until something within writes."""
    token = _task.set(Task())
    try:
        found = _task.get()
        assert found is not None
        yield found
    finally:
        _task.reset(token)


class Replicas:
    """The replicas of this process, and which of them can be read."""

    def __init__(self) -> None:
        self._problems: dict[str, str] = {}
        self._process = 0
        self._lock = threading.RLock()
        # A fork waits for it: the child would inherit a lock that no thread of its own releases.
        os.register_at_fork(
            before=self._lock.acquire,
            after_in_parent=self._lock.release,
            after_in_child=self._lock.release,
        )

    def aliases(self) -> list[str]:
        """The aliases of all configured replicas."""
        return [alias for alias in settings.DATABASES if alias.startswith(PREFIX)]

    def choose(self) -> str | None:
        """A replica that can be read, or None."""
        aliases = self.aliases()
        if not aliases:
            return None
        self._watch()
        usable = [alias for alias in aliases if self._problems.get(alias) == ""]
        return random.choice(usable) if usable else None  # noqa: S311 - spreads load only

    def states(self) -> dict[str, str]:
        """Each replica: "ok", or why it is left out."""
        if self.aliases():
            self._watch()
        return {alias: self._problems.get(alias) or "ok" for alias in self.aliases()}

    def check(self) -> None:
        """Ask every replica how it is."""
        for alias in self.aliases():
            problem = examine(alias)
            if problem != self._problems.get(alias, ""):
                logger.warning("%s: %s", alias, problem or "is read again")
            self._problems[alias] = problem

    def _watch(self) -> None:
        """Check once, then go on in a thread; a forked process starts its own."""
        if self._process == os.getpid():
            return
        with self._lock:
            if self._process == os.getpid():
                return
            self.check()
            self._process = os.getpid()
            threading.Thread(target=self._go_on, name="replicas", daemon=True).start()

    def _go_on(self) -> None:
        while True:
            time.sleep(CHECK_EVERY)
            self.check()


def examine(alias: str) -> str:
    """Why a replica cannot be read; empty where it can."""
    try:
        with psycopg.connect(**_parameters(alias), autocommit=True) as server:
            row = server.execute(_STATE).fetchone()
    except psycopg.Error as error:
        return f"left out, it does not answer ({type(error).__name__})"
    assert row is not None
    in_recovery, receives, lag = row
    if in_recovery and not receives:
        return "left out, it receives nothing from the primary"
    if lag > settings.REPLICA_MAX_LAG:
        return f"left out, it is {lag:.0f} s behind"
    return ""


def _parameters(alias: str) -> dict[str, Any]:
    entry = settings.DATABASES[alias]
    names = {"host": "HOST", "port": "PORT", "user": "USER", "password": "PASSWORD"}
    given = {name: entry[key] for name, key in names.items() if entry.get(key)}
    options = {k: v for k, v in entry.get("OPTIONS", {}).items() if k not in _DJANGOS_OWN}
    return {**given, **options, "dbname": entry["NAME"], "connect_timeout": CONNECT_TIMEOUT}


_DJANGOS_OWN = frozenset(
    {"pool", "isolation_level", "assume_role", "server_side_binding", "prepare_threshold"}
)

replicas = Replicas()


class ReplicaRouter:
    """Sends reads of the domains to a replica where that is safe."""

    def db_for_read(self, model: type[Model], **hints: Any) -> str | None:
        """A replica within a task that has not written; no opinion otherwise."""
        current = _task.get()
        if current is None or current.wrote or model._meta.app_label not in DOMAINS:
            return None
        if not model._meta.managed:
            # A table of a legacy file.
            return None
        if connections["default"].in_atomic_block:
            return "default"
        # The primary by name: a row that came from a replica would else draw its relations there.
        return replicas.choose() or "default"

    def db_for_write(self, model: type[Model], **hints: Any) -> str | None:
        """From here on the task reads what it has written."""
        current = _task.get()
        if current is not None:
            current.wrote = True
        return "default" if model._meta.app_label in DOMAINS else None

    def allow_relation(self, obj1: Model, obj2: Model, **hints: Any) -> bool | None:
        """A row read from a replica is the primary's row."""
        places = {obj1._state.db or "default", obj2._state.db or "default"}
        target = all(place == "default" or place.startswith(PREFIX) for place in places)
        return True if target else None

    def allow_migrate(self, db: str, app_label: str, **hints: Any) -> bool | None:
        """A replica migrates with its primary."""
        return False if db.startswith(PREFIX) else None
