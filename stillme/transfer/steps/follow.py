"""Following the live files into PostgreSQL: one follower, round after round."""

from __future__ import annotations

import random
import threading
import time
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from django.db import transaction

from stillme.transfer import ledger
from stillme.transfer.errors import Busy, LegacyFileError, StateError
from stillme.transfer.findings import Event, OnEvent, ignore_event
from stillme.transfer.kinds import Kind, Stamp, Timestamp
from stillme.transfer.models import Run, RunFile
from stillme.transfer.postgresql.capture import as_replay
from stillme.transfer.postgresql.locks import exclusive
from stillme.transfer.registry import LegacyFile
from stillme.transfer.selection import Selection, present_files
from stillme.transfer.sqlite.capture.log import trim
from stillme.transfer.sqlite.clock import row_offset_sql
from stillme.transfer.sqlite.raw import RawRow
from stillme.transfer.steps import states
from stillme.transfer.steps.capture import lift_stale_freezes
from stillme.transfer.steps.live_file import LiveFile, Round, reading, row_keys, same_file
from stillme.transfer.steps.load import ImportOptions, import_files
from stillme.transfer.steps.replay import Replayed, apply_rows, replay_round
from stillme.transfer.steps.states import State
from stillme.transfer.steps.sweep import Swept, sweep_file

_LONGEST_WAIT = 5.0
_TRIM_EVERY = 10.0
_REPORT_EVERY = 1.0


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
    inserted: int = 0
    updated: int = 0
    pruned: int = 0
    quarantined: int = 0
    busy: float = 0.0
    lags: deque[float] = field(default_factory=lambda: deque(maxlen=10_000))

    @property
    def lag_p99(self) -> float:
        """Seconds from a write to its commit in PostgreSQL, oldest change of each round."""
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


def follow(
    options: FollowOptions,
    on_event: OnEvent = ignore_event,
    stop: threading.Event | None = None,
) -> FollowResult:
    """Replay changes until `stop` is set (or, with `once`, until none is left).

    Loads files first that are captured but not loaded. Raises TransferError.
    """
    alias = options.database
    stop = stop or threading.Event()
    began = time.monotonic()
    files = files_to_follow(alias, options.selection, on_event)
    load_where_needed(alias, files, on_event)
    with exclusive(alias):
        run = ledger.start_run(alias, "sync_sqlite", {"files": [f.name for f in files]})
        follower = Follower(options, files, run, on_event)
        try:
            # A cut-over that was killed may have left the files frozen.
            lift_stale_freezes(alias, files, on_event)
            follower.open()
            result = follower.run(stop)
        except BaseException as error:
            ledger.finish_run(alias, run, failed=True, message=type(error).__name__)
            raise
        finally:
            follower.close()
        run.summary = {f.file: {"changes": f.changes, "rounds": f.rounds} for f in result.files}
        ledger.finish_run(alias, run, failed=False)
    result.seconds = time.monotonic() - began
    return result


def files_to_follow(alias: str, selection: Selection, on_event: OnEvent) -> list[LegacyFile]:
    """The present files, each in a state that can be followed. Raises StateError."""
    notices: list[str] = []
    selection.check()
    files = present_files(selection, notices)
    for sentence in notices:
        on_event(Event("notice", {"message": sentence}))
    for file in files:
        states.require(
            states.standing(alias, file.name),
            State.CAPTURED,
            State.LOADED,
            State.FOLLOWING,
            State.ROLLED_BACK,
            what="following",
        )
    return files


def load_where_needed(alias: str, files: Sequence[LegacyFile], on_event: OnEvent) -> None:
    """Load the files that are captured but not loaded: capture first, then the snapshot."""
    unloaded = [f.name for f in files if states.standing(alias, f.name).state == State.CAPTURED]
    if unloaded:
        on_event(Event("notice", {"message": f"Loading {', '.join(unloaded)} first."}))
        options = ImportOptions(selection=Selection(files=tuple(unloaded)), database=alias)
        _import_patiently(options, on_event)


def _import_patiently(options: ImportOptions, on_event: OnEvent) -> None:
    """Import; a worker of a killed run may still be writing its last chunk."""
    for attempt in range(20):
        try:
            import_files(options, on_event)
        except Busy:
            if attempt == 19:
                raise
            time.sleep(0.5)
        else:
            return


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
        self._waits: dict[str, tuple[float, float]] = {}
        self._trimmed: dict[str, tuple[float, int]] = {}
        self._reported = 0.0

    def open(self) -> None:
        """Open every file, check that it is the one that was followed, set its state."""
        for file in self.files:
            live = LiveFile(file, self.run_id)
            self.live[file.name] = live
            check_followable(self.alias, live)
            stand = states.standing(self.alias, file.name)
            judged = stand.details.get("clock") or loaded_clock(self.alias, file.name)
            if judged is not None and judged != clock_signature(live):
                self._read_again(file.name, judged)
            with transaction.atomic(using=self.alias):
                states.move(self.alias, file.name, State.FOLLOWING, clock=clock_signature(live))
            self.positions[file.name] = stand.position
            self._trimmed[file.name] = (time.monotonic(), stand.position)

    def close(self) -> None:
        """Close the files."""
        for live in self.live.values():
            live.close()

    def run(self, stop: threading.Event) -> FollowResult:
        """Rounds until told to stop, or drained."""
        result = FollowResult(self.run_id, list(self.done.values()))
        goals = {name: live.log.last() for name, live in self.live.items()}
        next_sweep = time.monotonic() + self.options.sweep_every
        while not stop.is_set():
            replayed = sum(self.step(name) for name in self.live)
            self.report()
            if self.options.once and all(self.positions[n] >= goals[n] for n in goals):
                break
            if self.options.sweep_every and time.monotonic() >= next_sweep:
                result.swept += self.sweep()
                next_sweep = time.monotonic() + self.options.sweep_every
            if not replayed:
                stop.wait(self.options.interval)
        if self.options.sweep and not stop.is_set():
            result.swept += self.sweep()
        self.trim_all()
        self.report(force=True)
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
        version = live.data_version()
        if version == self._versions.get(name):
            return 0
        began = time.monotonic()
        found = live.look(self.positions[name], self.options.batch)
        if found.changes:
            replayed = replay_round(self.alias, live, found)
            self.positions[name] = found.end
            self._count(name, found, replayed)
            self.done[name].busy += time.monotonic() - began
            if replayed.new_clock:
                self._read_again(name)
        if found.changes < self.options.batch:
            self._versions[name] = version
        self._trim_sometimes(name)
        return found.changes

    def _count(self, name: str, found: Round, replayed: Replayed) -> None:
        done = self.done[name]
        done.rounds += 1
        done.changes += found.changes
        done.inserted += replayed.outcome.inserted
        done.updated += replayed.outcome.updated
        done.pruned += replayed.outcome.pruned
        done.quarantined += replayed.outcome.quarantined
        if found.first_at is not None:
            done.lags.append(max(0.0, time.time() - found.first_at))

    def _read_again(self, name: str, judged: dict[str, object] | None = None) -> None:
        """The local clock was changed: every local time of the file is judged again."""
        live = self.live[name]
        self.on_event(
            Event(
                "notice", {"message": f"{name}: a row shows another clock offset, reading again."}
            )
        )
        usual = judged.get("usual", live.clock.usual) if judged else live.clock.usual
        live.forget()
        live.refresh()
        reread_times(self.alias, live, int(str(usual)))
        with transaction.atomic(using=self.alias):
            states.note(self.alias, name, clock=clock_signature(live))

    def _trim_sometimes(self, name: str) -> None:
        at, position = self._trimmed[name]
        grown = self.positions[name] - position
        if grown and (time.monotonic() - at > _TRIM_EVERY or grown > 20_000):
            self._trim(name)

    def _trim(self, name: str) -> None:
        trim(self.live[name].file.path, self.positions[name])
        self._trimmed[name] = (time.monotonic(), self.positions[name])

    def trim_all(self) -> None:
        """Trim every log, as far as the writers let us."""
        for name in self.live:
            with suppress(LegacyFileError):
                self._trim(name)

    def sweep(self) -> list[Swept]:
        """Sweep every file and note the outcome."""
        found = []
        for name, live in self.live.items():
            swept = sweep_file(self.alias, live)
            self.positions[name] = states.standing(self.alias, name).position
            found.append(swept)
            with transaction.atomic(using=self.alias):
                states.note(
                    self.alias,
                    name,
                    swept_at=states.server_now(self.alias),
                    bypassed={t: k[:20] for t, k in swept.bypassed.items()} or None,
                )
            self.on_event(
                Event("sweep", {"file": name, "ranges": swept.ranges, "keys": swept.bypassed})
            )
        return found

    def report(self, *, force: bool = False) -> None:
        """Tell the lag and write it down, about once a second."""
        if not force and time.monotonic() - self._reported < _REPORT_EVERY:
            return
        self._reported = time.monotonic()
        for name, live in self.live.items():
            changes, seconds = measure_lag(live, self.positions[name])
            done = self.done[name]
            with transaction.atomic(using=self.alias):
                states.note(
                    self.alias,
                    name,
                    lag_changes=changes,
                    lag_seconds=round(seconds, 3),
                    replayed=done.changes,
                    seen_at=states.server_now(self.alias),
                )
            data = {"file": name, "changes": changes, "seconds": seconds, "replayed": done.changes}
            self.on_event(Event("lag", data))


def check_followable(alias: str, live: LiveFile) -> None:
    """Raise StateError where capture is not healthy or the file is another one."""
    name = live.file.name
    health = live.capture_status()
    if not health.is_healthy:
        problem = health.problems[0] if health.problems else "it is not installed"
        raise StateError(
            f"Capture in {live.file.path} is {health.health} ({problem}): "
            "run manage.py sync_sqlite --install, then load again."
        )
    stand = states.standing(alias, name)
    other = same_file(
        live, str(stand.details.get("capture_id", "")), stand.details.get("witness"), stand.position
    )
    if other is not None:
        raise StateError(other)


def clock_signature(live: LiveFile) -> dict[str, object]:
    """What the meaning of the file's local times hangs on."""
    clock = live.clock.as_dict()
    offsets = sorted(int(minutes) for minutes in clock["evidence"])
    return {"zone": clock["zone"], "usual": clock["usual_minutes"], "offsets": offsets}


def loaded_clock(alias: str, file: str) -> dict[str, object] | None:
    """The signature that the last import of the file was made under."""
    row = (
        RunFile.objects.using(alias)
        .filter(file=file, run__command="import_sqlite", run__status=Run.Status.COMPLETED)
        .order_by("-run_id")
        .first()
    )
    if row is None or "evidence" not in row.clock:
        return None
    offsets = sorted(int(minutes) for minutes in row.clock["evidence"])
    return {"zone": row.clock["zone"], "usual": row.clock["usual_minutes"], "offsets": offsets}


def measure_lag(live: LiveFile, position: int) -> tuple[int, float]:
    """(changes, seconds) that the target is behind."""
    changes = max(0, live.log.last() - position)
    oldest = live.log.oldest_after(position) if changes else None
    return changes, 0.0 if oldest is None else max(0.0, time.time() - oldest)


def reread_times(alias: str, live: LiveFile, usual_before: int) -> None:
    """Apply the rows again whose local times another clock decision may read in another way.

    A row with evidence of its own is sure, as long as the usual offset (which decides what is
    kept beside it) is the same.
    """
    result = Replayed()
    rows: dict[str, list[RawRow]] = {}
    with reading(live.connection):
        for table, source in live.tables.items():
            mapping = source.job.mapping
            if not any(_is_local(column.kind) for column in mapping.columns):
                continue
            sure = mapping.clock is not None and live.clock.usual == usual_before
            unsure = f"{row_offset_sql(mapping.clock)} IS NULL" if sure and mapping.clock else "1"
            rows[table] = list(source.raw.where(unsure))
    with transaction.atomic(using=alias, durable=True):
        as_replay(alias)
        keys = {table: row_keys(live, table, found) for table, found in rows.items()}
        apply_rows(alias, live, keys, rows, result)
        ledger.mark_write(alias, live.run_id)


def _is_local(kind: Kind) -> bool:
    return isinstance(kind, Timestamp) and kind.stamp is not Stamp.SQL
