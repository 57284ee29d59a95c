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
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from stillme.transfer.errors import LegacyFileError
from stillme.transfer.findings import OnEvent
from stillme.transfer.models import Run
from stillme.transfer.plumbing.interrupts import Stop
from stillme.transfer.registry import LegacyFile
from stillme.transfer.steps.following.followed_file import FollowedFile
from stillme.transfer.steps.following.notes import FollowerNotes, FollowOptions, FollowResult
from stillme.transfer.steps.replaying.replay import read_again, replay_round
from stillme.transfer.steps.replaying.settle_foreign import settle_foreign
from stillme.transfer.steps.replaying.sweep import Swept, sweep_file
from stillme.transfer.steps.syncing import file_states
from stillme.transfer.steps.syncing.file_clock import clock_problem, unknown_offsets
from stillme.transfer.steps.syncing.file_condition import require_followable
from stillme.transfer.steps.syncing.file_decisions import (
    Signature,
    change_since,
    loaded_signature,
    may_change,
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
        self._followed: dict[str, FollowedFile] = {}
        self._sweeping = False
        # A cut-over tells by the log what was written since its sweep: no trim then.
        self.keeps_log = False
        self.stop: Stop = threading.Event()
        self.on_round: Callable[[Round], None] = lambda found: None
        self.on_decision: Callable[[LiveFile], None] = lambda live: None
        self._told: set[str] = set()

    def open(self) -> None:
        """Open every file, check that it is the one that was followed, set its state."""
        for file in self.files:
            live = LiveFile(file, self.run_id, alias=self.alias, overwrite=False)
            self.live[file.name] = live
            require_followable(self.alias, live)
        self._settle_restored()
        for live in self.live.values():
            self._take_up(live)

    def _take_up(self, live: LiveFile) -> None:
        name, stand = live.file.name, live.follow()
        judged = stand.details.get("decided") or loaded_signature(self.alias, name)
        if judged is not None:
            self._read_again(live, judged)
        tables = list(live.mappings.values())
        self._tell_offsets(clock_problem(self.alias, name, live.connection, tables))
        file_states.move(
            self.alias, name, State.FOLLOWING, decided=live.decisions.signature(),
            seen_at=file_states.server_now(self.alias), ended_at=None,
        )  # fmt: skip
        self._followed[name] = FollowedFile(live, stand, self.options.batch)

    def _settle_restored(self) -> None:
        """In a database restored from a dump nobody knows who wrote the rows: compare them."""
        if not any("restored" in live.standing().details for live in self.live.values()):
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

    def goals(self) -> dict[str, int]:
        """The number of the last change in each file now."""
        return {name: live.log.last() for name, live in self.live.items()}

    def behind(self, goals: Mapping[str, int]) -> list[LiveFile]:
        """The files that are not replayed up to these numbers."""
        return [live for n, live in self.live.items() if live.standing().position < goals[n]]

    def run(self, stop: Stop) -> FollowResult:
        """Rounds until told to stop, or drained."""
        self.stop = stop
        result = FollowResult(self.run_id, list(self.notes.done.values()))
        goals = self.goals()
        next_sweep = time.monotonic() + self.options.sweep_every
        while not stop.is_set():
            replayed = sum(self.step(name) for name in self.live)
            self.notes.report(self.live)
            if self.options.once and not self.behind(goals):
                break
            if self.options.sweep_every and (time.monotonic() >= next_sweep or self.sweep_is_due()):
                result.swept += self.sweep()
                next_sweep = time.monotonic() + self.options.sweep_every
            if not replayed:
                stop.wait(self.options.interval)
        if self.options.sweep and not stop.is_set():
            result.swept += self.sweep()
        self.trim_all()
        self.notes.report(self.live, force=True)
        self.notes.sign(ended=True)
        return result

    def step(self, name: str) -> int:
        """One round on one file: the number of changes replayed. A locked file waits its turn."""
        pace = self._followed[name].pace
        if pace.is_waiting:
            return 0
        try:
            replayed = self._round(self._followed[name])
        except LegacyFileError as error:
            if "is locked" not in str(error):
                raise
            pause = pace.wait()
            self.notes.say(f"{name}: the file is locked, trying again in {pause:.1f} s.")
            return 0
        pace.go_on()
        return replayed

    def _round(self, followed: FollowedFile) -> int:
        live, pace = followed.live, followed.pace
        version = followed.new_version()
        if version is None:
            return 0
        began, limit = time.monotonic(), pace.limit
        found = live.look(limit)
        if found.changes:
            replayed = replay_round(self.alias, live, found)
            self.on_round(found)
            self._tell_offsets(shown_offsets(live, found))
            self.notes.count(found, replayed)
            pace.note_round(found.changes, time.monotonic() - began)
        if self.decides_otherwise(found):
            self._decide_again(followed)
        if found.changes < limit:
            followed.version = version
        if followed.may_be_trimmed(found.end):
            self._trim(followed)
        return found.changes

    def decides_otherwise(self, found: Round) -> bool:
        """Whether, with this round, rows mean something else that nobody wrote to."""
        followed = self._followed[found.file]
        live, decided = followed.live, followed.decided
        # Where the schema has changed, the file was read again on the way.
        if decided.means_the_same(live.decisions):
            if not may_change(decided, live.mappings, found.keys, found.rows):
                return False
            decisions = live.decide()
            if decided.means_the_same(decisions):
                # They are counted now: the next rounds need not be asked about them again.
                followed.decided = decisions
                return False
        return True

    def _decide_again(self, followed: FollowedFile) -> None:
        live, before = followed.live, followed.decided.signature()
        live.forget()
        live.refresh()
        followed.decided = live.decisions
        if self._read_again(live, before):
            self.on_decision(live)
        file_states.note(self.alias, live.file.name, decided=live.decisions.signature())

    def _tell_offsets(self, sentence: str) -> None:
        """Once for each sentence: rows with twins are read right, others wait for an import."""
        if sentence and sentence not in self._told:
            self._told.add(sentence)
            self.notes.say(f"{sentence}.")

    def _read_again(self, live: LiveFile, judged: Signature) -> bool:
        """Read rows again that mean something else than under these decisions, if any do."""
        change = change_since(judged, live.decisions, live.mappings, live.schema.digest)
        if change:
            self.notes.say(f"{live.file.name}: {change.sentence()}, reading again.")
            read_again(self.alias, live, change, self._breathe)
        return bool(change)

    def _trim(self, followed: FollowedFile) -> None:
        """Delete what was replayed from a file's change log."""
        if self._sweeping or self.keeps_log:
            # The sweep tells by the log what was written since its snapshot.
            return
        stand = followed.live.standing()
        # This commit waits for the disk, and with it every round before.
        file_states.note(self.alias, stand.file, trimmed_to=stand.position)
        followed.trim(stand)

    def trim_all(self) -> None:
        """Trim every log, as far as the writers let us."""
        for followed in self._followed.values():
            with suppress(LegacyFileError):
                self._trim(followed)

    def sweep_is_due(self) -> bool:
        """Whether a file's schema changed since its last sweep.

        A table may have been rebuilt and its triggers put back; no trigger tells what that did to
        its rows.
        """
        return any(f.live.schema_version != f.swept_under for f in self._followed.values())

    def sweep(self, directory: Path | None = None) -> list[Swept]:
        """Sweep every file and note the outcome; the snapshots stay in `directory`."""
        found = []
        self._settle_foreign()
        for followed in self._followed.values():
            self._sweeping = True
            try:
                swept = sweep_file(self.alias, followed.live, self._keep_up, directory)
            finally:
                self._sweeping = False
            found.append(swept)
            followed.swept_under = swept.schema_version
            self.notes.sweep(swept)
        return found

    def _keep_up(self) -> None:
        """A round on every file between two ranges: a sweep takes seconds, the lag must not."""
        self._breathe()
        for name in self.live:
            self.step(name)
        self.notes.report(self.live)


def shown_offsets(live: LiveFile, found: Round) -> str:
    """The sentence for rows of a round with offsets that the last import did not see, or ""."""
    shown = (row.row_offset for rows in found.rows.values() for row in rows)
    return unknown_offsets(live.file.name, live.decisions.clock, shown)
