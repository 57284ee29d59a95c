"""The follower: round after round over all files, patient with locked ones."""

from __future__ import annotations

import math
import random
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from django.db import transaction

from stillme.transfer.errors import LegacyFileError, StateError
from stillme.transfer.findings import Event, OnEvent
from stillme.transfer.live_identity import place, require_place
from stillme.transfer.models import Run
from stillme.transfer.registry import LegacyFile
from stillme.transfer.sqlite.capture.log import trim
from stillme.transfer.steps.merging.foreign import MOST, sentence
from stillme.transfer.steps.syncing import states
from stillme.transfer.steps.syncing.decision_watch import DecisionWatch
from stillme.transfer.steps.syncing.decisions import (
    Change,
    change_between,
    change_since,
    loaded_signature,
)
from stillme.transfer.steps.syncing.file_clock import (
    clock_problem,
    require_zone,
    unknown_offsets,
)
from stillme.transfer.steps.syncing.follow_result import FileFollowed, FollowOptions, FollowResult
from stillme.transfer.steps.syncing.foreign_writes import settle_foreign
from stillme.transfer.steps.syncing.live_file import LiveFile, Round, same_file
from stillme.transfer.steps.syncing.read_again import read_again
from stillme.transfer.steps.syncing.replay import Replayed, replay_round
from stillme.transfer.steps.syncing.same_history import require_capture
from stillme.transfer.steps.syncing.states import Standing, State
from stillme.transfer.steps.syncing.sweep import Swept, sweep_file

_LONGEST_WAIT = 5.0
_TRIM_EVERY = 10.0
_REPORT_EVERY = 1.0
# A round that took longer is followed by smaller ones: a follower must be able to end.
_LONG_ROUND = 5.0
_FEWEST = 100
_FIRST = 25_000


class Stopped(Exception):
    """The follower was told to end in the middle of something that can be done again."""


class Follower:
    """The rounds over all files. The caller holds the follower's lock."""

    def __init__(
        self, options: FollowOptions, files: Sequence[LegacyFile], run: Run, on_event: OnEvent
    ) -> None:
        self.alias = options.database
        self.options = options
        self.files = files
        self.run_id = run.pk
        self.on_event = on_event
        self.live: dict[str, LiveFile] = {}
        self.done = {file.name: FileFollowed(file.name) for file in files}
        self.positions: dict[str, int] = {}
        self._versions: dict[str, int] = {}
        self._stamps: dict[str, int] = {}
        self._waits: dict[str, tuple[float, float]] = {}
        self._trimmed: dict[str, tuple[float, int]] = {}
        # The schema version under which the last sweep, or the load, read each file.
        self._swept: dict[str, int] = {}
        self._reported = self._signed = -math.inf
        self._sweeping = False
        # A cut-over has the files to itself, but for the application: no trim then.
        self.keeps_log = False
        self._limits = {file.name: min(_FIRST, options.batch) for file in files}
        self.stop = threading.Event()
        self.on_round: Callable[[Round], None] = lambda found: None
        self.on_decision: Callable[[LiveFile], None] = lambda live: None
        self._watches: dict[str, DecisionWatch] = {}
        self._told: set[str] = set()

    def open(self) -> None:
        """Open every file, check that it is the one that was followed, set its state."""
        for file in self.files:
            live = LiveFile(file, self.run_id, alias=self.alias, overwrite=False)
            self.live[file.name] = live
            check_followable(self.alias, live)
        self._settle_restored()
        for file in self.files:
            live = self.live[file.name]
            stand = states.standing(self.alias, file.name)
            identity = str(stand.details.get("capture_id", ""))
            live.follow_from(identity, stand.position, stand.details.get("witness"))
            judged = stand.details.get("decided") or loaded_signature(self.alias, file.name)
            if judged is not None:
                now, schema = live.decisions, live.schema.digest
                self._read_again(live, change_since(judged, now, live.mappings, schema))
            self._watches[file.name] = DecisionWatch(live.decisions, live.mappings)
            tables = list(live.mappings.values())
            self._tell_offsets(clock_problem(self.alias, file.name, live.connection, tables))
            decided = live.decisions.signature()
            with transaction.atomic(using=self.alias):
                # A ledger of an earlier version knows the path only.
                known = {} if "inode" in stand.details else place(file.path)
                seen_at = states.server_now(self.alias)
                states.move(
                    self.alias, file.name, State.FOLLOWING,
                    decided=decided, seen_at=seen_at, ended_at=None, **known,
                )  # fmt: skip
            self._swept[file.name] = int(stand.details.get("schema_version", -1))
            self.positions[file.name] = stand.position
            self._trimmed[file.name] = (time.monotonic(), stand.position)

    def _settle_restored(self) -> None:
        """In a database restored from a dump nobody knows who wrote the rows: compare them."""
        stands = states.standings(self.alias, list(self.live))
        if not any("restored" in stand.details for stand in stands.values()):
            return
        message = "The database was restored from a dump: comparing every row with the files."
        self.on_event(Event("notice", {"message": message}))
        self._tell(settle_foreign(self.alias, list(self.live.values()), self._breathe))

    def _breathe(self) -> None:
        """Between two parts of a long work: give a sign of life, end where it was told to."""
        if self.stop.is_set():
            raise Stopped
        self.sign()

    def _tell(self, foreign: dict[str, list[str]]) -> None:
        for table, keys in foreign.items():
            self.on_event(Event("notice", {"message": sentence(table, keys)}))

    def close(self) -> None:
        """Close the files."""
        for live in self.live.values():
            live.close()

    def run(self, stop: threading.Event) -> FollowResult:
        """Rounds until told to stop, or drained."""
        self.stop = stop
        result = FollowResult(self.run_id, list(self.done.values()))
        goals = {name: live.log.last() for name, live in self.live.items()}
        next_sweep = time.monotonic() + self.options.sweep_every
        while not stop.is_set():
            replayed = sum(self.step(name) for name in self.live)
            self.report()
            if self.options.once and all(self.positions[n] >= goals[n] for n in goals):
                break
            if self.options.sweep_every and (time.monotonic() >= next_sweep or self.sweep_is_due()):
                result.swept += self.sweep()
                next_sweep = time.monotonic() + self.options.sweep_every
            if not replayed:
                stop.wait(self.options.interval)
        if self.options.sweep and not stop.is_set():
            result.swept += self.sweep()
        self.trim_all()
        self.report(force=True)
        self.sign(ended=True)
        return result

    def step(self, name: str) -> int:
        """One round on one file: the number of changes replayed. A locked file waits its turn."""
        until, wait = self._waits.get(name, (0.0, 0.1))
        if time.monotonic() < until:
            return 0
        try:
            replayed = self._round(name)
        except LegacyFileError as error:
            if "is locked" not in str(error):
                raise
            # Jitter, so that followers and writers do not meet in step again and again.
            pause = wait * random.uniform(0.5, 1.5)  # noqa: S311
            self._waits[name] = (time.monotonic() + pause, min(wait * 2, _LONGEST_WAIT))
            message = f"{name}: the file is locked, trying again in {pause:.1f} s."
            self.on_event(Event("notice", {"message": message}))
            return 0
        self._waits.pop(name, None)
        return replayed

    def _round(self, name: str) -> int:
        live = self.live[name]
        live.check_place()
        self._check_rewritten(live)
        version = live.data_version()
        if version == self._versions.get(name):
            return 0
        began = time.monotonic()
        limit = self._limits[name]
        found = live.look(self.positions[name], limit)
        if found.changes:
            replayed = replay_round(self.alias, live, found)
            self.on_round(found)
            self._tell_offsets(shown_offsets(live, found))
            self.positions[name] = found.end
            self._count(name, found, replayed)
            self.done[name].busy += time.monotonic() - began
            self._limits[name] = self._next_limit(found.changes, limit, time.monotonic() - began)
        if self.decides_otherwise(name, found):
            self._decide_again(name)
        if found.changes < limit:
            self._versions[name] = version
        self._trim_sometimes(name)
        return found.changes

    def _check_rewritten(self, live: LiveFile) -> None:
        """A file that changed on disk is looked at through a fresh connection too."""
        name, stamp = live.file.name, live.file.path.stat().st_mtime_ns
        if self._stamps.get(name) != stamp and live.is_wal:
            live.check_on_disk(self.positions[name])
        self._stamps[name] = stamp

    def _next_limit(self, changes: int, limit: int, seconds: float) -> int:
        """How many changes the next round takes, so that it ends within some seconds."""
        if changes < limit and seconds <= _LONG_ROUND:
            # Of few changes most of the time is not theirs: they tell nothing of a full round.
            return limit
        fitting = int(changes * _LONG_ROUND / max(seconds, 0.001))
        return max(_FEWEST, min(fitting, 4 * limit, self.options.batch))

    def _count(self, name: str, found: Round, replayed: Replayed) -> None:
        done = self.done[name]
        done.rounds += 1
        done.changes += found.changes
        done.inserted += replayed.outcome.inserted
        done.updated += replayed.outcome.updated
        done.pruned += replayed.outcome.pruned
        done.quarantined += replayed.outcome.quarantined
        if replayed.foreign:
            self._tell_foreign(name, replayed.foreign)
        now = time.time()
        done.lags.extend(max(0.0, now - at) for at in found.times)

    def _tell_foreign(self, name: str, found: dict[str, list[str]]) -> None:
        for table, keys in found.items():
            self.on_event(Event("notice", {"message": sentence(table, keys)}))
            self.done[name].foreign += len(keys)
        known = states.standing(self.alias, name).details.get("foreign") or {}
        merged = {t: [*known.get(t, []), *found.get(t, [])] for t in {*known, *found}}
        short = {table: list(dict.fromkeys(keys))[:MOST] for table, keys in merged.items()}
        with transaction.atomic(using=self.alias):
            states.note(self.alias, name, foreign=short)

    def decides_otherwise(self, name: str, found: Round) -> bool:
        """Whether, with this round, rows mean something else that nobody wrote to."""
        live, watch = self.live[name], self._watches[name]
        # Where the schema has changed, the file was read anew on the way.
        if watch.decisions.means_the_same(live.decisions):
            if not watch.may_change(found):
                return False
            decisions = live.decide()
            if watch.decisions.means_the_same(decisions):
                # Counted anew: the next rounds need not be asked about again.
                self._watches[name] = DecisionWatch(decisions, live.mappings)
                return False
        return True

    def _decide_again(self, name: str) -> None:
        live, before = self.live[name], self._watches[name].decisions
        live.forget()
        live.refresh()
        self._watches[name] = DecisionWatch(live.decisions, live.mappings)
        if self._read_again(live, change_between(before, live.decisions, live.mappings)):
            self.on_decision(live)
        with transaction.atomic(using=self.alias):
            states.note(self.alias, name, decided=live.decisions.signature())

    def _tell_offsets(self, sentence: str) -> None:
        """Once for each sentence: rows with twins are read right, others wait for an import."""
        if sentence and sentence not in self._told:
            self._told.add(sentence)
            self.on_event(Event("notice", {"message": f"{sentence}."}))

    def _read_again(self, live: LiveFile, change: Change) -> bool:
        if change:
            message = f"{live.file.name}: {change.sentence()}, reading again."
            self.on_event(Event("notice", {"message": message}))
            read_again(self.alias, live, change, self._breathe)
        return bool(change)

    def _trim_sometimes(self, name: str) -> None:
        at, position = self._trimmed[name]
        grown = self.positions[name] - position
        if grown and (time.monotonic() - at > _TRIM_EVERY or grown > 20_000):
            self._trim(name)

    def _trim(self, name: str) -> None:
        if self._sweeping or self.keeps_log:
            # The sweep tells by the log what was written since its snapshot.
            return
        with transaction.atomic(using=self.alias):
            # This commit waits for the disk, and with it every round before.
            states.note(self.alias, name, trimmed_to=self.positions[name])
        live = self.live[name]
        live.check_place()
        trim(live.file.path, self.positions[name], history=live.history_at(self.positions[name]))
        self._trimmed[name] = (time.monotonic(), self.positions[name])

    def trim_all(self) -> None:
        """Trim every log, as far as the writers let us."""
        for name in self.live:
            with suppress(LegacyFileError):
                self._trim(name)

    def sweep_is_due(self) -> bool:
        """Whether a file's schema changed since its last sweep: a table may have been rebuilt with
        the triggers put back, and no trigger tells what that did to its rows."""
        return any(live.schema_version != self._swept.get(name) for name, live in self.live.items())

    def sweep(self, directory: Path | None = None) -> list[Swept]:
        """Sweep every file and note the outcome; the snapshots stay in `directory`."""
        found = []
        self._tell(settle_foreign(self.alias, list(self.live.values()), self._breathe))
        for name, live in self.live.items():
            self._sweeping = True
            try:
                swept = sweep_file(self.alias, live, self._keep_up, directory)
            finally:
                self._sweeping = False
            self.positions[name] = states.standing(self.alias, name).position
            found.append(swept)
            self._note_sweep(live, swept)
            self.on_event(
                Event("sweep", {"file": name, "ranges": swept.ranges, "keys": swept.bypassed})
            )
        return found

    def _note_sweep(self, live: LiveFile, swept: Swept) -> None:
        name = live.file.name
        self._swept[name] = swept.schema_version
        with transaction.atomic(using=self.alias):
            states.note(
                self.alias,
                name,
                swept_at=states.server_now(self.alias),
                schema_version=swept.schema_version,
                bypassed={t: k[:20] for t, k in swept.bypassed.items()} or None,
            )

    def _keep_up(self) -> None:
        """A round on every file between two ranges: a sweep takes seconds, the lag must not."""
        self._breathe()
        for name in self.live:
            self.positions[name] = states.standing(self.alias, name).position
            self.step(name)
        self.report()

    def sign(self, *, ended: bool = False) -> None:
        """Write down that this follower is alive, about once a second, or that it ends."""
        if not ended and time.monotonic() - self._signed < _REPORT_EVERY:
            return
        self._signed = time.monotonic()
        with transaction.atomic(using=self.alias):
            now = states.server_now(self.alias)
            for name in self.live:
                states.note(self.alias, name, seen_at=now, ended_at=now if ended else None)

    def report(self, *, force: bool = False) -> None:
        """Tell the lag and write it down, about once a second."""
        if not force and time.monotonic() - self._reported < _REPORT_EVERY:
            return
        self._reported = self._signed = time.monotonic()
        found = {n: measure_lag(live, self.positions[n]) for n, live in self.live.items()}
        # One commit for all files: each one waits for the disk, and the changes wait with it.
        with transaction.atomic(using=self.alias):
            seen_at = states.server_now(self.alias)
            for name, (changes, seconds) in found.items():
                states.note(
                    self.alias,
                    name,
                    lag_changes=changes,
                    lag_seconds=round(seconds, 3),
                    replayed=self.done[name].changes,
                    seen_at=seen_at,
                )
        for name, (changes, seconds) in found.items():
            replayed = self.done[name].changes
            data = {"file": name, "changes": changes, "seconds": seconds, "replayed": replayed}
            self.on_event(Event("lag", data))


def check_followable(alias: str, live: LiveFile) -> Standing:
    """Where the file stands. Raises StateError where capture is not healthy or the file is
    another one."""
    require_place(alias, [live.file])
    require_zone(alias, live.file.name)
    require_capture(live.file, live.capture_status())
    stand = states.standing(alias, live.file.name)
    identity = str(stand.details.get("capture_id", ""))
    other = same_file(live, identity, stand.details.get("witness"), stand.position)
    if other is not None:
        raise StateError(other)
    return stand


def shown_offsets(live: LiveFile, found: Round) -> str:
    """The sentence for rows of a round with offsets that the last import did not see, or ""."""
    shown = (row.row_offset for rows in found.rows.values() for row in rows)
    return unknown_offsets(live.file.name, live.decisions.clock, shown)


def measure_lag(live: LiveFile, position: int) -> tuple[int, float]:
    """(changes, seconds) that the target is behind."""
    changes = max(0, live.log.last() - position)
    oldest = live.log.oldest_after(position) if changes else None
    return changes, 0.0 if oldest is None else max(0.0, time.time() - oldest)
