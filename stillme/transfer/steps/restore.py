"""The other way back: a checked backup instead of the files, with all that is lost by it."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from django.db import connections, transaction

from stillme.transfer import ledger
from stillme.transfer.errors import LegacyFileError
from stillme.transfer.findings import Event, OnEvent, ignore_event
from stillme.transfer.postgresql import capture as reverse
from stillme.transfer.postgresql.copy import fetch_all
from stillme.transfer.postgresql.locks import exclusive
from stillme.transfer.registry import LegacyFile, legacy_files
from stillme.transfer.sqlite import capture
from stillme.transfer.sqlite.capture.tables import open_writable
from stillme.transfer.sqlite.connect import explain, open_legacy
from stillme.transfer.sqlite.schema import read_schema, row_count
from stillme.transfer.sqlite.snapshot import file_sha256
from stillme.transfer.steps import states
from stillme.transfer.steps.capture import target_tables
from stillme.transfer.steps.states import State


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
    """What restoring a backup will do, and lose."""

    directory: Path
    copies: dict[str, Path] = field(default_factory=dict)
    losses: list[Loss] = field(default_factory=list)
    run_id: int | None = None

    @property
    def written(self) -> int:
        """Rows written in PostgreSQL since the cut-over that no file will have."""
        return sum(loss.written_in_target for loss in self.losses)


def plan_restore(alias: str, directory: Path) -> Restore:
    """Check the backup and count what is lost. Raises LegacyFileError for an unsound one."""
    if not directory.is_dir():
        raise LegacyFileError(f"There is no folder {directory}: name a folder of backup_sqlite.")
    digests = _digests(directory)
    plan = Restore(directory)
    for file in legacy_files():
        copy = directory / file.path.name
        if not copy.is_file() or not copy.stat().st_size:
            continue
        _check(copy, digests)
        plan.copies[file.name] = copy
        plan.losses += _losses(alias, file, copy)
    if not plan.copies:
        raise LegacyFileError(
            f"{directory} holds a backup of none of the legacy files: name a folder of "
            "backup_sqlite."
        )
    return plan


def _digests(directory: Path) -> dict[str, str]:
    """File name -> SHA-256, from the manifest that backup_sqlite writes."""
    path = directory / "manifest.json"
    if not path.is_file():
        raise LegacyFileError(
            f"{directory} has no manifest.json, so the backup cannot be checked: name a folder "
            "that backup_sqlite wrote."
        )
    try:
        manifest = json.loads(path.read_text("utf-8"))
    except ValueError as error:
        raise LegacyFileError(f"{path} is damaged: use another backup.") from error
    found = {}
    for entry in _entries(manifest):
        names = [value for value in entry.values() if isinstance(value, str)]
        for name in names:
            if name.endswith(".db"):
                found[Path(name).name] = str(entry["sha256"])
    return found


def _entries(node: Any) -> Iterator[dict[str, Any]]:
    if isinstance(node, dict):
        if "sha256" in node:
            yield node
        for name, value in node.items():
            if isinstance(value, dict) and "sha256" in value and str(name).endswith(".db"):
                yield {**value, "name": name}
            else:
                yield from _entries(value)
    elif isinstance(node, list):
        for value in node:
            yield from _entries(value)


def _check(copy: Path, digests: dict[str, str]) -> None:
    expected = digests.get(copy.name)
    if expected is None:
        raise LegacyFileError(f"The manifest does not name {copy.name}: use another backup.")
    if file_sha256(copy) != expected:
        raise LegacyFileError(
            f"{copy} is not what was backed up (its SHA-256 differs): use another backup."
        )
    with closing(open_legacy(copy)) as connection:
        result = connection.execute("PRAGMA integrity_check(1)").fetchone()[0]
    if result != "ok":
        raise LegacyFileError(f"{copy} is damaged ({result}): use another backup.")


def _losses(alias: str, file: LegacyFile, copy: Path) -> list[Loss]:
    from stillme.transfer.registry import legacy_models

    written = dict(
        fetch_all(
            connections[alias],
            "SELECT relation, count(DISTINCT key) FROM transfer.reverse_change GROUP BY relation",
        )
    )
    found = []
    with closing(open_legacy(file.path)) as now, closing(open_legacy(copy)) as then:
        tables_now, tables_then = read_schema(now).tables, read_schema(then).tables
        for model in legacy_models(file.name):
            table = model._meta.db_table
            target = model.target_model()._meta.db_table.replace('"', "")
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
    tables = target_tables(names)
    with exclusive(alias):
        run = ledger.start_run(alias, "rollback_migration", {"to_backup": str(plan.directory)})
        plan.run_id = run.pk
        live = [n for n in names if states.standing(alias, n).state == State.LIVE]
        if live:
            with transaction.atomic(using=alias, durable=True):
                reverse.freeze_target(alias, tables)
        for file in legacy_files():
            if file.name in plan.copies:
                _copy_over(plan.copies[file.name], file.path)
                capture.remove(file.path)
                on_event(Event("restored", {"file": file.name, "path": str(file.path)}))
        with transaction.atomic(using=alias, durable=True):
            for name in names:
                _note(alias, name, plan.directory)
            reverse.remove(alias, tables)
        run.summary = {"lost": plan.written}
        ledger.finish_run(alias, run, failed=False)


def _note(alias: str, name: str, directory: Path) -> None:
    """After a restore the target is out of step: only a new capture and load lead on."""
    present = states.standing(alias, name).state
    details = {
        "capture_id": None,
        "witness": None,
        "clock": None,
        "restored_from": str(directory),
        "restored_at": states.server_now(alias),
    }
    if present == State.LIVE:
        states.move(alias, name, State.ROLLED_BACK, **details)
    elif present != State.ABSENT:
        states.move(alias, name, State.ABSENT, **details)
    states.restart(alias, name, 0)


def _copy_over(copy: Path, live: Path) -> None:
    """Through SQLite's backup, so that a process with the file open sees the restored one."""
    try:
        with closing(open_legacy(copy)) as origin, closing(open_writable(live)) as target:
            origin.backup(target, pages=-1)
    except sqlite3.Error as error:
        raise explain(live, error) from error
