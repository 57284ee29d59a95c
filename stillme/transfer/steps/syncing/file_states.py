"""The state of each legacy file on this target, and what may be done in it.

A file starts *absent*. `sync_sqlite --install` makes it *captured*, a complete import *loaded*, a
follower *following*, the cut-over *live*; the way back makes it *rolled back*, and following starts
again from there. `cutover --finish` makes a live file *finished*, and nothing leads on. `WAYS` is
the whole machine: commands, dry runs, `migration_status`, the dashboard and the go/no-go list ask
it, and no message advises what it does not allow.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from django.db import connections, transaction
from django.utils import timezone

from stillme.postgresql.statements import set_local
from stillme.transfer.errors import StateError
from stillme.transfer.mapping import split_table
from stillme.transfer.models import FileState, Run, RunFile, RunTable
from stillme.transfer.postgresql.copy import fetch_all
from stillme.transfer.registry import LegacyFile, legacy_files, legacy_models

State = FileState.State


class Action(StrEnum):
    """What a command does with a legacy file; the value names it in messages."""

    INSTALL = "installing capture"
    REMOVE = "removing capture"
    IMPORT = "import_sqlite"
    FOLLOW = "following"
    CUT_OVER = "the cut-over"
    ROLL_BACK = "the way back"
    FINISH = "finishing"


# State -> what can be done in it -> the state that this leads to. Capture that is installed again
# and is still the same leaves the state as it is. `sync_sqlite --unfreeze` and
# `rollback_migration --to-backup` are possible in every state but finished.
WAYS: dict[str, dict[Action, State]] = {
    State.ABSENT: {
        Action.INSTALL: State.CAPTURED,
        Action.REMOVE: State.ABSENT,
        Action.IMPORT: State.ABSENT,
    },
    State.CAPTURED: {
        Action.INSTALL: State.CAPTURED,
        Action.REMOVE: State.ABSENT,
        Action.IMPORT: State.LOADED,
        # The follower loads the file first.
        Action.FOLLOW: State.LOADED,
    },
    State.LOADED: {
        Action.INSTALL: State.CAPTURED,
        Action.REMOVE: State.ABSENT,
        Action.IMPORT: State.LOADED,
        Action.FOLLOW: State.FOLLOWING,
    },
    State.FOLLOWING: {
        Action.INSTALL: State.CAPTURED,
        Action.REMOVE: State.ABSENT,
        Action.IMPORT: State.FOLLOWING,
        Action.FOLLOW: State.FOLLOWING,
        Action.CUT_OVER: State.LIVE,
    },
    State.LIVE: {Action.ROLL_BACK: State.ROLLED_BACK, Action.FINISH: State.FINISHED},
    State.FINISHED: {},
    State.ROLLED_BACK: {
        Action.INSTALL: State.CAPTURED,
        Action.REMOVE: State.ABSENT,
        Action.IMPORT: State.ROLLED_BACK,
        Action.FOLLOW: State.FOLLOWING,
    },
}

# PostgreSQL holds the only copy of what was written since.
TARGET_IN_CHARGE = (State.LIVE, State.FINISHED)
FINISHED = (
    "{} is finished: PostgreSQL is in charge, and cutover --finish closed the way back. "
    "The old file is an archive."
)
MEANING = {
    State.ABSENT: "no capture installed; a file that is still written needs it to be followed",
    State.CAPTURED: "writes are captured",
    State.LOADED: "rows are loaded",
    State.FOLLOWING: "writes are replayed",
    State.LIVE: "PostgreSQL is in charge",
    State.ROLLED_BACK: "the file is in charge again",
    State.FINISHED: "PostgreSQL is in charge, and the way back is closed",
}

NEXT_STEP = {
    State.ABSENT: (
        "install capture: manage.py sync_sqlite --install (not with the application stopped: "
        "docs/howto/move-with-the-application-stopped.md)"
    ),
    State.CAPTURED: "load the files: manage.py import_sqlite (or sync_sqlite --once)",
    State.LOADED: "follow the files: manage.py sync_sqlite --follow",
    State.FOLLOWING: "check the list: manage.py cutover --dry-run",
    State.LIVE: "nothing to do; the way back is manage.py rollback_migration",
    State.ROLLED_BACK: "follow the files again: manage.py sync_sqlite --follow",
    State.FINISHED: "nothing to do; docs/howto/finish.md leaves the engine out",
}


@dataclass(frozen=True, slots=True)
class Standing:
    """A file's state as the ledger has it: ``rss``, ``following``, replayed up to change 1,204."""

    file: str
    state: str
    position: int
    details: dict[str, Any]

    @property
    def is_captured(self) -> bool:
        """Whether the file is in charge and its writes are captured for this target."""
        return self.state != State.ABSENT and self.state not in TARGET_IN_CHARGE

    @property
    def capture_id(self) -> str:
        """The identity of the capture that was installed for this target, or ""."""
        return str(self.details.get("capture_id") or "")

    @property
    def next_step(self) -> str:
        """The sentence that says how to go on."""
        return NEXT_STEP[State(self.state)]

    def allows(self, action: Action) -> bool:
        """Whether this can be done with the file now."""
        return action in WAYS[self.state]

    def refusal(self, action: Action) -> str:
        """Why it cannot be done now, with the next step; "" where it can."""
        if self.allows(action):
            return ""
        if self.state == State.FINISHED:
            return FINISHED.format(self.file)
        if action is Action.IMPORT:
            return (
                f"{self.file} is live on PostgreSQL since the cut-over: an import would bring back "
                "what the file held then. The way back is manage.py rollback_migration."
            )
        wanted = " or ".join(_said(state) for state, ways in WAYS.items() if action in ways)
        return (
            f"{self.file} is {_said(self.state)}, {action} needs it to be {wanted}. Next: "
            f"{self.next_step}."
        )


def _said(state: str) -> str:
    """The state as a person says it."""
    return "not captured" if state == State.ABSENT else state


def standing(alias: str, file: str) -> Standing:
    """Where a file stands. Writes nothing."""
    row = FileState.objects.using(alias).filter(pk=file).first()
    if row is None:
        return Standing(file, State.ABSENT, 0, {})
    return Standing(file, row.state, row.position, dict(row.details))


@contextmanager
def held(alias: str, file: str) -> Iterator[Standing]:
    """A transaction in which nobody else moves the file; where it stands then."""
    with transaction.atomic(using=alias):
        _wait_for_the_disk(alias)
        _locked(alias, file)
        yield standing(alias, file)


def files_in(alias: str, state: State) -> list[LegacyFile]:
    """The files in this state."""
    return [file for file in legacy_files() if standing(alias, file.name).state == state]


def require(alias: str, files: Iterable[str], action: Action) -> None:
    """Raise StateError for the first file that this cannot be done with now."""
    refuse_other_files(alias)
    for file in files:
        if sentence := standing(alias, file).refusal(action):
            raise StateError(sentence)


def refuse_other_files(alias: str, *, anywhere: bool = False) -> None:
    """Raise StateError where a file that the settings do not name has its rows in our tables.

    Other settings of the same target captured it, or made the switch with it: under another name,
    or together with others. `anywhere`: in whatever tables.
    """
    others = FileState.objects.using(alias).exclude(state=State.ABSENT)
    targets = {
        "{}.{}".format(*split_table(model.target_model()._meta.db_table))
        for model in legacy_models()
    }
    for row in others.exclude(pk__in=[file.name for file in legacy_files()]):
        tables = RunTable.objects.using(alias).filter(file=row.pk, target__in=targets)
        if anywhere or tables.exists():
            raise StateError(
                f"In this database {row.pk} is {row.state} ({row.details.get('path', 'no path')}), "
                "and these settings do not name it: run the command with the settings that do."
            )


def note_loaded(alias: str, run: Run) -> None:
    """After a complete import: the files captured before it began are loaded, not captured only.

    An import of some tables does not load a file, nor does one of a copy at another path.
    """
    if run.status != Run.Status.COMPLETED or run.options.get("tables"):
        return
    for loaded in RunFile.objects.using(alias).filter(run=run):
        row = FileState.objects.using(alias).filter(pk=loaded.file, state=State.CAPTURED)
        found = row.filter(details__path=loaded.path).first()
        # Whether capture was there when the run began: by number, as clocks are set back.
        if found and run.pk > found.details.get("captured_after", 0):
            move(alias, loaded.file, State.LOADED)


def move(alias: str, file: str, state: str, position: int | None = None, **details: Any) -> None:
    """Set the state, and the replayed position. Raises StateError where no way leads there.

    A detail given as None is removed.
    """
    with transaction.atomic(using=alias, savepoint=False):
        _wait_for_the_disk(alias)
        row = _locked(alias, file) or FileState(file=file, state=State.ABSENT)
        if state != row.state and state not in WAYS[row.state].values():
            step = NEXT_STEP[State(row.state)]
            raise StateError(f"{file} is {_said(row.state)} and cannot become {state}: {step}.")
        row.state = state
        row.changed_at = timezone.now()
        row.position = row.position if position is None else position
        _save(alias, row, details)


def note(alias: str, file: str, **details: Any) -> None:
    """Add to the details of a file that has a state."""
    with transaction.atomic(using=alias, savepoint=False):
        _wait_for_the_disk(alias)
        if row := _locked(alias, file):
            _save(alias, row, details)


def advance(alias: str, file: str, expected: int, position: int, **details: Any) -> None:
    """Move the replayed position on, in the transaction of the changes (exactly once)."""
    row = _locked(alias, file)
    if row is None or row.position != expected:
        raise StateError(
            f"{file} was replayed to {row and row.position} by somebody else, not to {expected}: "
            "end the other follower and run again."
        )
    row.position = position
    _save(alias, row, details)


def _wait_for_the_disk(alias: str) -> None:
    """Have the present transaction's commit on disk before it is answered, whatever is usual here.

    A state that a crash takes back would put both sides in charge after a rollback.
    """
    if fetch_all(alias, "SHOW synchronous_commit") == [("off",)]:
        set_local(connections[alias], {"synchronous_commit": "on"})


def _locked(alias: str, file: str) -> FileState | None:
    return FileState.objects.using(alias).select_for_update().filter(pk=file).first()


def _save(alias: str, row: FileState, details: dict[str, Any]) -> None:
    row.details = {k: v for k, v in {**row.details, **details}.items() if v is not None}
    row.save(using=alias)


def server_now(alias: str) -> str:
    """PostgreSQL's clock, as text: times in the ledger come from one clock."""
    return str(fetch_all(alias, "SELECT clock_timestamp()::text")[0][0])
