"""What an import will work on: the files that are there, their tables, clocks and mappings."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass, field
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
from stillme.transfer.sqlite.snapshot import Snapshot, take_snapshot
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
    files = present_files(selection, plan.notices)
    for file in files:
        on_event(Event("file", {"file": file.name, "path": str(file.path)}))
        plan.snapshots.append(take_snapshot(file.name, file.path, directory))
    jobs: dict[str, PlannedTable] = {}
    for snapshot in plan.snapshots:
        jobs.update(_plan_file(snapshot, selection, zone, run_id, plan.notices))
    if not jobs and not selection.only_stores:
        names = ", ".join(str(s.source) for s in plan.snapshots)
        raise LegacyFileError(f"None of the known legacy tables is in {names}: check the paths.")
    for level in levels(legacy_models()):
        here = [jobs[m._meta.db_table] for m in level if m._meta.db_table in jobs]
        if here:
            plan.levels.append(here)
    return plan


def _plan_file(
    snapshot: Snapshot, selection: Selection, zone: str, run_id: int | None, notices: list[str]
) -> dict[str, PlannedTable]:
    mappings = file_mappings(snapshot, notices)
    connection = snapshot.open()
    try:
        clock = read_clock(connection, mappings.values(), zone)
        if clock.notice and _has_local_times(mappings):
            notices.append(f"{snapshot.file}: {clock.notice}")
        return {
            name: PlannedTable(
                _job(snapshot, mapping, mappings, clock, connection, run_id),
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
    connection: object,
    run_id: int | None,
) -> TableJob:
    assert isinstance(connection, sqlite3.Connection)
    return TableJob(
        snapshot=snapshot,
        mapping=mapping,
        clock=clock,
        epoch_units=read_epoch_units(connection, mapping),
        run_id=run_id,
        parents={parent: mappings.get(parent) for _, parent in mapping.references()},
    )
