"""The state machine of a legacy file: where it stands, what may come next.

absent -> captured -> loaded -> following -> live -> rolled back -> following ...
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from django.db import connections, transaction
from django.utils import timezone

from stillme.transfer.errors import StateError
from stillme.transfer.models import FileState, Run, RunFile
from stillme.transfer.postgresql.copy import fetch_all

State = FileState.State

NEXT_STEP = {
    State.ABSENT: "install capture: manage.py sync_sqlite --install",
    State.CAPTURED: "load the files: manage.py import_sqlite (or sync_sqlite --once)",
    State.LOADED: "follow the files: manage.py sync_sqlite --follow",
    State.FOLLOWING: "check the list: manage.py cutover --dry-run",
    State.LIVE: "nothing to do; the way back is manage.py rollback_migration",
    State.ROLLED_BACK: "follow the files again: manage.py sync_sqlite --follow",
}

_ALLOWED: dict[str, frozenset[str]] = {
    State.ABSENT: frozenset({State.CAPTURED}),
    State.CAPTURED: frozenset({State.ABSENT, State.CAPTURED, State.LOADED}),
    State.LOADED: frozenset({State.ABSENT, State.CAPTURED, State.FOLLOWING}),
    State.FOLLOWING: frozenset({State.ABSENT, State.CAPTURED, State.FOLLOWING, State.LIVE}),
    State.LIVE: frozenset({State.ROLLED_BACK}),
    State.ROLLED_BACK: frozenset({State.ABSENT, State.CAPTURED, State.FOLLOWING}),
}


@dataclass(frozen=True, slots=True)
class Standing:
    """A file's state as read from the ledger."""

    file: str
    state: str
    position: int
    details: dict[str, Any]

    @property
    def next_step(self) -> str:
        """The sentence that says how to go on."""
        return NEXT_STEP[State(self.state)]


def standing(alias: str, file: str) -> Standing:
    """Where a file stands; a load that ended since capture moves it from captured to loaded."""
    row = FileState.objects.using(alias).filter(pk=file).first()
    if row is not None and row.state == State.CAPTURED and loaded_since_capture(alias, row):
        with transaction.atomic(using=alias):
            move(alias, file, State.LOADED)
        row.refresh_from_db()
    return _standing(file, row, row.state if row is not None else State.ABSENT)


def seen_standing(alias: str, file: str) -> Standing:
    """The same without writing anything: for who only looks."""
    row = FileState.objects.using(alias).filter(pk=file).first()
    if row is not None and row.state == State.CAPTURED and loaded_since_capture(alias, row):
        return _standing(file, row, State.LOADED)
    return _standing(file, row, row.state if row is not None else State.ABSENT)


def _standing(file: str, row: FileState | None, state: str) -> Standing:
    if row is None:
        return Standing(file, State.ABSENT, 0, {})
    return Standing(file, state, row.position, dict(row.details))


def standings(alias: str, files: Iterable[str]) -> dict[str, Standing]:
    """Every file's standing."""
    return {file: standing(alias, file) for file in files}


def loaded_since_capture(alias: str, row: FileState) -> bool:
    """Whether a complete import of the file began after capture was installed."""
    since = row.details.get("captured_at")
    if since is None:
        return False
    return bool(
        RunFile.objects.using(alias)
        .filter(
            file=row.file,
            run__command="import_sqlite",
            run__status=Run.Status.COMPLETED,
            run__started_at__gte=since,
            run__options__tables=[],
            path=row.details.get("path", ""),
        )
        .exists()
    )


def require(stand: Standing, *states: str, what: str) -> None:
    """Raise StateError unless the file is in one of the states."""
    if stand.state not in states:
        wanted = " or ".join(states)
        raise StateError(
            f"{stand.file} is {stand.state}, {what} needs it to be {wanted}. Next: "
            f"{stand.next_step}."
        )


def refuse_when_live(alias: str, files: Iterable[str], command: str) -> None:
    """Raise StateError where PostgreSQL is in charge: a load would bring back old rows."""
    for file in files:
        stand = standing(alias, file)
        if stand.state == State.LIVE:
            raise StateError(
                f"{file} is live on PostgreSQL since the cut-over, so {command} would bring back "
                "what the file held then: the way back is manage.py rollback_migration."
            )


def move(alias: str, file: str, state: str, **details: Any) -> None:
    """Set the state, in the caller's transaction. Raises StateError for a step that is no way.

    A detail given as None is removed.
    """
    row = FileState.objects.using(alias).select_for_update().filter(pk=file).first()
    present = row.state if row is not None else str(State.ABSENT)
    if state != present and state not in _ALLOWED[State(present)]:
        step = NEXT_STEP[State(present)]
        raise StateError(f"{file} is {present} and cannot become {state}: {step}.")
    row = row or FileState(file=file)
    row.state = state
    row.changed_at = timezone.now()
    row.details = _merged(row.details, details)
    row.save(using=alias)


def note(alias: str, file: str, **details: Any) -> None:
    """Add to the details of a file, in the caller's transaction; the state stays."""
    row = FileState.objects.using(alias).select_for_update().filter(pk=file).first()
    if row is not None:
        row.details = _merged(row.details, details)
        row.save(using=alias, update_fields=["details"])


def announce(alias: str, file: str, **details: Any) -> None:
    """Note details of a file that may have no state yet, in a transaction of its own."""
    with transaction.atomic(using=alias):
        FileState.objects.using(alias).get_or_create(pk=file)
        note(alias, file, **details)


def advance(alias: str, file: str, expected: int, position: int, **details: Any) -> None:
    """Move the replayed position on, in the transaction of the changes (exactly once)."""
    row = FileState.objects.using(alias).select_for_update().get(pk=file)
    if row.position != expected:
        raise StateError(
            f"{file} was replayed to {row.position} by somebody else, not to {expected}: "
            "end the other follower and run again."
        )
    row.position = position
    row.details = _merged(row.details, details)
    row.save(using=alias, update_fields=["position", "details"])


def restart(alias: str, file: str, position: int) -> None:
    """Set the position anew (capture installed afresh, or the way back ended)."""
    FileState.objects.using(alias).filter(pk=file).update(position=position)


def server_now(alias: str) -> str:
    """PostgreSQL's clock, as text: times in the ledger come from one clock."""
    return str(fetch_all(connections[alias], "SELECT clock_timestamp()::text")[0][0])


def _merged(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in {**old, **new}.items() if v is not None}
