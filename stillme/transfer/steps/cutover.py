"""The cut-over: freeze the files, drain, verify the tail, install reverse capture, set the mark.

Until the mark everything can be undone, and is when anything fails. The freeze carries its own
deadline, so that a cut-over that is killed locks the writers out no longer than its limit; it is
made permanent in the moment before the mark.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from django.db import connections, transaction

from stillme.transfer import ledger
from stillme.transfer.errors import LegacyFileError, NoLegacyFile, StateError, TransferError
from stillme.transfer.findings import Event, OnEvent, ignore_event
from stillme.transfer.models import Run
from stillme.transfer.models_sync import ReverseChange
from stillme.transfer.postgresql import capture as reverse
from stillme.transfer.postgresql.locks import exclusive
from stillme.transfer.postgresql.sequences import set_sequence
from stillme.transfer.registry import LegacyFile, legacy_files
from stillme.transfer.selection import Selection, present_files
from stillme.transfer.sqlite.capture.freeze import freeze, unfreeze
from stillme.transfer.sqlite.schema import sequence_mark
from stillme.transfer.steps.accounted_lines import Line, missing_lines
from stillme.transfer.steps.capture import lift_stale_freezes, target_tables
from stillme.transfer.steps.follow import Follower, FollowOptions
from stillme.transfer.steps.merging.image import refuse_on_cluster
from stillme.transfer.steps.readiness_list import go_list, is_go
from stillme.transfer.steps.switching.tail import Judge, Tail, refuse
from stillme.transfer.steps.switching.unseen import Unseen
from stillme.transfer.steps.syncing import states
from stillme.transfer.steps.syncing.live_file import LiveFile
from stillme.transfer.steps.syncing.replay import replay_round
from stillme.transfer.steps.syncing.states import State

_SPARE = 5.0
_ASKED = 3
_LEFT_TO_THE_FREEZE = 1_000
_LOCK_PATIENCE = 10.0


@dataclass(frozen=True, slots=True)
class CutoverOptions:
    """`freeze_limit` is the longest the writers may be locked out, in seconds.

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
    """How it went."""

    run_id: int | None
    lines: list[Line] = field(default_factory=list)
    files: list[str] = field(default_factory=list)
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
    return go_list(options.database, files, options.backup, options.overrides)


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
            _close_failed(alias, run, error)
            raise
        result.lines = lines
        run.summary = {"frozen_seconds": result.frozen_seconds, "steps": result.steps}
        ledger.finish_run(alias, run, failed=False)
    return result


def _close_failed(alias: str, run: Run, error: BaseException) -> None:
    from django.db import Error

    try:
        connections[alias].close()
        ledger.finish_run(alias, run, failed=True, message=str(error)[:500])
    except Error:
        return


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
        self.result = CutoverResult(run.pk, files=[f.name for f in files])
        follow = FollowOptions(once=True, database=self.alias)
        self.follower = Follower(follow, files, run, on_event)
        self._frozen_at: float | None = None
        self.tail = Tail(self.alias, options.judge)
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
            self._timed("freeze", self._freeze)
            self._timed("drain the rest", self._drain_frozen)
            self._timed("verify the tail", self._verify_tail)
            self._timed("sequences", self._set_sequences)
            self._timed("make the freeze permanent", self._freeze_for_good)
            self._timed("reverse capture and mark", self._mark)
        except BaseException:
            self._thaw()
            raise
        finally:
            self.unseen.close()
            self.follower.close()
        assert self._frozen_at is not None
        self.result.frozen_seconds = time.monotonic() - self._frozen_at
        return self.result

    def _timed(self, name: str, step: object) -> None:
        began = time.monotonic()
        assert callable(step)
        step()
        self.result.steps[name] = time.monotonic() - began
        self.on_event(Event("step", {"name": name, "seconds": self.result.steps[name]}))

    def _prepare_tail(self) -> None:
        for live in self.follower.live.values():
            self.tail.prepare(live)
            self.tail.note_log(live, 0)

    def _drain_open(self) -> None:
        """Catch up before the freeze, so that little is left for it."""
        self.follower.run(threading.Event())

    def _freeze(self) -> None:
        """All files, in one order: no writer may pass between two of them for long."""
        seconds = self.options.freeze_limit + _SPARE
        for file in self.files:
            tables = self._live(file).captured()
            if self._frozen_at is None:
                self._frozen_at = time.monotonic()
            freeze(
                file.path,
                tables,
                seconds=seconds,
                timeout=self.options.freeze_limit,
                at_lock=partial(self.unseen.at_lock, file.name),
            )
            self.unseen.frozen(file.name)
            self._check_time()

    def _drain_frozen(self) -> None:
        for file in self.files:
            live = self._live(file)
            while True:
                position = states.standing(self.alias, file.name).position
                found = live.look(position, 100_000)
                if self.follower.decides_otherwise(file.name, found):
                    raise TransferError(
                        f"{file.name}: what was written last (another clock offset, another "
                        "column) changes what other rows mean; run manage.py sync_sqlite --once, "
                        "then cut over again."
                    )
                if not found.changes:
                    break
                replay_round(self.alias, live, found)
                self.tail.note(found)
                self.result.drained += found.changes
                self._check_time()

    def _verify_drained(self) -> None:
        """Prove what was drained while writers go on, so that little is left for the freeze.

        A difference may be a change in flight: it is replayed, and asked about again. A row that
        is written all the time may differ every time it is asked about; what the freeze can prove
        in a moment is left to it, more is no writer's doing.
        """
        for attempt in range(_ASKED):
            sentences = [
                s for live in self.follower.live.values() for s in self.tail.differing(live)
            ]
            if not sentences:
                return
            if attempt + 1 < _ASKED:
                self._drain_open()
        if len(sentences) > _LEFT_TO_THE_FREEZE:
            refuse(sentences)

    def _verify_tail(self) -> None:
        """The rows touched since, and the newest of every table, judged on both sides."""
        for file in self.files:
            self.unseen.touch(self._live(file), self.tail, self._check_time)
            refuse(self.tail.differing(self._live(file)))
            self._check_time()
        self.result.verified = self.tail.verified

    def _set_sequences(self) -> None:
        for file in self.files:
            live = self._live(file)
            for source in live.tables.values():
                mapping = source.job.mapping
                set_sequence(self.alias, mapping, sequence_mark(live.connection, mapping.table))

    def _freeze_for_good(self) -> None:
        for file in self.files:
            live = self._live(file)
            position = states.standing(self.alias, file.name).position
            done = freeze(
                file.path,
                live.captured(),
                seconds=None,
                timeout=_LOCK_PATIENCE,
                at_lock=partial(self.unseen.at_last_lock, file.name),
            )
            live.check_on_disk(position)
            if done.last_change != position:
                raise TransferError(
                    f"{file.name} was written to after it was drained: the freeze had run out; "
                    "cut over again with a longer --freeze-limit."
                )

    def _mark(self) -> None:
        """Reverse capture and the new state in one transaction: traffic may move after it."""
        # Also those whose file is absent: a feature may be switched on after the cut-over.
        tables = target_tables([file.name for file in legacy_files()])
        with transaction.atomic(using=self.alias, durable=True):
            reverse.as_replay(self.alias)
            ReverseChange.objects.using(self.alias).filter(
                relation__in=[t.name for t in tables]
            ).delete()
            reverse.unfreeze_target(self.alias, tables)
            reverse.install(self.alias, tables)
            now = states.server_now(self.alias)
            for file in self.files:
                states.move(self.alias, file.name, State.LIVE, live_since=now)
            self._check_time()

    def _check_time(self) -> None:
        if self._frozen_at is None:
            return
        frozen = time.monotonic() - self._frozen_at
        if frozen > self.options.freeze_limit:
            raise TransferError(
                f"The freeze took longer than --freeze-limit {self.options.freeze_limit:g}: "
                "everything is as it was; let sync_sqlite --follow catch up and try again."
            )

    def _thaw(self) -> None:
        """Unfreeze every file, unless the mark was set after all (the answer was lost)."""
        from django.db import Error

        with suppress(Error):
            connections[self.alias].close()
            names = [file.name for file in self.files]
            stands = states.standings(self.alias, names)
            if all(stand.state == State.LIVE for stand in stands.values()):
                return
        if self._frozen_at is None:
            return
        for file in self.files:
            with suppress(LegacyFileError):
                unfreeze(file.path, timeout=_LOCK_PATIENCE)
        self.on_event(Event("notice", {"message": "The files take writes again."}))

    def _live(self, file: LegacyFile) -> LiveFile:
        return self.follower.live[file.name]
