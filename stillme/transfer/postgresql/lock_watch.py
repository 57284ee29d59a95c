"""Saying for whom a command waits in PostgreSQL.

A lock that somebody else holds (a `psql` that was left open, a stuck VACUUM FULL) is waited for
without an end where no LOCK_TIMEOUT is set, and the waiting session can say nothing. So the
sessions of a command and of its workers bear its name, and a thread with a session of its own asks
every few seconds whether one of them waits for a session that does not.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from django.db import DEFAULT_DB_ALIAS, Error, connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created

from stillme.postgresql.statements import fetch_all

# Seconds between two looks, and how long a wait must last to be worth a line.
EVERY = 5.0
_WORTH = 2.0
# PostgreSQL's longest name.
_LONGEST = 63

_NAME = "SELECT set_config('application_name', right(%s, %s), false)"
# `pg_blocking_pids` has 0 for a prepared transaction, which is no session. Another role's session
# shows its user only.
_WAITING = """
SELECT DISTINCT coalesce(l.relation::regclass::text, 'rows'), p.pid, a.usename::text,
    nullif(a.application_name, ''), a.state, to_char(a.xact_start AT TIME ZONE 'UTC', 'HH24:MI:SS')
FROM pg_stat_activity AS w
JOIN pg_locks AS l ON l.pid = w.pid AND NOT l.granted
CROSS JOIN LATERAL unnest(pg_blocking_pids(w.pid)) AS p (pid)
LEFT JOIN pg_stat_activity AS a ON a.pid = p.pid
WHERE w.application_name = right(%s, %s) AND a.application_name IS DISTINCT FROM w.application_name
AND w.datname = current_database() AND l.waitstart < clock_timestamp() - %s * interval '1 second'
ORDER BY 2, 1
"""

# No process is forked during a look: it would have the locks that the thread holds, for ever.
_LOOKING = threading.Lock()
os.register_at_fork(
    before=_LOOKING.acquire,
    after_in_parent=_LOOKING.release,
    after_in_child=_LOOKING.release,
)


@contextmanager
def telling_waits(what: str, say: Callable[[str], None]) -> Iterator[None]:
    """While the block runs, say once for whom each wait of this process's sessions is.

    `what` names the sessions (``manage.py import_sqlite``). `say` is called in another thread.
    """
    watch = _Watch(f"{what} {os.getpid()}", say)
    connection_created.connect(watch.on_session)
    try:
        yield
    finally:
        connection_created.disconnect(watch.on_session)
        watch.end()


class _Watch:
    """Begins with the first session, so that a command without one opens none."""

    def __init__(self, name: str, say: Callable[[str], None]) -> None:
        self._name = name
        self._say = say
        self._process = os.getpid()
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None

    def on_session(self, sender: Any, connection: BaseDatabaseWrapper, **_: Any) -> None:
        """A receiver of Django's `connection_created`, in worker processes too.

        A pooler of transactions would give the name to others.
        """
        pooled = connection.settings_dict.get("DISABLE_SERVER_SIDE_CURSORS")
        if connection.alias != DEFAULT_DB_ALIAS or connection.vendor != "postgresql" or pooled:
            return
        if threading.current_thread() is self._thread:
            return
        fetch_all(connection, _NAME, [self._name, _LONGEST])
        if self._thread is None and os.getpid() == self._process:
            self._thread = threading.Thread(target=self._look, name="lock watch", daemon=True)
            self._thread.start()

    def end(self) -> None:
        """End the thread; not waited for where it cannot reach the server."""
        self._ended.set()
        if self._thread is not None:
            self._thread.join(1.0)

    def _look(self) -> None:
        told: set[str] = set()
        connection = None
        try:
            while not self._ended.wait(EVERY):
                with _LOOKING:
                    connection = connection or connections[DEFAULT_DB_ALIAS].copy()
                    for row in fetch_all(connection, _WAITING, [self._name, _LONGEST, _WORTH]):
                        if (sentence := _sentence(*row)) not in told:
                            told.add(sentence)
                            self._say(sentence)
        except (Error, OSError):
            # No session left, the server is gone, or nobody reads: the command meets that itself.
            return
        finally:
            if connection is not None:
                connection.close()


def _sentence(
    locked: str, pid: int, user: str | None, program: str | None, state: str | None, since: str
) -> str:
    if not pid:
        return (
            f"Waiting for a prepared transaction, which has locked {locked}: see "
            "pg_prepared_xacts, then COMMIT PREPARED or ROLLBACK PREPARED it."
        )
    known = (user and f"user {user}", program, state, since and f"since {since} UTC")
    who = ", ".join(part for part in known if part)
    return (
        f"Waiting for session {pid} of the server ({who}), which has locked {locked}: "
        f"end what it does, or SELECT pg_terminate_backend({pid})."
    )
