"""The cut-over: freeze the files, drain, verify the tail, install reverse capture, set the mark.

Until the mark everything can be undone, and is when anything fails. The freeze carries the limit
as its own deadline, so that the files are free again by then even if this process is killed or
cannot undo anything; it is made permanent in the transaction of the mark, as its last work.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from django.db import connections, transaction

from stillme.transfer import ledger
from stillme.transfer.errors import NoLegacyFile, StateError, TransferError
from stillme.transfer.findings import Event, OnEvent, ignore_event
from stillme.transfer.models import Run
from stillme.transfer.models_sync import ReverseChange
from stillme.transfer.postgresql import capture as reverse
from stillme.transfer.postgresql.locks import exclusive
from stillme.transfer.postgresql.sequences import set_sequence
from stillme.transfer.registry import LegacyFile, legacy_files
from stillme.transfer.selection import Selection, present_files
from stillme.transfer.sqlite.capture.freeze import freeze
from stillme.transfer.sqlite.schema import sequence_mark
from stillme.transfer.steps.accounted_lines import GREEN, Line, missing_lines
from stillme.transfer.steps.capture import target_tables
from stillme.transfer.steps.follow import Follower, FollowOptions, shown_offsets
from stillme.transfer.steps.merging.image import refuse_on_cluster
from stillme.transfer.steps.readiness_list import go_list, is_go
from stillme.transfer.steps.switching.limit import Limit, OverLimit
from stillme.transfer.steps.switching.tail import Judge, Tail, refuse
from stillme.transfer.steps.switching.thaw import PATIENCE, await_locks, mark_stands, thaw_files
from stillme.transfer.steps.switching.unseen import Unseen
from stillme.transfer.steps.switching.unswitched import refuse_if_it_came, unswitched
from stillme.transfer.steps.syncing import states
from stillme.transfer.steps.syncing.live_file import LiveFile
from stillme.transfer.steps.syncing.replay import replay_round
from stillme.transfer.steps.syncing.states import State
from stillme.transfer.steps.unfreeze import lift_stale_freezes

_ASKED = 3
_LEFT_TO_THE_FREEZE = 1_000
_UNKNOWN = (
    "PostgreSQL does not answer, so it is not known whether the switch was made. The files stay "
    "frozen, so that no write is lost on the wrong side. When the server is back, run "
    "manage.py migration_status: live means done; else manage.py sync_sqlite --unfreeze lets the "
    "files take writes again."
)


@dataclass(frozen=True, slots=True)
class CutoverOptions:
    """`freeze_limit` is the longest the writers may be locked out, in seconds, undoing included.

    `overrides` maps the subject of a red line that may be overridden to the reason why it was;
    `judge` proves the tail (without one the loader's own comparison does).
    """

    freeze_limit: float = 10.0
    backup: Path | None = None
    database: str = "default"
    overrides: Mapping[str, str] = field(default_factory=dict)
    judge: Judge | None = None


@dataclass(slots=True)
class CutoverResult:
    """How it went. `unswitched` maps what the cut-over leaves as it is to the reason."""

    run_id: int | None
    lines: list[Line] = field(default_factory=list)
    files: list[str] = field(default_factory=list)
    unswitched: dict[str, str] = field(default_factory=dict)
    frozen_seconds: float = 0.0
    steps: dict[str, float] = field(default_factory=dict)
    drained: int = 0
    verified: int = 0


def files_to_cut_over(on_event: OnEvent = ignore_event) -> list[LegacyFile]:
    """The present files: they are switched together."""
    notices: list[str] = []
    files = present_files(Selection(), notices)
    for sentence in notices:
        on_event(Event("notice", {"message": sentence}))
    return files


def check_cutover(options: CutoverOptions, on_event: OnEvent = ignore_event) -> list[Line]:
    """The go/no-go list (`--dry-run`)."""
    try:
        files = files_to_cut_over(on_event)
    except NoLegacyFile:
        if lines := missing_lines(options.database):
            return lines
        raise
    lines = go_list(options.database, files, options.backup, options.overrides)
    return [*_named(files), *lines]


def _named(files: Sequence[LegacyFile]) -> list[Line]:
    """What will be switched, and what will not, by name."""
    left = unswitched(files)
    lines = [Line(GREEN, "switches", ", ".join(file.name for file in files))]
    return lines + [Line(GREEN, f"{name}: not switched", why) for name, why in left.items()]


def cut_over(options: CutoverOptions, on_event: OnEvent = ignore_event) -> CutoverResult:
    """Switch over. Raises TransferError; then everything is as it was before."""
    alias = options.database
    refuse_on_cluster(alias, "The cut-over")
    files = files_to_cut_over(on_event)
    for file in files:
        states.require(states.standing(alias, file.name), State.FOLLOWING, what="the cut-over")
    with exclusive(alias):
        lift_stale_freezes(alias, files, on_event)
        lines = go_list(alias, files, options.backup, options.overrides)
        if not is_go(lines):
            red = next(line for line in lines if line.colour == "no-go")
            risk = f" Or take the risk: --despite-{red.override} REASON." if red.override else ""
            raise StateError(f"{red.subject}: {red.finding}. {red.advice}.{risk}")
        run = ledger.start_run(
            alias,
            "cutover",
            {"freeze_limit": options.freeze_limit, "overrides": dict(options.overrides)},
        )
        try:
            result = _Cutover(options, files, run, on_event).go()
        except BaseException as error:
            ledger.fail_run(alias, run, error)
            raise
        result.lines = [*_named(files), *lines]
        run.summary = {"frozen_seconds": result.frozen_seconds, "steps": result.steps}
        ledger.finish_run(alias, run, failed=False)
    return result


class _Cutover:
    """One try, with its clock."""

    def __init__(
        self, options: CutoverOptions, files: Sequence[LegacyFile], run: Run, on_event: OnEvent
    ) -> None:
        self.options = options
        self.alias = options.database
        self.files = files
        self.run = run
        self.on_event = on_event
        self.result = CutoverResult(
            run.pk, files=[f.name for f in files], unswitched=unswitched(files)
        )
        follow = FollowOptions(once=True, database=self.alias)
        self.follower = Follower(follow, files, run, on_event)
        advice = "let manage.py sync_sqlite --follow catch up, or try at a quieter time"
        self.limit = Limit("cut-over", options.freeze_limit, advice, connections[self.alias])
        self._locked_out = 0.0
        self._mark_was_sent = False
        self.tail = Tail(self.alias, options.judge, self._decided_foreign())
        self.follower.on_round = self.tail.note
        self.follower.on_decision = self.tail.decide_again
        self.follower.keeps_log = True
        self.unseen = Unseen()

    def go(self) -> CutoverResult:
        """Drain, freeze, drain, verify, mark; unfreeze whatever happens before the mark."""
        try:
            self.follower.open()
            self._timed("sweep", lambda: self.unseen.sweep(self.follower))
            self._timed("prepare the proof", self._prepare_tail)
            self._timed("drain while writes go on", self._drain_open)
            self._timed("sweep what came", lambda: self.unseen.renew(self.follower, self.tail))
            self._timed("verify what was drained", self._verify_drained)
            self._timed("drain what came meanwhile", self._drain_open)
            self._timed("find the files free", self._await_locks)
            self._timed("freeze", self._freeze)
            self._timed("drain the rest", self._drain_frozen)
            self._timed("verify the tail", self._verify_tail)
            self._timed("sequences", self._set_sequences)
            self._timed("reverse capture and mark", self._mark)
        except BaseException as error:
            if not self._mark_stands(error):
                self._thaw(error)
                raise
        finally:
            self.limit.end()
            self.unseen.close()
            self.follower.close()
        self.result.frozen_seconds = self._locked_out
        return self.result

    def _decided_foreign(self) -> dict[str, Collection[str]]:
        """File -> its tables with foreign rows as the go/no-go list has shown them, where the
        operator takes that risk. What the cut-over's own sweep finds was not shown."""
        if "foreign" not in self.options.overrides:
            return {}
        stands = states.standings(self.alias, [file.name for file in self.files])
        return {name: stand.details.get("foreign") or () for name, stand in stands.items()}

    def _timed(self, name: str, step: Callable[[], None]) -> None:
        began = time.monotonic()
        self.limit.step = name
        step()
        self.result.steps[name] = time.monotonic() - began
        self._locked_out = self.limit.spent
        self.on_event(Event("step", {"name": name, "seconds": self.result.steps[name]}))

    def _prepare_tail(self) -> None:
        for live in self.follower.live.values():
            self.tail.prepare(live)
            self.tail.note_log(live, 0)

    def _drain_open(self) -> None:
        """Catch up before the freeze, so that little is left for it.

        A file that stays locked is waited for no longer than the freeze may take.
        """
        follower = self.follower
        goals = {name: live.log.last() for name, live in follower.live.items()}
        moved = time.monotonic()
        while behind := [n for n, goal in goals.items() if follower.positions[n] < goal]:
            if sum(follower.step(name) for name in follower.live):
                moved = time.monotonic()
            elif time.monotonic() - moved > self.options.freeze_limit:
                raise TransferError(
                    f"{follower.live[behind[0]].file.path} could not be read for "
                    f"{self.options.freeze_limit:g} s, another process keeps it locked: "
                    "wait until it is free, or restart the application, and run again."
                )
            else:
                time.sleep(follower.options.interval)
            follower.report()

    def _await_locks(self) -> None:
        await_locks(self.files, self.options.freeze_limit)

    def _freeze(self) -> None:
        """All files, in one order: no writer may pass between two of them for long."""
        tables = {file.name: self._live(file).captured() for file in self.files}
        self.limit.begin()
        for file in self.files:
            freeze(
                file.path,
                tables[file.name],
                seconds=self.limit.until_end,
                timeout=self.limit.left(),
                at_lock=partial(self.unseen.at_lock, file.name),
            )
            self.unseen.frozen(file.name)

    def _drain_frozen(self) -> None:
        for file in self.files:
            live = self._watched(file)
            while True:
                position = states.standing(self.alias, file.name).position
                found = live.look(position, 100_000)
                if sentence := shown_offsets(live, found):
                    raise TransferError(f"{sentence}.")
                if self.follower.decides_otherwise(file.name, found):
                    raise TransferError(
                        f"{file.name}: what was written last (a number of another unit, another "
                        "column) changes what other rows mean; run manage.py sync_sqlite --once, "
                        "then cut over again."
                    )
                if not found.changes:
                    break
                replay_round(self.alias, live, found)
                self.tail.note(found)
                self.result.drained += found.changes
                self.limit.left()

    def _verify_drained(self) -> None:
        """Prove what was drained while writers go on, so that little is left for the freeze.

        A difference may be a change in flight: it is replayed, and asked about again. A row that
        is written all the time may differ every time it is asked about, but not in the same cells
        and values: many that do are no writer's doing. The rest is left to the freeze.
        """
        before: set[str] = set()
        for attempt in range(_ASKED):
            sentences = [
                s for live in self.follower.live.values() for s in self.tail.differing(live)
            ]
            if not sentences:
                return
            settled = [sentence for sentence in sentences if sentence in before]
            if len(settled) > _LEFT_TO_THE_FREEZE:
                refuse(settled)
            before = set(sentences)
            if attempt + 1 < _ASKED:
                self._drain_open()

    def _verify_tail(self) -> None:
        """The rows touched since, and the newest of every table, judged on both sides."""
        for file in self.files:
            live = self._watched(file)
            self.unseen.touch(live, self.tail, self.limit.left)
            if self.options.judge is not None:
                self.options.judge.patience = self.limit.left()
            refuse(self.tail.differing(live))
        self.result.verified = self.tail.verified

    def _set_sequences(self) -> None:
        for file in self.files:
            live = self._watched(file)
            for source in live.tables.values():
                mapping = source.job.mapping
                set_sequence(self.alias, mapping, sequence_mark(live.connection, mapping.table))

    def _mark(self) -> None:
        """Reverse capture, the new state, the freeze for good: traffic may move after the commit.

        PostgreSQL's locks come first. Nothing but the commit is left to fail when the files are
        frozen without a deadline.
        """
        # Also those whose file is absent: a feature may be switched on after the cut-over.
        tables = target_tables([file.name for file in legacy_files()])
        with transaction.atomic(using=self.alias, durable=True):
            reverse.as_replay(self.alias)
            ReverseChange.objects.using(self.alias).filter(
                relation__in=[t.name for t in tables]
            ).delete()
            patience = f"{self.limit.left() * 1000:.0f}ms"
            reverse.install(self.alias, tables, lock_timeout=patience)
            reverse.unfreeze_target(self.alias, tables)
            now = states.server_now(self.alias)
            for file in self.files:
                states.move(self.alias, file.name, State.LIVE, live_since=now)
            self._freeze_for_good()
            refuse_if_it_came(self.files)
            self.limit.left()
            self._mark_was_sent = True

    def _freeze_for_good(self) -> None:
        for file in self.files:
            live = self._watched(file)
            position = states.standing(self.alias, file.name).position
            done = freeze(
                file.path,
                live.captured(),
                seconds=None,
                timeout=self.limit.left(),
                at_lock=partial(self.unseen.at_last_lock, file.name),
            )
            live.check_on_disk(position)
            if done.last_change != position:
                raise TransferError(
                    f"{file.name} was written to after it was drained: the freeze had run out; "
                    "cut over again with a longer --freeze-limit."
                )

    def _mark_stands(self, error: BaseException) -> bool:
        """Whether the mark was set after all: its COMMIT was done, only the answer was lost."""
        self.limit.end()
        self._locked_out = self.limit.spent
        if not self._mark_was_sent:
            return False
        return mark_stands(self.alias, self.files, State.LIVE, self.limit, _UNKNOWN)

    def _thaw(self, error: BaseException) -> None:
        """Unfreeze every file. Raises a better error where there is one, or more to be said."""
        if not self.limit.has_begun:
            return
        left = thaw_files(self.files, self.limit.until_end + PATIENCE)
        if not left:
            self.on_event(Event("notice", {"message": "The files take writes again."}))
        if not isinstance(error, Exception):
            return
        told = self.limit.told(error)
        if left:
            raise TransferError(" ".join([told, *left.values()])) from error
        if self.limit.ended(error):
            raise OverLimit(told) from error

    def _watched(self, file: LegacyFile) -> LiveFile:
        """The open file; from now on it waits for locks no longer than the limit allows."""
        live = self._live(file)
        self.limit.watch(live.connection)
        return live

    def _live(self, file: LegacyFile) -> LiveFile:
        return self.follower.live[file.name]
