"""The follower: round after round over all files, patient with locked ones.

A round on one file: `PRAGMA data_version` says whether anybody has committed; if so, the change log
is read from the position on, and with it the rows of the changed keys as they are now, in one short
read. The rows go through the loader's conversions into a stage and are merged into the target; the
position moves in the same transaction, so no change is left out or done twice. Every ten seconds
the log is cut behind the position. Now and then a sweep compares digests of key ranges, to find
what was written without the triggers. A killed follower loses nothing.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from django.db import transaction

from stillme.transfer.errors import LegacyFileError
from stillme.transfer.findings import OnEvent
from stillme.transfer.models import Run
from stillme.transfer.plumbing.interrupts import Stop
from stillme.transfer.records.live_files import place
from stillme.transfer.registry import LegacyFile
from stillme.transfer.steps.following.followed_file import FileWatch
from stillme.transfer.steps.following.notes import FollowerNotes
from stillme.transfer.steps.following.pace import Pace
from stillme.transfer.steps.following.result import FollowOptions, FollowResult
from stillme.transfer.steps.replaying.adopt_foreign import settle_foreign
from stillme.transfer.steps.replaying.decision_watch import DecisionWatch
from stillme.transfer.steps.replaying.read_again import read_again
from stillme.transfer.steps.replaying.replay import replay_round
from stillme.transfer.steps.replaying.sweep import Swept, sweep_file
from stillme.transfer.steps.syncing import file_states
from stillme.transfer.steps.syncing.file_clock import clock_problem, unknown_offsets
from stillme.transfer.steps.syncing.file_condition import require_followable
from stillme.transfer.steps.syncing.file_decisions import (
    Change,
    change_between,
    change_since,
    loaded_signature,
)
from stillme.transfer.steps.syncing.file_states import State
from stillme.transfer.steps.syncing.live_file import LiveFile, Round


class Stopped(Exception):
    """The follower was told to end in the middle of something that can be done again."""


class Follower:
    """The rounds over all files. The caller holds the writer's lock.

    `open` checks that every file is the one that was followed; `run` does rounds until it has to
    stop. A cut-over takes single steps (`step`, `sweep`), and learns by `on_round` what to prove.
    """

    def __init__(
        self, options: FollowOptions, files: Sequence[LegacyFile], run: Run, on_event: OnEvent
    ) -> None:
        self.alias = options.database
        self.options = options
        self.files = files
        self.run_id = run.pk
        self.notes = FollowerNotes(self.alias, files, on_event)
        self.live: dict[str, LiveFile] = {}
        self.positions: dict[str, int] = {}
        self._seen: dict[str, FileWatch] = {}
        self._paces: dict[str, Pace] = {}
        self._sweeping = False
        # A cut-over tells by the log what was written since its sweep: no trim then.
        self.keeps_log = False
        self.stop: Stop = threading.Event()
        self.on_round: Callable[[Round], None] = lambda found: None
        self.on_decision: Callable[[LiveFile], None] = lambda live: None
        self._watches: dict[str, DecisionWatch] = {}
        self._told: set[str] = set()

    def open(self) -> None:
        """Open every file, check that it is the one that was followed, set its state."""
        for file in self.files:
            live = LiveFile(file, self.run_id, alias=self.alias, overwrite=False)
            self.live[file.name] = live
            require_followable(self.alias, live)
        self._settle_restored()
        for file in self.files:
            live = self.live[file.name]
            stand = file_states.standing(self.alias, file.name)
            live.follow_from(stand)
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
                seen_at = file_states.server_now(self.alias)
                file_states.move(
                    self.alias, file.name, State.FOLLOWING,
                    decided=decided, seen_at=seen_at, ended_at=None, **known,
                )  # fmt: skip
            self.positions[file.name] = stand.position
            schema_version = int(stand.details.get("schema_version", -1))
            self._seen[file.name] = FileWatch(live, stand.position, schema_version)
            self._paces[file.name] = Pace(self.options.batch)

    def _settle_restored(self) -> None:
        """In a database restored from a dump nobody knows who wrote the rows: compare them."""
        stands = file_states.standings(self.alias, list(self.live))
        if not any("restored" in stand.details for stand in stands.values()):
            return
        self.notes.say("The database was restored from a dump: comparing every row with the files.")
        self._settle_foreign()

    def _settle_foreign(self) -> None:
        found = settle_foreign(self.alias, list(self.live.values()), self._breathe)
        self.notes.say_foreign(found)

    def _breathe(self) -> None:
        """Between two parts of a long work: give a sign of life, end where it was told to."""
        if self.stop.is_set():
            raise Stopped
        self.notes.sign()

    def close(self) -> None:
        """Close the files."""
        for live in self.live.values():
            live.close()

    def run(self, stop: Stop) -> FollowResult:
        """Rounds until told to stop, or drained."""
        self.stop = stop
        result = FollowResult(self.run_id, list(self.notes.done.values()))
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
        self.notes.sign(ended=True)
        return result

    def step(self, name: str) -> int:
        """One round on one file: the number of changes replayed. A locked file waits its turn."""
        pace = self._paces[name]
        if pace.is_waiting:
            return 0
        try:
            replayed = self._round(name)
        except LegacyFileError as error:
            if "is locked" not in str(error):
                raise
            pause = pace.wait()
            self.notes.say(f"{name}: the file is locked, trying again in {pause:.1f} s.")
            return 0
        pace.go_on()
        return replayed

    def _round(self, name: str) -> int:
        live, seen, pace = self.live[name], self._seen[name], self._paces[name]
        version = seen.new_version(self.positions[name])
        if version is None:
            return 0
        began, limit = time.monotonic(), pace.limit
        found = live.look(self.positions[name], limit)
        if found.changes:
            replayed = replay_round(self.alias, live, found)
            self.on_round(found)
            self._tell_offsets(shown_offsets(live, found))
            self.positions[name] = found.end
            seconds = time.monotonic() - began
            self.notes.count(name, found, replayed, seconds)
            pace.note_round(found.changes, seconds)
        if self.decides_otherwise(name, found):
            self._decide_again(name)
        if found.changes < limit:
            seen.version = version
        if seen.may_be_trimmed(self.positions[name]):
            self._trim(name)
        return found.changes

    def decides_otherwise(self, name: str, found: Round) -> bool:
        """Whether, with this round, rows mean something else that nobody wrote to."""
        live, watch = self.live[name], self._watches[name]
        # Where the schema has changed, the file was read again on the way.
        if watch.decisions.means_the_same(live.decisions):
            if not watch.may_change(found):
                return False
            decisions = live.decide()
            if watch.decisions.means_the_same(decisions):
                # They are counted now: the next rounds need not be asked about them again.
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
            file_states.note(self.alias, name, decided=live.decisions.signature())

    def _tell_offsets(self, sentence: str) -> None:
        """Once for each sentence: rows with twins are read right, others wait for an import."""
        if sentence and sentence not in self._told:
            self._told.add(sentence)
            self.notes.say(f"{sentence}.")

    def _read_again(self, live: LiveFile, change: Change) -> bool:
        if change:
            self.notes.say(f"{live.file.name}: {change.sentence()}, reading again.")
            read_again(self.alias, live, change, self._breathe)
        return bool(change)

    def _trim(self, name: str) -> None:
        """Delete what was replayed from a file's change log."""
        if self._sweeping or self.keeps_log:
            # The sweep tells by the log what was written since its snapshot.
            return
        position = self.positions[name]
        with transaction.atomic(using=self.alias):
            # This commit waits for the disk, and with it every round before.
            file_states.note(self.alias, name, trimmed_to=position)
        self._seen[name].trim(position)

    def trim_all(self) -> None:
        """Trim every log, as far as the writers let us."""
        for name in self.live:
            with suppress(LegacyFileError):
                self._trim(name)

    def sweep_is_due(self) -> bool:
        """Whether a file's schema changed since its last sweep: a table may have been rebuilt with
        the triggers put back, and no trigger tells what that did to its rows."""
        return any(seen.live.schema_version != seen.swept_under for seen in self._seen.values())

    def sweep(self, directory: Path | None = None) -> list[Swept]:
        """Sweep every file and note the outcome; the snapshots stay in `directory`."""
        found = []
        self._settle_foreign()
        for name, live in self.live.items():
            self._sweeping = True
            try:
                swept = sweep_file(self.alias, live, self._keep_up, directory)
            finally:
                self._sweeping = False
            self.positions[name] = file_states.standing(self.alias, name).position
            found.append(swept)
            self._note_sweep(live, swept)
            self.notes.say_swept(name, swept.bypassed)
        return found

    def _note_sweep(self, live: LiveFile, swept: Swept) -> None:
        name = live.file.name
        self._seen[name].swept_under = swept.schema_version
        with transaction.atomic(using=self.alias):
            file_states.note(
                self.alias,
                name,
                swept_at=file_states.server_now(self.alias),
                schema_version=swept.schema_version,
                bypassed={t: k[:20] for t, k in swept.bypassed.items()} or None,
            )

    def _keep_up(self) -> None:
        """A round on every file between two ranges: a sweep takes seconds, the lag must not."""
        self._breathe()
        for name in self.live:
            self.positions[name] = file_states.standing(self.alias, name).position
            self.step(name)
        self.report()

    def report(self, *, force: bool = False) -> None:
        """Tell the lag and write it down, about once a second."""
        self.notes.report(self.live, self.positions, force=force)


def shown_offsets(live: LiveFile, found: Round) -> str:
    """The sentence for rows of a round with offsets that the last import did not see, or ""."""
    shown = (row.row_offset for rows in found.rows.values() for row in rows)
    return unknown_offsets(live.file.name, live.decisions.clock, shown)
