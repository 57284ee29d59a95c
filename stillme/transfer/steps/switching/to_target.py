"""The cut-over: PostgreSQL takes charge of the files' rows, in five steps.

1. *watch*, *sweep*: every row of a snapshot is compared with the target, for writes without
   capture. From here on PostgreSQL logs every write of somebody else, and the mark wants none.
2. *drain while writes go on*, *verify what was drained*: the judge proves the rows that changed.
3. *freeze*: triggers in every file refuse writes from now on; the limit begins (10 s).
4. *drain the rest* and *verify the tail*: the last changes, and the newest rows of every table.
5. *reverse capture and mark*: from here that log is of what is to be carried back.

The freeze has the limit as its deadline, so that a killed cut-over keeps no writer out for longer.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence
from functools import partial

from django.db import transaction

from stillme.transfer.errors import TransferError
from stillme.transfer.findings import Event, OnEvent
from stillme.transfer.models import Run
from stillme.transfer.postgresql.after_load import set_sequence
from stillme.transfer.postgresql.locks import require_exclusive
from stillme.transfer.registry import LegacyFile
from stillme.transfer.sqlite.capture.freeze import freeze
from stillme.transfer.sqlite.schema.found import sequence_mark
from stillme.transfer.steps.following.follower import Follower, shown_offsets
from stillme.transfer.steps.following.notes import FollowOptions
from stillme.transfer.steps.readiness.lines import refuse_if_it_came, refuse_if_open, unswitched
from stillme.transfer.steps.replaying.replay import replay_round
from stillme.transfer.steps.switching.cutover_options import CutoverOptions, CutoverResult
from stillme.transfer.steps.switching.switch import Switch
from stillme.transfer.steps.switching.tail import Judge, Tail, refuse
from stillme.transfer.steps.switching.target_watch import TargetWatch
from stillme.transfer.steps.switching.thaw import PATIENCE, await_locks, thaw_files
from stillme.transfer.steps.switching.unseen import Unseen
from stillme.transfer.steps.syncing import file_states
from stillme.transfer.steps.syncing.file_states import State
from stillme.transfer.steps.syncing.live_file import LiveFile

_ASKED = 3
_LEFT_TO_THE_FREEZE = 1_000


class ToTarget(Switch):
    """One try of a cut-over. The caller holds the writer's lock."""

    name = "cut-over"
    advice = "let manage.py sync_sqlite --follow catch up, or try at a quieter time"
    leaves_target = False
    marked = State.LIVE
    unknown = (
        "PostgreSQL does not answer, so it is not known whether the switch was made. The files "
        "stay frozen, so that no write is lost on the wrong side. When the server is back, run "
        "manage.py migration_status: live means done; else manage.py sync_sqlite --unfreeze lets "
        "the files take writes again."
    )

    def __init__(
        self,
        options: CutoverOptions,
        files: Sequence[LegacyFile],
        run: Run,
        judge: Judge,
        on_event: OnEvent,
    ) -> None:
        super().__init__(options.database, files, run, on_event, options.freeze_limit)
        self.options, self.judge = options, judge
        names = [file.name for file in files]
        self.result = CutoverResult(run.pk, files=names, unswitched=unswitched(files))
        self.follower = Follower(FollowOptions(database=self.alias), files, run, on_event)
        decided = self._decided_foreign()
        self.watch = TargetWatch(self.alias, names, decided)
        self.tail = Tail(self.alias, judge, decided)
        self.follower.on_round = self.tail.note
        self.follower.on_decision = self.tail.decide_again
        self.follower.keeps_log = True
        self.unseen = Unseen()

    def work(self) -> None:
        """Sweep, drain, freeze, drain, verify, mark."""
        self.follower.open()
        steps: dict[str, Callable[[], None]] = {
            "watch PostgreSQL": lambda: self.watch.begin(self.options.freeze_limit),
            "sweep": lambda: self.unseen.sweep(self.follower),
            "prepare the proof": self._prepare_tail,
            "drain while writes go on": self._drain_open,
            "sweep what came": lambda: self.unseen.renew(self.follower, self.tail),
            "verify what was drained": self._verify_drained,
            "drain what came meanwhile": self._drain_open,
            "find the files free": lambda: await_locks(self.files, self.options.freeze_limit),
            "freeze": self._freeze,
            "drain the rest": self._drain_frozen,
            "verify the tail": self._verify_tail,
            "sequences": self._set_sequences,
            "reverse capture and mark": self._mark,
        }
        for name, step in steps.items():
            began = time.monotonic()
            self.limit.step = name
            step()
            self.result.steps[name] = time.monotonic() - began
            self.on_event(Event("step", {"name": name, "seconds": self.result.steps[name]}))

    def attempt(self) -> None:
        """The try; at its end the files are closed and the snapshots deleted."""
        try:
            super().attempt()
        finally:
            self.unseen.close()
            self.follower.close()

    def undo(self, error: BaseException) -> None:
        """Let writers in again, then take off what watched PostgreSQL."""
        try:
            super().undo(error)
        finally:
            if sentence := self.watch.end():
                self.say(sentence)

    def let_writers_in(self) -> str | None:
        """Unfreeze every file."""
        if self.limit.began is None:
            return None
        left = thaw_files(self.files, self.limit.until_end + PATIENCE)
        if not left:
            self.say("The files take writes again.")
        return " ".join(left.values())

    def _decided_foreign(self) -> dict[str, Collection[str]]:
        """File -> tables whose foreign rows the operator accepted.

        Those are the tables that the go/no-go list showed. Tables in which only the cut-over's
        sweep finds such rows were not accepted.
        """
        if "foreign" not in self.options.overrides:
            return {}
        stands = [file_states.standing(self.alias, file.name) for file in self.files]
        return {stand.file: stand.details.get("foreign") or () for stand in stands}

    def _prepare_tail(self) -> None:
        for live in self.follower.live.values():
            self.tail.prepare(live)
            self.tail.note_log(live, 0)

    def _drain_open(self) -> None:
        """Catch up before the freeze, so that little is left for it.

        A file that stays locked is waited for no longer than the freeze may take.
        """
        follower = self.follower
        goals = follower.goals()
        moved = time.monotonic()
        while behind := follower.behind(goals):
            if sum(follower.step(name) for name in follower.live):
                moved = time.monotonic()
            elif time.monotonic() - moved > self.options.freeze_limit:
                raise TransferError(
                    f"{behind[0].file.path} could not be read for "
                    f"{self.options.freeze_limit:g} s, another process keeps it locked: "
                    "wait until it is free, or restart the application, and run again."
                )
            else:
                time.sleep(follower.options.interval)
            follower.notes.report(follower.live)

    def _freeze(self) -> None:
        """All files, in one order: no writer may pass between two of them for long."""
        tables = {name: live.captured() for name, live in self.follower.live.items()}
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
                found = live.look(100_000)
                if sentence := shown_offsets(live, found):
                    raise TransferError(f"{sentence}.")
                if self.follower.decides_otherwise(found):
                    raise TransferError(
                        f"{file.name}: the last writes (a number of another unit, another column) "
                        "change how other rows are read; run manage.py sync_sqlite --once, then "
                        "cut over again."
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
            open_files = self.follower.live.values()
            sentences = [said for live in open_files for said in self.tail.differing(live)]
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
        refuse_if_open(self.alias)
        for file in self.files:
            live = self._watched(file)
            self.unseen.touch(live, self.tail, self.limit.watch)
            self.judge.patience = self.limit.left()
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
        with transaction.atomic(using=self.alias, durable=True):
            self.watch.settle(self.patience())
            now = file_states.server_now(self.alias)
            for file in self.files:
                file_states.move(self.alias, file.name, State.LIVE, live_since=now)
            self._freeze_for_good()
            refuse_if_it_came(self.files)
            require_exclusive(self.alias)
            self.limit.left()
            self._mark_was_sent = True

    def _freeze_for_good(self) -> None:
        for file in self.files:
            live = self._watched(file)
            last = freeze(
                file.path,
                live.captured(),
                seconds=None,
                timeout=self.limit.left(),
                at_lock=partial(self.unseen.at_last_lock, file.name),
            )
            live.check_disk()
            if last != live.standing().position:
                raise TransferError(
                    f"{file.name} was written to after it was drained: the freeze had run out; "
                    "cut over again with a longer --freeze-limit."
                )

    def _watched(self, file: LegacyFile) -> LiveFile:
        """The open file; from now on it waits for locks no longer than the limit allows."""
        live = self.follower.live[file.name]
        self.limit.watch(live.connection)
        return live
