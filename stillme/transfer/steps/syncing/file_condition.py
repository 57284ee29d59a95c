"""In what condition a legacy file is: the ledger's word on it, and what is found when it is opened.

The one answer behind `migration_status`, the dashboard, `sync_sqlite --status`, the go/no-go list
and the follower's first look. An example, of a file in order:

    file rss, following at change 1,204 · present · the file that was captured, with its history ·
    capture healthy · not frozen · 12 changes (0.4 s) behind · its follower gave a sign just now
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from django.db import connections

from stillme.postgresql.distributed import distributed_tables
from stillme.transfer.conf import conf
from stillme.transfer.errors import LegacyFileError, StateError
from stillme.transfer.mapping import TableMapping
from stillme.transfer.plumbing.presence import absence
from stillme.transfer.records.live_files import other_file
from stillme.transfer.registry import LegacyFile
from stillme.transfer.sqlite.capture import CaptureStatus, Health, frozen_until
from stillme.transfer.sqlite.capture.freeze import FOR_GOOD
from stillme.transfer.steps.syncing import file_states
from stillme.transfer.steps.syncing.file_clock import clock_problem, require_zone
from stillme.transfer.steps.syncing.file_states import TARGET_IN_CHARGE, Standing, State
from stillme.transfer.steps.syncing.history import frozen_elsewhere, other_history, require_capture
from stillme.transfer.steps.syncing.life_sign import START, LifeSign, Moment, life_sign
from stillme.transfer.steps.syncing.live_file import LiveFile

# Without a change table, or with one that somebody rebuilt, nobody knows what was written.
_NO_LOG = (Health.ABSENT, Health.HAND_EDITED)


class Lag(NamedTuple):
    """How far the target is behind the file."""

    changes: int = 0
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Condition:
    """One legacy file and this target, as they are now.

    `absence` says why there is no file to open, `misplaced` that the settings name another file
    than the captured one, `history` that the file lacks what was replayed from it; "" where it is
    not so. `frozen` is None where writers are let in, else the seconds left (or `FOR_GOOD`).
    """

    file: LegacyFile
    stand: Standing
    misplaced: str = ""
    absence: str = ""
    unreadable: str = ""
    capture: CaptureStatus = CaptureStatus(Health.ABSENT)  # noqa: RUF009 (frozen)
    history: str = ""
    frozen: float | None = None
    lag: Lag = Lag()  # noqa: RUF009 (immutable)
    schema_version: int = -1
    clock: str = ""
    mappings: Mapping[str, TableMapping] = field(default_factory=dict)
    sign: LifeSign = LifeSign()  # noqa: RUF009 (frozen)
    # Tables of the target are on other nodes of a cluster, where no file can be followed.
    is_distributed: bool = False

    def require_readable(self) -> None:
        """Raise LegacyFileError where the file could not be opened."""
        if self.unreadable:
            raise LegacyFileError(self.unreadable)

    @property
    def was_left_frozen(self) -> bool:
        """Whether a killed cut-over or rollback keeps the writers out of a file in charge."""
        is_ours = bool(self.stand.capture_id) and not (self.misplaced or self.history)
        in_charge = self.stand.state not in TARGET_IN_CHARGE and is_ours
        return in_charge and self.frozen == FOR_GOOD

    @property
    def problem(self) -> str:
        """What is wrong, the worst first; "" for nothing."""
        if self.stand.state == State.FINISHED:
            return ""
        if self.was_left_frozen:
            return "frozen by a cut-over or rollback that was broken off"
        if self.frozen == FOR_GOOD and not self.stand.capture_id:
            return frozen_elsewhere(self.file)
        found = (self.misplaced, self.absence, self.unreadable, *self.capture.problems)
        return next(filter(None, found), self.history)

    @property
    def next_step(self) -> str:
        """What to do, with the command: one that the state allows."""
        if self.stand.state == State.FINISHED:
            return self.stand.next_step
        if self.misplaced:
            return _READ
        if self.absence:
            nothing = f"nothing: this feature of {conf().application} is off"
            return _WITHOUT_FILE.get(self.absence, nothing)
        if self.was_left_frozen:
            return "manage.py sync_sqlite --unfreeze"
        if self.frozen == FOR_GOOD and not self.stand.capture_id:
            return _READ
        if self.is_distributed and not self.stand.is_captured:
            return "load what changed, and compare: manage.py import_sqlite, verify_migration"
        if self.stand.is_captured and not self.unreadable and not self.capture.is_healthy:
            return "install capture again: manage.py sync_sqlite --install"
        if self.history:
            return _READ
        if self.sign.problem and not self.sign.ended:
            return START
        return self.stand.next_step


_READ = "read the problem: it names the file and the way"
_HIDDEN = "its folder may not be read"
_WITHOUT_FILE = {_HIDDEN: "run as the owner of the folder, or grant access to it"}


def condition(
    alias: str, file: LegacyFile, at: Moment | None = None, *, with_clock: bool = False
) -> Condition:
    """The condition of a file. Writes nothing, and raises nothing for a file that is not right.

    With a moment also whether its follower is alive at it; `with_clock` also what its rows show of
    the local clock that the last import did not know, which reads the whole file.
    """
    stand = file_states.standing(alias, file.name)
    found = Condition(
        file,
        stand,
        other_file(alias, file) or "",
        sign=LifeSign() if at is None else life_sign(stand.state, stand.details, at),
        is_distributed=bool(distributed_tables(connections[alias])),
    )
    if (what := absence(file.path)) != "":
        return replace(found, absence=_HIDDEN if what is None else f"the file {what}")
    try:
        with closing(LiveFile(file, None)) as live:
            found = _look_into(live, found)
            if not with_clock or found.misplaced:
                return found
            tables = list(live.mappings.values())
            problem = clock_problem(alias, file.name, live.connection, tables)
            return replace(found, clock=problem)
    except LegacyFileError as error:
        return replace(found, unreadable=str(error))


def _look_into(live: LiveFile, found: Condition) -> Condition:
    capture = live.capture_status()
    history = "" if found.misplaced else history_problem(live, found.stand)
    is_ours = bool(found.stand.capture_id and capture.capture_id)
    has_log = is_ours and not (found.misplaced or history) and capture.health not in _NO_LOG
    return replace(
        found,
        capture=capture,
        history=history,
        frozen=frozen_until(live.connection),
        lag=measure_lag(live, found.stand) if has_log else Lag(),
        schema_version=live.schema_version,
        mappings=live.mappings,
    )


def history_problem(live: LiveFile, stand: Standing) -> str:
    """The sentence for a captured file whose log is not the one that was followed, or ""."""
    if stand.state == State.ABSENT or not stand.capture_id:
        return ""
    other = other_history(live.file, live.log, stand.capture_id, stand)
    if other and stand.state == State.LIVE:
        return f"{live.file.path} is not the file that the cut-over froze: put that one back."
    return other


def require_followable(alias: str, live: LiveFile) -> None:
    """Raise StateError where the changes of an open file cannot be trusted."""
    if sentence := other_file(alias, live.file):
        raise StateError(sentence)
    require_zone(alias, live.file.name)
    require_capture(live.file, live.capture_status())
    if sentence := history_problem(live, file_states.standing(alias, live.file.name)):
        raise StateError(sentence)


def measure_lag(live: LiveFile, stand: Standing) -> Lag:
    """How far the target is behind the file."""
    changes = live.log.written_after(stand.position)
    oldest = live.log.next_after(stand.position) if changes else None
    return Lag(changes, 0.0 if oldest is None else max(0.0, time.time() - oldest.at))
