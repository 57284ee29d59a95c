"""Letting writers in again after a switch was made or given up, and saying what is still locked.

A file takes writes again once the transaction that drops its freeze is committed. That transaction
needs the write lock, so it also shows that no other process keeps writers out. What a switch left
frozen when it was killed is lifted by the next command, or by `sync_sqlite --unfreeze`.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from typing import TypeVar

from django.db import Error, connections, transaction

from stillme.postgresql.connecting.explain import explain_operational_error
from stillme.postgresql.statements import set_local
from stillme.transfer.errors import LegacyFileError, StateError, TransferError
from stillme.transfer.findings import Event, OnEvent
from stillme.transfer.models import FileState
from stillme.transfer.postgresql import capture as reverse
from stillme.transfer.postgresql.locks import exclusive
from stillme.transfer.records.live_files import require_place
from stillme.transfer.registry import LegacyFile
from stillme.transfer.sqlite.capture.freeze import (
    FOR_GOOD,
    drop_freeze,
    frozen_until,
    has_freeze,
    unfreeze,
)
from stillme.transfer.sqlite.capture.log import ChangeLog
from stillme.transfer.sqlite.capture.tables import open_writable, write_transaction
from stillme.transfer.sqlite.reading.connect import open_legacy
from stillme.transfer.steps.sealing.seal import seal
from stillme.transfer.steps.switching.limit import Limit
from stillme.transfer.steps.syncing import file_states
from stillme.transfer.steps.syncing.file_states import State
from stillme.transfer.steps.syncing.history import frozen_elsewhere, other_history

T = TypeVar("T")

# However little of the limit is left, undoing goes on for so long: nobody is helped by giving up.
PATIENCE = 10.0
_TURN, _PAUSE = 0.3, 0.05


def await_locks(files: Sequence[LegacyFile], seconds: float) -> None:
    """Find each file free for a moment, before anybody is locked out. Raises LegacyFileError.

    A lock that is never let go (an old process after a failed write keeps one) is found here.
    """
    for file in files:
        try:
            with write_transaction(file.path, timeout=seconds):
                pass
        except LegacyFileError as error:
            if "is locked" not in str(error):
                raise
            raise LegacyFileError(
                f"{file.path} is locked: another process has held it for {seconds:g} s. Nobody was "
                "locked out by this command. An old process keeps the lock of a failed write until "
                "it is restarted: restart it, or wait until the file is free, and run again."
            ) from error


def thaw_files(files: Sequence[LegacyFile], seconds: float) -> dict[str, str]:
    """Let writers into the files again, trying for some seconds.

    Returns file name -> sentence, for each file of which it is not certain that it takes writes.
    """
    deadline = time.monotonic() + seconds
    why: dict[str, str] = {}
    left = list(files)
    while True:
        for file in list(left):
            try:
                unfreeze(file.path, timeout=_TURN)
            except LegacyFileError as error:
                frozen = _frozen_for(file)
                why[file.name] = _still_locked(file, frozen, error)
                if frozen is None:
                    # Another process holds the lock, perhaps for ever; the freeze is gone.
                    left.remove(file)
            else:
                left.remove(file)
                why.pop(file.name, None)
        if not left or time.monotonic() > deadline:
            return why
        time.sleep(_PAUSE)


def _frozen_for(file: LegacyFile) -> float | None:
    """Seconds that a freeze is still in force; None without one. What cannot be read may be."""
    try:
        with closing(open_legacy(file.path, timeout=_TURN, in_place=True)) as connection:
            return frozen_until(connection)
    except (LegacyFileError, sqlite3.Error):
        return FOR_GOOD


def _still_locked(file: LegacyFile, frozen: float | None, error: LegacyFileError) -> str:
    """What keeps writers out of a file whose lock could not be had, and what helps."""
    cause = str(error).removeprefix(f"{file.path} ").rstrip(".")
    if frozen is None and "is locked" in cause:
        return f"{file.path} is not frozen, but another process keeps it locked: restart that one."
    if frozen is None:
        return f"{file.path} is not frozen, but it cannot be written to ({cause})."
    if frozen == FOR_GOOD:
        return (
            f"{file.path} still refuses writes ({cause}): as soon as that is over, run "
            "manage.py sync_sqlite --unfreeze."
        )
    return f"{file.path} refuses writes for {frozen:.0f} s more ({cause}), then takes them again."


def thaw_target(alias: str, tables: Sequence[reverse.TargetTable], seconds: float) -> str | None:
    """Let writers into PostgreSQL again, trying for some seconds; None, or why it cannot be."""
    try:
        insist(alias, lambda: reverse.disable_freeze(alias, tables), seconds)
    except Error as error:
        return explain_operational_error(error)
    return None


def mark_stands(
    alias: str, files: Sequence[LegacyFile], state: str, limit: Limit, unknown: str
) -> bool:
    """Whether all files are in this state, for a mark whose COMMIT was sent and not answered.

    The rows are locked to be read, so a commit that is still on its way is waited for. Raises
    TransferError with the sentence `unknown` where PostgreSQL does not answer.
    """

    def ask() -> bool:
        rows = FileState.objects.using(alias).select_for_update()
        return {row.state for row in rows.filter(pk__in=[f.name for f in files])} == {state}

    try:
        return insist(alias, ask, limit.until_end + PATIENCE)
    except Error as error:
        raise TransferError(unknown) from error


def insist(alias: str, work: Callable[[], T], seconds: float) -> T:
    """Do the work in a transaction of a new session, again for some seconds where it fails.

    Raises django.db.Error.
    """
    deadline = time.monotonic() + seconds
    while True:
        try:
            connections[alias].close()
            with transaction.atomic(using=alias, durable=True):
                set_local(connections[alias], {"lock_timeout": int(_TURN * 1000)})
                return work()
        except Error:
            if time.monotonic() > deadline:
                raise
            time.sleep(_PAUSE)


def lift_stale_freezes(alias: str, files: Sequence[LegacyFile], on_event: OnEvent) -> None:
    """Unfreeze files that a cut-over or rollback left frozen when it was killed.

    A file whose target is live stays frozen. Triggers of a freeze that has run out go too. The
    caller holds the writer's lock: a cut-over that is under way keeps its freeze. Raises StateError
    for a file that is not the one that was captured, or an older copy of it laid over, or that
    another database has frozen.
    """
    require_place(alias, files)
    for file in files:
        stand = file_states.standing(alias, file.name)
        if not is_frozen(file) or stand.state == State.LIVE:
            continue
        with write_transaction(file.path, timeout=PATIENCE) as connection:
            if not stand.capture_id:
                raise StateError(frozen_elsewhere(file))
            if other := other_history(file, ChangeLog(connection), stand.capture_id, stand):
                raise StateError(other)
            drop_freeze(connection)
        message = f"{file.name}: a freeze left by a broken cut-over or rollback was lifted."
        on_event(Event("notice", {"message": message}))


def is_frozen(file: LegacyFile) -> bool:
    """Whether there are triggers of a freeze in the file, in force or run out."""
    with closing(open_writable(file.path)) as connection:
        return has_freeze(connection)


def unfreeze_all(alias: str, files: Sequence[LegacyFile], on_event: OnEvent) -> None:
    """Lift what a broken cut-over or rollback left frozen, on the side that is in charge.

    Raises Busy while a switch is under way, LegacyFileError where a file is locked.
    """
    tables = reverse.every_target_table()
    with exclusive(alias):
        lift_stale_freezes(alias, files, on_event)
        live = file_states.files_in(alias, State.LIVE)
        if live and reverse.is_frozen(alias, tables):
            with transaction.atomic(using=alias):
                reverse.disable_freeze(alias, tables)
            message = "PostgreSQL takes writes again: a rollback had left it frozen."
            on_event(Event("notice", {"message": message}))
            # The rollback had made the files writable, and may have written to some.
            seal(alias, [file for file in live if file.path.exists()], on_event, renew=True)
