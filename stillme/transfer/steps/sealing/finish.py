"""`cutover --finish`: the way back is closed, and what the engine left on both sides is removed.

    live ──cutover --finish──▶ finished

PostgreSQL loses the triggers that note its writes, and their log. The old files lose the triggers
and the table of capture, which leaves the schema that they had before, and stay read-only: they are
archives now. Nothing leads back from here but a backup.
"""

from __future__ import annotations

from pathlib import Path

from django.db import connections, transaction

from stillme.transfer.errors import StateError
from stillme.transfer.findings import Event, OnEvent
from stillme.transfer.models import ReverseChange, Seal
from stillme.transfer.plumbing.permissions import take_write
from stillme.transfer.postgresql import capture as reverse
from stillme.transfer.postgresql.copy import execute
from stillme.transfer.postgresql.locks import exclusive
from stillme.transfer.records import ledger
from stillme.transfer.registry import LegacyFile, legacy_files
from stillme.transfer.sqlite import capture
from stillme.transfer.steps.sealing.seal import forget, unseal
from stillme.transfer.steps.syncing import file_states
from stillme.transfer.steps.syncing.file_states import Action, State
from stillme.transfer.steps.syncing.target_tables import every_target_table

_PATIENCE = 10.0


def finishable(alias: str) -> list[LegacyFile]:
    """The files that are live, or whose finish was broken off; none where all is finished.

    Raises StateError where another file stands in the way, or none was ever live.
    """
    stands = file_states.standings(alias, [file.name for file in legacy_files()])
    found = []
    for file in legacy_files():
        stand = stands[file.name]
        if stand.allows(Action.FINISH) or stand.details.get("finishing"):
            found.append(file)
        elif stand.state not in (State.ABSENT, State.FINISHED):
            raise StateError(stand.refusal(Action.FINISH))
    if not found and all(stand.state == State.ABSENT for stand in stands.values()):
        raise StateError(
            "No file is live on PostgreSQL, so there is nothing to finish: "
            "see manage.py migration_status."
        )
    return found


def finish(alias: str, on_event: OnEvent, *, unproven: str = "") -> list[str]:
    """Close the way back; the names of the files. Raises TransferError; again goes on.

    First PostgreSQL, in one transaction: from its commit on no rollback begins. Then the files.
    `unproven` is the reason why nobody verified before.
    """
    files = finishable(alias)
    if not files:
        raise StateError("The migration is finished already.")
    names = [file.name for file in files]
    with exclusive(alias):
        run = ledger.start_run(alias, "cutover", {"finish": names, "unproven": unproven})
        sealed = [Path(row.path) for row in Seal.objects.using(alias).exclude(mode=None)]
        try:
            _finish_target(alias, names)
            unseal(alias)
            for file in files:
                _finish_file(alias, file)
            for path in {*sealed, *(file.path for file in files)}:
                if path.exists() and (why := take_write(path)):
                    on_event(Event("notice", {"message": f"{path} {why}."}))
            forget(alias)
        except BaseException as error:
            ledger.fail_run(alias, run, error)
            raise
        ledger.finish_run(alias, run, failed=False)
    return names


def _finish_target(alias: str, names: list[str]) -> None:
    with transaction.atomic(using=alias, durable=True):
        reverse.remove(alias, every_target_table())
        reverse.unfreeze_target(alias, every_target_table())
        execute(connections[alias], f"TRUNCATE {ReverseChange._meta.db_table} RESTART IDENTITY")
        for name in names:
            gone = dict.fromkeys(("capture_id", "witness", "path", "device", "inode"))
            file_states.move(alias, name, State.FINISHED, finishing=True, **gone)


def _finish_file(alias: str, file: LegacyFile) -> None:
    if file.path.exists():
        capture.remove(file.path, timeout=_PATIENCE)
    with transaction.atomic(using=alias):
        file_states.note(alias, file.name, finishing=None)
