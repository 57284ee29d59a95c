"""rollback_migration as a library call: try the way back on copies, or go it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from django.db import Error

from stillme.transfer.errors import StateError, TransferError
from stillme.transfer.findings import Event, OnEvent, ignore_event
from stillme.transfer.models import Seal
from stillme.transfer.plumbing.scratch import scratch_folder
from stillme.transfer.postgresql import capture as reverse
from stillme.transfer.postgresql.locks import exclusive
from stillme.transfer.records import ledger
from stillme.transfer.records.live_files import require_place
from stillme.transfer.registry import LegacyFile
from stillme.transfer.sqlite.capture.freeze import drop_freeze
from stillme.transfer.sqlite.capture.install import drop_triggers
from stillme.transfer.sqlite.capture.tables import write_transaction
from stillme.transfer.sqlite.capture.templates import PREFIX
from stillme.transfer.sqlite.copying.snapshot import take_snapshot
from stillme.transfer.steps.sealing.seal import seal, unseal
from stillme.transfer.steps.switching.tail import Judge
from stillme.transfer.steps.switching.thaw import PATIENCE, is_frozen, thaw_files
from stillme.transfer.steps.switching.to_legacy import (
    RollbackResult,
    ToLegacy,
    captured_in,
    carry_file,
    homeless_rows,
)
from stillme.transfer.steps.switching.unlogged import refuse_unlogged
from stillme.transfer.steps.syncing import file_states
from stillme.transfer.steps.syncing.file_clock import require_zone
from stillme.transfer.steps.syncing.file_states import State
from stillme.transfer.steps.syncing.history import require_as_left

__all__ = ["FREEZE_LIMIT", "RollbackResult", "finish_interrupted", "plan_rollback", "roll_back"]

FREEZE_LIMIT = 60.0


def live_files(alias: str) -> list[LegacyFile]:
    """The files whose target is live. Raises StateError where there is none.

    Or where the settings carry less than the cut-over did.
    """
    reverse.require_carried(alias)
    found = file_states.files_in(alias, State.LIVE)
    if not found:
        raise StateError(
            "No file is live on PostgreSQL, so there is nothing to roll back: "
            "see manage.py migration_status."
        )
    return found


def plan_rollback(alias: str) -> RollbackResult:
    """What a rollback would carry back, tried on copies of the files."""
    result = RollbackResult(None, True)
    refuse_unlogged(alias, live_files(alias))
    with scratch_folder("rollback") as folder:
        for file in live_files(alias):
            snapshot = take_snapshot(file.name, file.path, folder, keep_indexes=True)
            copy = replace(file, path=snapshot.path)
            with write_transaction(copy.path) as writable:
                require_as_left(alias, file, writable, captured_in(copy, writable))
                drop_freeze(writable)
                drop_triggers(writable, PREFIX)
                result.tables += carry_file(alias, copy, writable, None)
            result.files.append(file.name)
    result.homeless = homeless_rows(alias, result.files)
    return result


def roll_back(
    alias: str,
    judge: Judge,
    on_event: OnEvent = ignore_event,
    *,
    freeze_limit: float = FREEZE_LIMIT,
) -> RollbackResult:
    """Carry everything back and let the old application write again. Raises TransferError.

    `judge` proves every row that was carried; `freeze_limit` is the longest that nobody may be
    able to write, in seconds. Until the mark is set, a failure lets writes into PostgreSQL again
    and leaves the files frozen.
    """
    live_files(alias)
    with exclusive(alias):
        # Another rollback may have ended while this one waited for the lock: what it has frozen
        # must not be let go.
        files = live_files(alias)
        # Else PostgreSQL would be frozen for a moment, to no end.
        require_place(alias, files)
        for file in files:
            require_zone(alias, file.name)
        described = {"files": [file.name for file in files]}
        try:
            with ledger.running(alias, "rollback_migration", described) as run:
                switch = ToLegacy(alias, files, run, judge, on_event, freeze_limit)
                unseal(alias)
                switch.attempt()
                left, result = switch.let_files_go(), switch.result
                result.frozen_seconds = switch.limit.spent
                run.summary = {"seconds": result.frozen_seconds}
        except BaseException:
            _seal_again(alias, files, on_event)
            raise
        _refuse_frozen(left)
    return result


def _seal_again(alias: str, files: Sequence[LegacyFile], on_event: OnEvent) -> None:
    """After a rollback that was given up PostgreSQL stays in charge, and the files read-only.

    Only where they were: a rehearsal has copies that never were, and must not seal the real store;
    a file that takes writes may be the application's, if PostgreSQL was restored from before an
    earlier rollback.
    If PostgreSQL does not answer, nobody knows who is in charge. Then the files stay frozen, and
    `migration_status` says that they may be written.
    """
    try:
        states = {file_states.standing(alias, file.name).state for file in files}
        if states == {State.LIVE} and Seal.objects.using(alias).exists():
            frozen = [file for file in files if file.path.exists() and is_frozen(file)]
            seal(alias, frozen, on_event, renew=True)
    except (Error, OSError, TransferError) as error:
        on_event(Event("notice", {"message": f"The files were not made read-only again: {error}."}))


def _refuse_frozen(left: Mapping[str, str]) -> None:
    if left:
        raise TransferError(
            "Everything was carried back and the files are in charge, but not all take writes yet. "
            + " ".join(left.values())
        )


def finish_interrupted(alias: str, on_event: OnEvent = ignore_event) -> list[str]:
    """Let go the files of a rollback that died between its mark and the unfreezing.

    Raises TransferError where one cannot be let go.
    """
    if not _frozen(alias):
        return []
    with exclusive(alias):
        frozen = _frozen(alias)
        require_place(alias, frozen)
        left = thaw_files(frozen, PATIENCE)
    done = [file.name for file in frozen if file.name not in left]
    for name in done:
        on_event(Event("unfrozen", {"file": name}))
    _refuse_frozen(left)
    return done


def _frozen(alias: str) -> list[LegacyFile]:
    return [file for file in file_states.files_in(alias, State.ROLLED_BACK) if is_frozen(file)]
