"""inspect_sqlite as a library call: what is in the legacy files, and what will become of it.

Reads snapshots in a temporary folder and writes nothing anywhere. The prediction is for an import
into an empty target.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from stillme.transfer.conf import conf
from stillme.transfer.errors import TransferError
from stillme.transfer.findings import Event, OnEvent, ignore_event
from stillme.transfer.identity import TableId
from stillme.transfer.inventory import InventoryLine, open_lines
from stillme.transfer.kinds import Stamp
from stillme.transfer.mapping import TableMapping
from stillme.transfer.processes import usable_cores
from stillme.transfer.registry import LegacyFile, legacy_files, legacy_models, table_label
from stillme.transfer.scratch import scratch_folder
from stillme.transfer.selection import Selection
from stillme.transfer.sqlite.clock import Clock
from stillme.transfer.sqlite.connect import explain
from stillme.transfer.sqlite.drift import Drift, find_drift, virtual_tables
from stillme.transfer.sqlite.files import OtherFile, journal_mode, other_files
from stillme.transfer.sqlite.fitting_zones import fitting_zones
from stillme.transfer.sqlite.snapshot import Snapshot
from stillme.transfer.steps.loading.itself import set_aside_of_itself
from stillme.transfer.steps.loading.plan import Plan, PlannedTable, make_plan
from stillme.transfer.steps.loading.predict import Prediction, predict_table
from stillme.transfer.steps.loading.predict import as_dict as prediction_as_dict
from stillme.transfer.steps.rows.job import TableJob
from stillme.transfer.steps.rows.outcome import Outcome
from stillme.transfer.stores import StoreOptions, wanted_stores
from stillme.transfer.take_inventory import inventory_of


@dataclass(slots=True)
class TableInspection:
    """One table of one file."""

    table: str
    target: str
    prediction: Prediction
    seconds: float

    def as_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        head = {"table": self.table, "target": self.target, "seconds": round(self.seconds, 3)}
        return head | prediction_as_dict(self.prediction)


@dataclass(slots=True)
class FileInspection:
    """One legacy file. `state` is ``present``, ``missing`` or ``empty`` (0 bytes).

    `zones` are the time zones that fit all that its rows show of the local clock.
    """

    file: str
    path: Path
    state: str
    size: int = 0
    journal_mode: str = ""
    user_version: int = 0
    clock: Clock | None = None
    open_clock: str = ""
    zones: list[str] = field(default_factory=list)
    drift: list[Drift] = field(default_factory=list)
    tables: list[TableInspection] = field(default_factory=list)
    inventory: list[InventoryLine] = field(default_factory=list)
    notices: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {
            "file": self.file,
            "path": str(self.path),
            "state": self.state,
            "size": self.size,
            "journal_mode": self.journal_mode,
            "user_version": self.user_version,
            "clock": self.clock.as_dict() if self.clock else None,
            "zones_that_fit": self.zones,
            "open_question": self.open_clock or None,
            "drift": [drift.as_dict() for drift in self.drift],
            "tables": [table.as_dict() for table in self.tables],
            "inventory": [line.as_dict() for line in self.inventory],
            "notices": list(self.notices),
        }


@dataclass(slots=True)
class StoreInspection:
    """What an import would make of one table of a store (the vector folder)."""

    store: str
    table: str
    target: str
    outcome: Outcome

    def as_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        outcome = self.outcome
        return {
            "store": self.store,
            "table": self.table,
            "target": self.target,
            "rows": outcome.legacy_rows,
            "loaded": outcome.loaded,
            "repaired": outcome.repaired,
            "quarantined": outcome.quarantined,
            "reasons": outcome.reasons,
        }


@dataclass(slots=True)
class Inspection:
    """All selected files and stores, and other SQLite files lying beside them.

    `notices` are a store's own words, `unreadable` sentences on stores that cannot be read.
    """

    files: list[FileInspection] = field(default_factory=list)
    stores: list[StoreInspection] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)
    unreadable: list[str] = field(default_factory=list)
    others: list[OtherFile] = field(default_factory=list)
    order: list[list[str]] = field(default_factory=list)
    inventory: list[InventoryLine] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def tables(self) -> list[TableInspection]:
        """Every table of every file."""
        return [table for file in self.files for table in file.tables]

    @property
    def quarantined(self) -> int:
        """Rows that an import will set aside."""
        found = sum(table.prediction.quarantined for table in self.tables)
        return found + sum(table.outcome.quarantined for table in self.stores)

    @property
    def open_questions(self) -> list[str]:
        """What the operator should decide first."""
        clocks = [f"{file.file}: {file.open_clock}" for file in self.files if file.open_clock]
        return clocks + self.unreadable + [line.sentence for line in self.undecided]

    @property
    def undecided(self) -> list[InventoryLine]:
        """What holds data and is not carried. Whether somebody left it on purpose only the ledger
        knows, which is not asked here."""
        lines = [line for file in self.files for line in file.inventory]
        return open_lines(lines + self.inventory)

    @property
    def clean(self) -> bool:
        """Whether everything will load or be repaired, and nothing is to be decided."""
        return not self.quarantined and not self.open_questions

    def as_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {
            "clean": self.clean,
            "seconds": round(self.seconds, 3),
            "load_order": self.order,
            "open_questions": self.open_questions,
            "notices": self.notices,
            "files": [file.as_dict() for file in self.files],
            "stores": [table.as_dict() for table in self.stores],
            "store_inventory": [line.as_dict() for line in self.inventory],
            "other_files": [other.as_dict() for other in self.others],
        }


def inspect_files(
    selection: Selection | None = None, on_event: OnEvent = ignore_event
) -> Inspection:
    """Look at the selected legacy files. Raises LegacyFileError where none can be read."""
    started = time.monotonic()
    wanted = selection or Selection()
    wanted.check(with_stores=True)
    result = Inspection()
    if not wanted.only_stores:
        _inspect_databases(wanted, result, on_event)
    _inspect_stores(wanted, result)
    result.others = other_files(conf().data_dir, [f.path for f in legacy_files()])
    result.seconds = time.monotonic() - started
    return result


def _inspect_databases(wanted: Selection, result: Inspection, on_event: OnEvent) -> None:
    with scratch_folder("inspect") as folder:
        plan = make_plan(wanted, folder, None, on_event)
        result.order = _order(plan)
        tables = _predict(plan, on_event)
        for file in legacy_files():
            if wanted.wants_file(file.name):
                result.files.append(_file(file, plan, tables))


def _inspect_stores(wanted: Selection, result: Inspection) -> None:
    """A store foretells by its own dry run. One that cannot be read is for the operator."""
    for store in wanted_stores(wanted.files, wanted.tables, result.notices):
        try:
            report = store.import_store(StoreOptions(dry_run=True), None, ignore_event)
        except TransferError as error:
            result.unreadable.append(f"{store.name}: {error}")
            continue
        result.notices += report.notices
        result.inventory += report.inventory
        for table in report.tables:
            result.stores.append(
                StoreInspection(store.name, table.table, table.target, table.outcome)
            )


def _order(plan: Plan) -> list[list[str]]:
    return [[table_label(planned.identity) for planned in level] for level in plan.levels]


def _predict(plan: Plan, on_event: OnEvent) -> dict[TableId, TableInspection]:
    """Every planned table; the files side by side, since SQLite works outside Python's lock."""
    by_file: dict[str, list[PlannedTable]] = {}
    for planned in plan.tables:
        name = table_label(planned.identity)
        on_event(Event("table", {"table": name, "total": planned.rows}))
        by_file.setdefault(planned.job.mapping.file, []).append(planned)
    found: dict[TableId, TableInspection] = {}
    with ThreadPoolExecutor(max_workers=usable_cores()) as pool:
        for file, tables in zip(by_file, pool.map(_predict_file, by_file.values()), strict=True):
            for table in tables:
                identity = TableId(file, table.table)
                found[identity] = table
                rows = table.prediction.rows
                on_event(Event("done", {"table": table_label(identity), "rows": rows}))
    return found


def _predict_file(planned_tables: Sequence[PlannedTable]) -> list[TableInspection]:
    """Parents first: a row without a loaded parent is set aside too."""
    found = []
    aside: dict[str, tuple[int, ...]] = {}
    for planned in planned_tables:
        begun = time.monotonic()
        mapping = planned.job.mapping
        known = {parent: aside.get(parent, ()) for parent in planned.job.parents}
        job = replace(planned.job, set_aside=known)
        prediction = _predict_table(replace(job, set_aside=set_aside_of_itself(job)))
        aside[mapping.declared_table] = tuple(prediction.aside)
        seconds = time.monotonic() - begun
        table = TableInspection(mapping.declared_table, mapping.target, prediction, seconds)
        found.append(table)
    return found


def _predict_table(job: TableJob) -> Prediction:
    try:
        return predict_table(job)
    except sqlite3.Error as error:
        raise explain(job.snapshot.source, error) from error


def _file(file: LegacyFile, plan: Plan, tables: dict[TableId, TableInspection]) -> FileInspection:
    snapshot = next((s for s in plan.snapshots if s.file == file.name), None)
    if snapshot is None:
        return _absent(file)
    planned = [p for p in plan.tables if p.job.mapping.file == file.name]
    clock = planned[0].job.clock if planned else None
    return FileInspection(
        file.name,
        file.path,
        "present",
        size=file.path.stat().st_size,
        journal_mode=journal_mode(file.path),
        user_version=snapshot.schema.user_version,
        clock=clock,
        open_clock=_open_clock(clock, planned),
        zones=_zones(snapshot, planned),
        drift=_drift(file, snapshot),
        tables=[tables[p.identity] for p in planned],
        inventory=inventory_of(snapshot, None),
        notices=snapshot.notices,
    )


def _absent(file: LegacyFile) -> FileInspection:
    state = "empty" if file.path.exists() else "missing"
    effect = "nothing to import: the feature may have been off"
    return FileInspection(
        file.name,
        file.path,
        state,
        drift=[Drift(file.name, "", f"{state} file", file.path.name, effect=effect)],
    )


def _drift(file: LegacyFile, snapshot: Snapshot) -> list[Drift]:
    found = find_drift(file.name, legacy_models(file.name), snapshot.schema)
    with closing(snapshot.open()) as connection:
        return found + virtual_tables(file.name, connection)


def _zones(snapshot: Snapshot, planned: Sequence[PlannedTable]) -> list[str]:
    with closing(snapshot.open()) as connection:
        return fitting_zones(connection, [table.job.mapping for table in planned])


def _open_clock(clock: Clock | None, planned: Sequence[PlannedTable]) -> str:
    """The clock's notice, where rows with local times depend on the decision."""
    if clock is None or not clock.notice:
        return ""
    rows = any(p.rows and _has_local_times(p.job.mapping) for p in planned)
    return clock.notice if rows else ""


def _has_local_times(mapping: TableMapping) -> bool:
    return any(c.kind.depends_on_clock and c.kind.shape is not Stamp.SQL for c in mapping.columns)
