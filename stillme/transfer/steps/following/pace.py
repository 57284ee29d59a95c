"""How fast a follower goes on one file: it waits for a locked one, and keeps its rounds short.

A file that is locked is tried again after 0.1 s, then 0.2 s, and so on up to 5 s. A round takes
25,000 changes at first; one that took 20 s for 10,000 changes is followed by rounds of 2,500, so
that the follower can end, and give a sign of life, every few seconds.
"""

from __future__ import annotations

import random
import time

_FIRST_WAIT, _LONGEST_WAIT = 0.1, 5.0
_LONG_ROUND = 5.0
_FEWEST = 100
_FIRST = 25_000


class Pace:
    """The pace on one file. No round takes more than `most` changes."""

    def __init__(self, most: int) -> None:
        self._most = most
        self.limit = min(_FIRST, most)
        self._until = 0.0
        self._wait = _FIRST_WAIT

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
