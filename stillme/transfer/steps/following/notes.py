"""How to follow, what a follower did, and what it tells and writes down meanwhile."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from django.db import transaction

from stillme.transfer.findings import Event, OnEvent
from stillme.transfer.inventory.selection import Selection
from stillme.transfer.postgresql.locks import require_exclusive
from stillme.transfer.records.outcome import Outcome
from stillme.transfer.registry import LegacyFile
from stillme.transfer.steps.merging.foreign import MOST, sentence
from stillme.transfer.steps.replaying.replay import Replayed
from stillme.transfer.steps.replaying.sweep import Swept
from stillme.transfer.steps.syncing import file_states
from stillme.transfer.steps.syncing.file_condition import measure_lag
from stillme.transfer.steps.syncing.live_file import LiveFile, Round


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
    """What was done for one file."""

    file: str
    changes: int = 0
    rounds: int = 0
    outcome: Outcome = field(default_factory=Outcome)
    foreign: int = 0
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


# One commit for all files: each one waits for the disk, and the changes wait with it.
_EVERY = 1.0


class FollowerNotes:
    """Notes about all files: about once a second, into `transfer.file_state` and as events."""

    def __init__(self, alias: str, files: Sequence[LegacyFile], on_event: OnEvent) -> None:
        self._alias = alias
        self._on_event = on_event
        self.done = {file.name: FileFollowed(file.name) for file in files}
        self._reported = self._signed = -math.inf

    def say(self, message: str) -> None:
        """Tell the operator something."""
        self._on_event(Event("notice", {"message": message}))

    def sign(self, *, ended: bool = False) -> None:
        """Write down that this follower is alive, or that it ends."""
        if not ended and time.monotonic() - self._signed < _EVERY:
            return
        self._signed = time.monotonic()
        require_exclusive(self._alias)
        with transaction.atomic(using=self._alias):
            now = file_states.server_now(self._alias)
            for name in self.done:
                file_states.note(self._alias, name, seen_at=now, ended_at=now if ended else None)

    def report(self, live: Mapping[str, LiveFile], *, force: bool = False) -> None:
        """Tell the lag and write it down, which is a sign of life too."""
        if not force and time.monotonic() - self._reported < _EVERY:
            return
        self._reported = self._signed = time.monotonic()
        require_exclusive(self._alias)
        lags = {name: measure_lag(file, file.standing()) for name, file in live.items()}
        with transaction.atomic(using=self._alias):
            seen_at = file_states.server_now(self._alias)
            for name, (changes, seconds) in lags.items():
                file_states.note(
                    self._alias,
                    name,
                    lag_changes=changes,
                    lag_seconds=round(seconds, 3),
                    replayed=self.done[name].changes,
                    seen_at=seen_at,
                )
        for name, (changes, seconds) in lags.items():
            replayed = self.done[name].changes
            data = {"file": name, "changes": changes, "seconds": seconds, "replayed": replayed}
            self._on_event(Event("lag", data))

    def count(self, found: Round, replayed: Replayed) -> None:
        """Count a round; name the rows that somebody else wrote in PostgreSQL."""
        done = self.done[found.file]
        done.rounds += 1
        done.changes += found.changes
        done.outcome.add(replayed.outcome)
        now = time.time()
        done.lags.extend(max(0.0, now - at) for at in found.times)
        if foreign := replayed.foreign:
            self.say_foreign(foreign)
            done.foreign += sum(map(len, foreign.values()))
            known = file_states.standing(self._alias, found.file).details.get("foreign") or {}
            merged = {t: [*known.get(t, []), *foreign.get(t, [])] for t in {*known, *foreign}}
            short = {table: list(dict.fromkeys(keys))[:MOST] for table, keys in merged.items()}
            file_states.note(self._alias, found.file, foreign=short)

    def say_foreign(self, found: Mapping[str, Sequence[str]]) -> None:
        """Name rows that somebody else wrote, by table."""
        for table, keys in found.items():
            self.say(sentence(table, keys))

    def sweep(self, swept: Swept) -> None:
        """Write down and tell what a sweep of a file found."""
        file_states.note(
            self._alias,
            swept.file,
            swept_at=file_states.server_now(self._alias),
            schema_version=swept.schema_version,
            bypassed={t: k[:20] for t, k in swept.bypassed.items()} or None,
        )
        self._on_event(Event("sweep", {"file": swept.file, "keys": swept.bypassed}))
