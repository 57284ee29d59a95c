"""Lifting the freeze that a killed cut-over or rollback left on the side that is in charge."""

from __future__ import annotations

from collections.abc import Sequence

from django.db import transaction

from stillme.transfer.findings import Event, OnEvent
from stillme.transfer.postgresql import capture as reverse
from stillme.transfer.postgresql.locks import exclusive
from stillme.transfer.records.live_files import require_place
from stillme.transfer.registry import LegacyFile, legacy_files
from stillme.transfer.sqlite.capture.freeze import drop_freeze, has_freeze
from stillme.transfer.sqlite.capture.tables import open_writable, write_transaction
from stillme.transfer.steps.sealing.seal import seal
from stillme.transfer.steps.syncing import file_states
from stillme.transfer.steps.syncing.file_states import State
from stillme.transfer.steps.syncing.target_tables import every_target_table

_PATIENCE = 10.0


def lift_stale_freezes(alias: str, files: Sequence[LegacyFile], on_event: OnEvent) -> None:
    """Unfreeze files that a cut-over or rollback left frozen when it was killed.

    A file whose target is live stays frozen. Triggers of a freeze that has run out go too. The
    caller holds the writer's lock: a cut-over that is under way keeps its freeze. Raises StateError
    for a file that is not the one that was captured: another one is not written to.
    """
    require_place(alias, files)
    for file in files:
        connection = open_writable(file.path)
        try:
            frozen = has_freeze(connection)
        finally:
            connection.close()
        if not frozen or file_states.standing(alias, file.name).state == State.LIVE:
            continue
        with write_transaction(file.path, timeout=_PATIENCE) as connection:
            drop_freeze(connection)
        message = f"{file.name}: a freeze left by a broken cut-over or rollback was lifted."
        on_event(Event("notice", {"message": message}))


def unfreeze_all(alias: str, files: Sequence[LegacyFile], on_event: OnEvent) -> None:
    """Lift what a broken cut-over or rollback left frozen, on the side that is in charge.

    Raises Busy while a switch is under way, LegacyFileError where a file is locked.
    """
    tables = every_target_table()
    with exclusive(alias):
        lift_stale_freezes(alias, files, on_event)
        stands = file_states.standings(alias, [file.name for file in legacy_files()])
        live = [file for file in legacy_files() if stands[file.name].state == State.LIVE]
        if live and reverse.is_frozen(alias, tables):
            with transaction.atomic(using=alias):
                reverse.disable_freeze(alias, tables)
            message = "PostgreSQL takes writes again: a rollback had left it frozen."
            on_event(Event("notice", {"message": message}))
            # The rollback had made the files writable, and may have written to some.
            seal(alias, [file for file in live if file.path.exists()], on_event, renew=True)
