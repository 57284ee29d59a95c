"""The two clocks of the old application and the three formats in which it writes them.

S is SQLite's CURRENT_TIMESTAMP: UTC, whole seconds, a space. L is `datetime.now().isoformat()`:
local and naive, with a `T`, and without a fraction when the microsecond happens to be 0. P is the
isoformat of a caller's own datetime, which may carry an offset.
"""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta, timezone

START = datetime(2025, 11, 5, 1, 23, 45, 678901)
"""First moment in every sample, UTC. Fixed: a sample never depends on the day it is made."""

SPAN = timedelta(days=56)
"""What the samples cover: long enough for every era of the status words."""


def utc_seconds(moment: datetime) -> str:
    """Format S of a UTC moment."""
    return moment.strftime("%Y-%m-%d %H:%M:%S")


def local_iso(moment: datetime, offset: timedelta) -> str:
    """Format L: what a naive local clock at this offset says at a UTC moment."""
    return (moment + offset).isoformat()


def aware_iso(moment: datetime, offset: timedelta) -> str:
    """Format P with an offset."""
    return moment.replace(tzinfo=UTC).astimezone(timezone(offset)).isoformat()


def a_little_before(moment: datetime, rng: random.Random, most_ms: int = 20) -> datetime:
    """The Python clock was read some milliseconds before SQLite's."""
    return moment - timedelta(microseconds=rng.randrange(500, most_ms * 1000))


def whole_second(moment: datetime) -> datetime:
    """The one moment in a million whose isoformat has no fraction."""
    return moment.replace(microsecond=0)


class Ticks:
    """Ascending UTC moments that spread `count` events over the span of the samples."""

    def __init__(
        self,
        rng: random.Random,
        count: int,
        start: datetime = START,
        span: timedelta = SPAN,
    ) -> None:
        self._rng = rng
        self._now = start
        self._mean = span.total_seconds() / max(count, 1)
        self._made = 0

    def next(self) -> datetime:
        """The next moment; every 41st falls on a whole second."""
        self._now += timedelta(microseconds=int(self._rng.uniform(0.1, 1.9) * self._mean * 1e6) + 1)
        self._made += 1
        return whole_second(self._now) if self._made % 41 == 0 else self._now
