"""What an import will work on: the files that are there, their tables, clocks and mappings."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from stillme.transfer.errors import LegacyFileError
from stillme.transfer.findings import Event, OnEvent
from stillme.transfer.mapping import TableMapping, map_table
from stillme.transfer.registry import legacy_models, levels
from stillme.transfer.selection import Selection, present_files
from stillme.transfer.sqlite.clock import Clock, read_clock
from stillme.transfer.sqlite.connect import explain
from stillme.transfer.sqlite.epochs import read_epoch_units
from stillme.transfer.sqlite.schema import row_count, sequence_mark
from stillme.transfer.sqlite.snapshot import Snapshot, file_sha256, take_snapshot
from stillme.transfer.sqlite.snapshot_reader import reading
from stillme.transfer.steps.job import TableJob


@dataclass(slots=True)
class PlannedTable:
    """One table to load."""

    job: TableJob
    rows: int
    sequence_mark: int


@dataclass(slots=True)
class Plan:
    """Tables by foreign-key level, and what was left out and why."""

    levels: list[list[PlannedTable]] = field(default_factory=list)
    snapshots: list[Snapshot] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)

    @property
    def tables(self) -> list[PlannedTable]:
        """All tables, parents first."""
        return [table for level in self.levels for table in level]


def make_plan(
    selection: Selection, directory: Path, zone: str, run_id: int | None, on_event: OnEvent
) -> Plan:
    """Snapshot the files into `directory` and decide what each table needs."""
    selection.check(with_stores=True)
    plan = Plan()
    for file in present_files(selection, plan.notices):
        on_event(Event("file", {"file": file.name, "path": str(file.path)}))
        plan.snapshots.append(take_snapshot(file.name, file.path, directory, hashed=False))
    jobs = _look_at_all(plan, partial(_plan_file, selection=selection, zone=zone, run_id=run_id))
    if not jobs and not selection.only_stores:
        names = ", ".join(str(s.source) for s in plan.snapshots)
        raise LegacyFileError(f"None of the known legacy tables is in {names}: check the paths.")
    for level in levels(legacy_models()):
        here = [jobs[m._meta.db_table] for m in level if m._meta.db_table in jobs]
        if here:
            plan.levels.append(here)
    return plan


def _look_at_all(
    plan: Plan, look: Callable[[Snapshot], tuple[dict[str, PlannedTable], list[str]]]
) -> dict[str, PlannedTable]:
    """Plan and hash the files side by side: SQLite and hashlib let go of Python's lock."""
    jobs: dict[str, PlannedTable] = {}
    paths = [snapshot.path for snapshot in plan.snapshots]
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as threads:
        looks = threads.map(look, plan.snapshots)
        digests = list(threads.map(file_sha256, paths))
        plan.snapshots = [
            replace(snapshot, sha256=digest)
            for snapshot, digest in zip(plan.snapshots, digests, strict=True)
        ]
        for snapshot, (tables, notices) in zip(plan.snapshots, looks, strict=True):
            for planned in tables.values():
                planned.job = replace(planned.job, snapshot=snapshot)
            jobs.update(tables)
            plan.notices += notices
    return jobs


def _plan_file(
    snapshot: Snapshot, selection: Selection, zone: str, run_id: int | None
) -> tuple[dict[str, PlannedTable], list[str]]:
    """Declared table -> plan, for the tables that are there and wanted; and what to say."""
    notices: list[str] = []
    mappings = file_mappings(snapshot, notices)
    connection = snapshot.open()
    try:
        clock = read_clock(connection, mappings.values(), zone)
        if clock.notice and _has_local_times(mappings):
            notices.append(f"{snapshot.file}: {clock.notice}")
        tables = {
            name: PlannedTable(
                _job(snapshot, mapping, mappings, clock, run_id),
                row_count(connection, mapping.table),
                sequence_mark(connection, mapping.table),
            )
            for name, mapping in mappings.items()
            if selection.wants(snapshot.file, name)
        }
    except sqlite3.Error as error:
        raise explain(snapshot.source, error) from error
    finally:
        connection.close()
    return tables, notices


def _has_local_times(mappings: dict[str, TableMapping]) -> bool:
    from stillme.transfer.kinds import Stamp, Timestamp

    return any(
        isinstance(c.kind, Timestamp) and c.kind.stamp is not Stamp.SQL
        for mapping in mappings.values()
        for c in mapping.columns
    )


def file_mappings(snapshot: Snapshot, notices: list[str]) -> dict[str, TableMapping]:
    """Declared table -> mapping, for the tables that the file has."""
    found = {}
    for model in legacy_models(snapshot.file):
        mapping = map_table(model, snapshot.schema)
        if mapping is None:
            notices.append(f"{snapshot.file}: has no table {model._meta.db_table}, skipped.")
            continue
        found[model._meta.db_table] = mapping
        if mapping.extra:
            names = ", ".join(mapping.extra)
            notices.append(f"{mapping.table}: undeclared columns go to legacy_extra: {names}.")
    return found


def _job(
    snapshot: Snapshot,
    mapping: TableMapping,
    mappings: dict[str, TableMapping],
    clock: Clock,
    run_id: int | None,
) -> TableJob:
    with reading(snapshot.path) as connection:
        epoch_units = read_epoch_units(connection, mapping)
    return TableJob(
        snapshot=snapshot,
        mapping=mapping,
        clock=clock,
        epoch_units=epoch_units,
        run_id=run_id,
        parents={parent: mappings.get(parent) for _, parent in mapping.references()},
    )
