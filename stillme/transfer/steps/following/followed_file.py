"""What a follower remembers of one file from round to round, and how fast it goes on it.

A file that is locked is tried again after 0.1 s, then 0.2 s, and so on up to 5 s. A round takes
25,000 changes at first; one that took 20 s for 10,000 changes is followed by rounds of 2,500, so
that the follower can end, and give a sign of life, every few seconds.
"""

from __future__ import annotations

import random
import sqlite3
import time

from stillme.transfer.sqlite.capture.log import trim
from stillme.transfer.sqlite.reading.connect import explain
from stillme.transfer.steps.syncing.file_states import Standing
from stillme.transfer.steps.syncing.live_file import LiveFile

_TRIM_EVERY, _TRIM_CHANGES = 10.0, 20_000
_FIRST_WAIT, _LONGEST_WAIT = 0.1, 5.0
_LONG_ROUND = 5.0
_FEWEST, _FIRST = 100, 25_000


class Pace:
    """The pace on one file. No round takes more than `most` changes."""

    def __init__(self, most: int) -> None:
        self._most = most
        self.limit = min(_FIRST, most)
        self._until, self._wait = 0.0, _FIRST_WAIT

    @property
    def is_waiting(self) -> bool:
        """Whether the file was locked a moment ago."""
        return time.monotonic() < self._until

    def wait(self) -> float:
        """Note that the file is locked; the seconds until it is tried again."""
        # Jitter, so that followers and writers do not meet in step again and again.
        pause = self._wait * random.uniform(0.5, 1.5)  # noqa: S311
        self._until = time.monotonic() + pause
        self._wait = min(self._wait * 2, _LONGEST_WAIT)
        return pause

    def go_on(self) -> None:
        """Note that the file is free."""
        self._until, self._wait = 0.0, _FIRST_WAIT

    def note_round(self, changes: int, seconds: float) -> None:
        """Take as many changes in the next round as fit into some seconds."""
        if changes < self.limit and seconds <= _LONG_ROUND:
            # Of few changes most of the time is not theirs: they tell nothing of a full round.
            return
        fitting = int(changes * _LONG_ROUND / max(seconds, 0.001))
        self.limit = max(_FEWEST, min(fitting, 4 * self.limit, self._most))


class FollowedFile:
    """One file between two rounds.

    `version` is the file's `data_version` when no change was left; `swept_under` the schema version
    under which the last sweep, or the load, read the file; `decided` is what the target was written
    under.
    """

    def __init__(self, live: LiveFile, stand: Standing, most: int) -> None:
        self.live = live
        self.decided = live.decisions
        self.swept_under = int(stand.details.get("schema_version", -1))
        self.version: int | None = None
        self.pace = Pace(most)
        self._stamp: int | None = None
        self._trimmed_at, self._trimmed_to = time.monotonic(), stand.position

    def new_version(self) -> int | None:
        """The file's version now; None where it is the one that was seen, with no change left.

        A file whose time on disk has changed is looked at through a fresh connection too. Raises
        StateError where it is not the file that was followed, LegacyFileError where it cannot be
        read now.
        """
        self.live.check_place()
        stamp = self.live.file.path.stat().st_mtime_ns
        try:
            if self._stamp != stamp and self.live.is_wal:
                self.live.check_disk()
            version = self.live.data_version()
        except sqlite3.Error as error:
            # Locked, or a writer was killed: its journal is there until somebody writes.
            raise explain(self.live.file.path, error) from error
        self._stamp = stamp
        return None if version == self.version else version

    def may_be_trimmed(self, position: int) -> bool:
        """Whether enough was replayed since the log was trimmed, or long enough ago."""
        grown = position - self._trimmed_to
        return grown > _TRIM_CHANGES or (
            grown > 0 and time.monotonic() - self._trimmed_at > _TRIM_EVERY
        )

    def trim(self, stand: Standing) -> None:
        """Delete the replayed changes from the log; they are on disk in PostgreSQL."""
        self.live.check_place()
        history = (self.live.followed or "", stand.details.get("witness"))
        trim(self.live.file.path, stand.position, history=history)
        self._trimmed_at, self._trimmed_to = time.monotonic(), stand.position
