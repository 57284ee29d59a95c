"""Laying a checked backup over the live files (`rollback_migration --to-backup`).

The way back that loses something: what was written after the backup, and what PostgreSQL received
since the cut-over. Both are counted and shown before anything is done.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from stillme.transfer.errors import LegacyFileError, StateError, TransferError
from stillme.transfer.findings import Event, OnEvent, ignore_event
from stillme.transfer.mapping import split_table
from stillme.transfer.postgresql import capture as reverse
from stillme.transfer.postgresql.copy import fetch_all
from stillme.transfer.postgresql.locks import exclusive, exclusive_transaction
from stillme.transfer.records import ledger
from stillme.transfer.registry import LegacyFile, legacy_files, legacy_models
from stillme.transfer.sqlite import capture
from stillme.transfer.sqlite.capture.tables import open_writable
from stillme.transfer.sqlite.copying.backup_manifest import read_manifest
from stillme.transfer.sqlite.reading.connect import explained, open_legacy
from stillme.transfer.sqlite.schema.found import read_schema, row_count
from stillme.transfer.steps.back_up import check_backup
from stillme.transfer.steps.install_capture import refuse_copy
from stillme.transfer.steps.sealing.seal import forget, unseal
from stillme.transfer.steps.switching.thaw import PATIENCE, await_locks, thaw_target
from stillme.transfer.steps.syncing import file_states
from stillme.transfer.steps.syncing.file_states import State


@dataclass(frozen=True, slots=True)
class Loss:
    """One legacy table: rows in the file now, in the backup, and written in PostgreSQL since."""

    file: str
    table: str
    rows_now: int
    rows_in_backup: int
    written_in_target: int


@dataclass(slots=True)
class Restore:
    """What restoring a backup will do, and lose. `states`: file -> its state when it was asked."""

    directory: Path
    states: dict[str, str] = field(default_factory=dict)
    copies: dict[str, Path] = field(default_factory=dict)
    losses: list[Loss] = field(default_factory=list)
    run_id: int | None = None

    @property
    def written(self) -> int:
        """Rows written in PostgreSQL since the cut-over that no file will have."""
        return sum(loss.written_in_target for loss in self.losses)


def plan_restore(alias: str, directory: Path) -> Restore:
    """Check the backup and count what is lost. Raises LegacyFileError for an unsound one, and
    StateError where the settings carry other tables than the cut-over did."""
    file_states.refuse_other_files(alias)
    reverse.require_carried(alias)
    problems = check_backup(directory)
    manifest = read_manifest(directory)
    if problems or not manifest.sound:
        what = problems[0] if problems else "a file in it was damaged when it was copied"
        raise LegacyFileError(f"The backup {directory} is not sound ({what}): use another one.")
    plan = Restore(directory)
    names = {entry.name for entry in manifest.files if entry.size}
    for file in legacy_files():
        if file.path.name in names:
            plan.states[file.name] = state = file_states.standing(alias, file.name).state
            if state == State.FINISHED:
                raise StateError(file_states.FINISHED.format(file.name))
            refuse_copy(alias, file)
            copy = directory / file.path.name
            plan.copies[file.name] = copy
            plan.losses += _losses(alias, file, copy)
    if not plan.copies:
        raise LegacyFileError(
            f"{directory} holds a backup of none of the legacy files: name a folder of "
            "backup_sqlite."
        )
    return plan


def _losses(alias: str, file: LegacyFile, copy: Path) -> list[Loss]:
    written = dict(
        fetch_all(
            alias,
            "SELECT relation, count(DISTINCT key) FROM transfer.reverse_change GROUP BY relation",
        )
    )
    found = []
    with closing(open_legacy(file.path)) as now, closing(open_legacy(copy)) as then:
        tables_now, tables_then = read_schema(now).tables, read_schema(then).tables
        for model in legacy_models(file.name):
            table = model._meta.db_table
            target = "{}.{}".format(*split_table(model.target_model()._meta.db_table))
            found.append(
                Loss(
                    file.name,
                    table,
                    row_count(now, table) if table in tables_now else 0,
                    row_count(then, table) if table in tables_then else 0,
                    int(written.get(target, 0)),
                )
            )
    return found


def restore(alias: str, plan: Restore, on_event: OnEvent = ignore_event) -> None:
    """Lay the backup over the live files, through SQLite, and end the capture in them."""
    names = list(plan.copies)
    tables = reverse.every_target_table()
    described = {"to_backup": str(plan.directory)}
    with exclusive(alias), ledger.running(alias, "rollback_migration", described) as run:
        plan.run_id = run.pk
        states = {name: file_states.standing(alias, name).state for name in names}
        if states != plan.states:
            raise StateError(
                "Another command changed the state of the files since you were asked, so the "
                "losses that were shown are not those of now; nothing was restored: see manage.py "
                "migration_status, then run the same command again."
            )
        live = [name for name in names if states[name] == State.LIVE]
        files = [file for file in legacy_files() if file.name in plan.copies]
        unseal(alias)
        await_locks(files, PATIENCE)
        if live:
            with exclusive_transaction(alias):
                reverse.freeze_target(alias, tables)
        _lay(alias, plan, files, tables if live else [], on_event)
        with exclusive_transaction(alias):
            for name in names:
                _note(alias, name, plan.directory)
            reverse.remove(alias, tables)
            forget(alias)
        run.summary = {"lost": plan.written}


def _lay(
    alias: str,
    plan: Restore,
    files: Sequence[LegacyFile],
    frozen: Sequence[reverse.TargetTable],
    on_event: OnEvent,
) -> None:
    """Lay every copy over its file. Raises TransferError, saying what was restored until then.

    Until the first file is restored PostgreSQL can stay in charge: it takes writes again. After
    that it is not: the old application may already write.
    """
    done: list[str] = []
    try:
        for file in files:
            _copy_over(plan.copies[file.name], file.path)
            done.append(file.name)
            capture.remove(file.path)
            on_event(Event("restored", {"file": file.name, "path": str(file.path)}))
    except TransferError as error:
        if done:
            raise TransferError(
                f"{error} Restored until then: {', '.join(done)}. Run the same command again; "
                "PostgreSQL takes no writes until all files are restored."
            ) from error
        why = thaw_target(alias, frozen, PATIENCE) if frozen else None
        if why is not None:
            raise TransferError(
                f"{error} PostgreSQL could not be unfrozen ({why.rstrip('.')}): run manage.py "
                "sync_sqlite --unfreeze."
            ) from error
        raise


def _note(alias: str, name: str, directory: Path) -> None:
    """After a restore the target is out of step: only a new capture and load lead on."""
    present = file_states.standing(alias, name).state
    details = {
        "capture_id": None,
        "witness": None,
        "clock": None,
        "restored_from": str(directory),
        "restored_at": file_states.server_now(alias),
    }
    if present != State.ABSENT:
        now = State.ROLLED_BACK if present == State.LIVE else State.ABSENT
        file_states.move(alias, name, now, position=0, **details)


def _copy_over(copy: Path, live: Path) -> None:
    """Through SQLite's backup, so that a process with the file open sees the restored one."""
    with (
        explained(live),
        closing(open_legacy(copy)) as origin,
        closing(open_writable(live)) as target,
    ):
        origin.backup(target, pages=-1)
