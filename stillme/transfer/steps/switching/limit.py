"""How long a switch may keep writers out: every wait asks here how much time is left.

A wait for a lock of SQLite takes its time-out from `left`. Statements that run in PostgreSQL, and
long ones in SQLite, are cancelled by a thread when the time is up, because a statement that waits
for a lock cannot look at a clock.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable
from contextlib import suppress

import psycopg
from django.db import Error
from django.db.backends.base.base import BaseDatabaseWrapper

from stillme.postgresql.connecting.explain import explain_operational_error
from stillme.transfer.errors import LegacyFileError, TransferError
from stillme.transfer.sqlite.reading.connect import wait_at_most

# The share of the limit, and at most so many seconds, that is kept for letting writers in again.
_KEPT_SHARE, _KEPT_MOST = 0.2, 2.0
_BREAK_OFF_EVERY = 0.2
_CANCEL_PATIENCE = 2.0


LONGEST = 86_400.0


class OverLimit(TransferError):
    """The switch was given up because it kept writers out for too long."""


def check_limit(seconds: float) -> None:
    """Raise TransferError unless a limit is a time that can be waited for."""
    if not 0 < seconds <= LONGEST:
        raise TransferError(
            f"--freeze-limit must be more than 0 and at most {LONGEST:.0f} seconds (a day)."
        )


class Limit:
    """A clock that starts when the first writer is locked out, with `seconds` from then on.

    `what` names the switch in messages, `advice` says what to do when it was given up. The last
    part of the time is kept for undoing: `left` is what the work may still take, `until_end` what
    is left of the whole.
    """

    def __init__(
        self, what: str, seconds: float, advice: str, connection: BaseDatabaseWrapper
    ) -> None:
        self.what = what
        self.seconds = seconds
        self.advice = advice
        self.step = ""
        self._for_work = seconds - min(_KEPT_MOST, seconds * _KEPT_SHARE)
        self._connection = connection
        # When writers were locked out; None before.
        self.began: float | None = None
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None
        self._break_off: list[Callable[[], None]] = []

    def begin(self) -> None:
        """Start the clock, once."""
        if self.began is not None:
            return
        self.began = time.monotonic()
        self._thread = threading.Thread(target=self._watch, name="limit", daemon=True)
        self._thread.start()

    def end(self) -> None:
        """Break nothing off any more: the switch is done, or is being undone."""
        self._stopped.set()
        if self._thread is not None:
            self._thread.join()

    @property
    def spent(self) -> float:
        """Seconds since the clock began."""
        return 0.0 if self.began is None else time.monotonic() - self.began

    @property
    def until_end(self) -> float:
        """Seconds until nobody may be locked out any more; 0 when that is past."""
        return max(0.0, self.seconds - self.spent)

    @property
    def is_over(self) -> bool:
        """Whether the work has used up its time."""
        return self.spent >= self._for_work

    def left(self) -> float:
        """Seconds that the work may still take. Raises OverLimit where there are none."""
        if self.is_over:
            raise OverLimit(self.sentence())
        return self._for_work - self.spent

    def watch(self, connection: sqlite3.Connection) -> None:
        """Let this connection wait for locks, and work, no longer than what is left."""
        wait_at_most(connection, self.left())
        if connection.interrupt not in self._break_off:
            self._break_off.append(connection.interrupt)

    def sentence(self) -> str:
        """Why the switch was given up."""
        return (
            f"The {self.what} would have kept writers out for longer than --freeze-limit "
            f"{self.seconds:g} (it was at: {self.step or 'the freeze'}), and was given up: "
            f"{self.advice}."
        )

    def told(self, error: Exception) -> str:
        """Why the switch failed, as a sentence."""
        if self.ended(error):
            return self.sentence()
        return explain_operational_error(error) if isinstance(error, Error) else str(error)

    def ended(self, error: BaseException) -> bool:
        """Whether the error is what came of breaking something off."""
        broken_off = isinstance(error, (Error, psycopg.Error, sqlite3.Error)) or (
            isinstance(error, LegacyFileError) and "interrupted" in str(error)
        )
        return broken_off and self.is_over

    def _watch(self) -> None:
        """Break off what still runs when the time is up; again, should the next thing wait too."""
        self._stopped.wait(max(0.0, self._for_work - self.spent))
        while not self._stopped.wait(_BREAK_OFF_EVERY):
            session = self._connection.connection
            with suppress(psycopg.Error, OSError):
                if session is not None and not session.closed:
                    session.cancel_safe(timeout=_CANCEL_PATIENCE)
            for break_off in self._break_off:
                # A connection that was closed meanwhile has nothing to break off.
                with suppress(sqlite3.Error):
                    break_off()
