"""How to follow, and what a follower did: plain data."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from stillme.transfer.inventory.selection import Selection
from stillme.transfer.records.outcome import Outcome
from stillme.transfer.steps.replaying.sweep import Swept


@dataclass(frozen=True, slots=True)
class FollowOptions:
    """How to follow. `once` ends when what was there at the start is replayed."""

    selection: Selection = field(default_factory=Selection)
    once: bool = False
    sweep: bool = False
    sweep_every: float = 0.0
    interval: float = 0.05
    batch: int = 100_000
    database: str = "default"


@dataclass(slots=True)
class FileFollowed:
    """What was done for one file; `busy` is the time of the rounds that had changes."""

    file: str
    changes: int = 0
    rounds: int = 0
    outcome: Outcome = field(default_factory=Outcome)
    foreign: int = 0
    busy: float = 0.0
    lags: deque[float] = field(default_factory=lambda: deque(maxlen=100_000))

    @property
    def lag_p99(self) -> float:
        """Seconds from a write to its commit in PostgreSQL."""
        ordered = sorted(self.lags)
        return ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))] if ordered else 0.0


@dataclass(slots=True)
class FollowResult:
    """What a follower did in its life."""

    run_id: int | None
    files: list[FileFollowed] = field(default_factory=list)
    swept: list[Swept] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def bypassed(self) -> bool:
        """Whether a sweep found writes that capture never saw."""
        return any(swept.bypassed for swept in self.swept)

    @property
    def foreign(self) -> int:
        """Rows that somebody else wrote in the target, and that were left as they are."""
        return sum(file.foreign for file in self.files)
