"""Ending a follower within seconds of a SIGTERM, whatever it is in the middle of.

The follower looks at the event between two parts of its work. A single statement may take longer,
or wait for a lock in PostgreSQL: then it is cancelled. Nothing is lost, because rows and position
commit together: the next follower does the round again.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import psycopg
from django.db import OperationalError, connections

from stillme.transfer.errors import LegacyFileError
from stillme.transfer.findings import Event, OnEvent
from stillme.transfer.plumbing.interrupts import Stop
from stillme.transfer.steps.following.follower import Follower, Stopped

GRACE = 2.0
_AGAIN = 0.5


def until(stop: Stop, on_event: OnEvent) -> OnEvent:
    """`on_event`, but it raises Stopped once `stop` is set."""

    def watched(event: Event) -> None:
        if stop.is_set():
            raise Stopped
        on_event(event)

    return watched


@contextmanager
def cancelling(stop: Stop, alias: str, follower: Follower) -> Iterator[None]:
    """Cancel what still runs some seconds after `stop` was set, and raise Stopped for its error."""
    ended = threading.Event()
    connection = connections[alias]

    def watch() -> None:
        while not ended.wait(_AGAIN):
            if stop.is_set() and not ended.wait(GRACE):
                break
        while not ended.wait(_AGAIN):
            for live in list(follower.live.values()):
                live.connection.interrupt()
            if isinstance(connection.connection, psycopg.Connection):
                with suppress(psycopg.Error):
                    connection.connection.cancel()

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield
    except (OperationalError, sqlite3.OperationalError, LegacyFileError) as error:
        if not (stop.is_set() and _is_cancelled(error)):
            raise
        # A late request to cancel must not hit what comes next.
        connection.close()
        raise Stopped from error
    finally:
        ended.set()
        watcher.join()


def _is_cancelled(error: BaseException) -> bool:
    cause = error.__cause__ or error
    if isinstance(cause, psycopg.errors.QueryCanceled):
        return True
    return isinstance(cause, sqlite3.OperationalError) and "interrupted" in str(cause)
