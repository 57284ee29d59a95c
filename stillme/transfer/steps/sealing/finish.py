"""`cutover --finish`: the way back is closed, and what the engine left on both sides is removed.

    live ──cutover --finish──▶ finished

PostgreSQL loses the triggers that note its writes, and their log. The old files lose the triggers
and the table of capture, which leaves the schema that they had before, and stay read-only: they are
archives now. Nothing leads back from here but a backup.

With `--archive` the records go, too. One JSON list of Django's serializer, which `loaddata` reads,
keeps them: quarantined rows, originals, decisions, runs, proofs. They hold values of rows, so the
file is its owner's alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from django.apps import apps
from django.core import serializers
from django.db import transaction
from django.db.models import Model

from stillme.transfer.errors import StateError, TargetError
from stillme.transfer.findings import Event, OnEvent
from stillme.transfer.models import ReverseChange, Seal
from stillme.transfer.plumbing.permissions import take_write
from stillme.transfer.plumbing.private_file import private_file
from stillme.transfer.postgresql import capture as reverse
from stillme.transfer.postgresql.copy import execute
from stillme.transfer.postgresql.locks import exclusive, exclusive_transaction
from stillme.transfer.records import ledger
from stillme.transfer.registry import LegacyFile, legacy_files
from stillme.transfer.sqlite import capture
from stillme.transfer.steps.sealing.seal import forget, unseal
from stillme.transfer.steps.syncing import file_states
from stillme.transfer.steps.syncing.file_states import Action, State
from stillme.visible import counted

_PATIENCE = 10.0


def finishable(alias: str) -> list[LegacyFile]:
    """The files that are live, or whose finish was broken off; none where all is finished.

    Raises StateError where another file stands in the way, or none was ever live.
    """
    reverse.require_carried(alias)
    stands = {file: file_states.standing(alias, file.name) for file in legacy_files()}
    found = []
    for file, stand in stands.items():
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
    with exclusive(alias):
        files = finishable(alias)
        if not files:
            raise StateError("The migration is finished already.")
        described = {"finish": [file.name for file in files], "unproven": unproven}
        with ledger.running(alias, "cutover", described):
            _finish(alias, files, on_event)
    return [file.name for file in files]


def _finish(alias: str, files: list[LegacyFile], on_event: OnEvent) -> None:
    sealed = [Path(row.path) for row in Seal.objects.using(alias).exclude(mode=None)]
    _finish_target(alias, [file.name for file in files])
    unseal(alias)
    for file in files:
        if file.path.exists():
            capture.remove(file.path, timeout=_PATIENCE)
        file_states.note(alias, file.name, finishing=None)
    for path in {*sealed, *(file.path for file in files)}:
        if path.exists() and (why := take_write(path)):
            on_event(Event("notice", {"message": f"{path} {why}."}))
    forget(alias)


def _finish_target(alias: str, names: list[str]) -> None:
    with exclusive_transaction(alias):
        reverse.remove(alias, reverse.every_target_table())
        reverse.unfreeze_target(alias, reverse.every_target_table())
        execute(alias, f"TRUNCATE {ReverseChange._meta.db_table} RESTART IDENTITY")
        for name in names:
            gone = dict.fromkeys(("capture_id", "witness", "path", "device", "inode"))
            file_states.move(alias, name, State.FINISHED, finishing=True, **gone)


def archive_records(alias: str, path: Path) -> int:
    """Write all records to `path`, then drop their schema; the number of records.

    Nothing is dropped where a record was not written. Raises TransferError, OSError.
    """
    written = 0

    def records() -> Iterator[Model]:
        nonlocal written
        for model in _models():
            for record in model._default_manager.using(alias).order_by("pk").iterator(1000):
                written += 1
                yield record

    with exclusive(alias), transaction.atomic(using=alias, durable=True):
        execute(alias, "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        with private_file(path) as stream:
            serializers.serialize("json", records(), stream=stream)
        held = sum(model._default_manager.using(alias).count() for model in _models())
        if written != held:
            raise TargetError(
                f"{path} has {written:,} of {counted(held, 'record')}: nothing was dropped, "
                "run it again."
            )
        # Django still counts the schema as migrated. If `migrate` made it again, an import would
        # bring back what the application has deleted since.
        execute(alias, 'DROP SCHEMA "transfer" CASCADE')
    return written


def _models() -> list[type[Model]]:
    return list(apps.get_app_config("transfer").get_models())
