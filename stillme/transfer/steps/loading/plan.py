"""What an import will work on: the files that are there, their tables, clocks and mappings."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from stillme.transfer.conf import time_zone
from stillme.transfer.errors import NoLegacyFile
from stillme.transfer.findings import Event, OnEvent
from stillme.transfer.identity import TableId
from stillme.transfer.inventory.applied_migrations import refuse_other_migrations
from stillme.transfer.inventory.selection import Selection, present_files
from stillme.transfer.keys import Key
from stillme.transfer.kinds import Stamp
from stillme.transfer.mapping import TableMapping, map_table
from stillme.transfer.plumbing.processes import usable_cores
from stillme.transfer.plumbing.zones import ClockRecord
from stillme.transfer.project.files import notices_of
from stillme.transfer.records.table_job import TableJob
from stillme.transfer.registry import legacy_models, levels
from stillme.transfer.sqlite.clock.epochs import read_number_ranges, units_of
from stillme.transfer.sqlite.clock.file_clock import Clock, read_clock
from stillme.transfer.sqlite.copying.room import TEMPORARY, ask_for_room
from stillme.transfer.sqlite.copying.snapshot import Snapshot, take_snapshot
from stillme.transfer.sqlite.reading.connect import explained
from stillme.transfer.sqlite.reading.key_ranges import KeyRange, key_ranges
from stillme.transfer.sqlite.reading.scan_parts import Scan, scan_in_parts
from stillme.transfer.sqlite.schema.found import row_count, sequence_mark


@dataclass(slots=True)
class PlannedTable:
    """One table to load, cut into `ranges` where the plan was asked for them.

    `rows` is what a full scan of the table counts, in no index and in no key range.
    """

    job: TableJob
    rows: int
    sequence_mark: int
    ranges: list[KeyRange] = field(default_factory=list)

    @property
    def name(self) -> str:
        """The declared legacy table."""
        return self.job.mapping.declared_table

    @property
    def identity(self) -> TableId:
        """Its file and its name."""
        return self.job.mapping.identity


@dataclass(slots=True)
class PlannedFile:
    """One file: its snapshot, and its tables by declared name."""

    snapshot: Snapshot
    tables: dict[str, PlannedTable]
    notices: list[str]


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


@dataclass(frozen=True, slots=True)
class Planner:
    """Looks at snapshots, up to `threads` scans of a table side by side.

    Tables are cut into ranges of `chunk_rows` (0: not at all); `bounds` are those of an earlier
    run. `recorded` holds by file how the last import read its local times.
    """

    selection: Selection
    run_id: int | None = None
    threads: int = field(default_factory=usable_cores)
    chunk_rows: int = 0
    bounds: Mapping[TableId, tuple[Key, ...]] = field(default_factory=dict)
    recorded: Mapping[str, ClockRecord | None] = field(default_factory=dict)
    quarantine_is_empty: bool = False

    def look(self, snapshot: Snapshot) -> PlannedFile:
        """Plan one file. Raises LegacyFileError where it is damaged."""
        notices: list[str] = []
        with explained(snapshot.source):
            tables = self._tables(snapshot, notices)
        notices += [f"{snapshot.file}: {sentence}." for sentence in snapshot.notices]
        return PlannedFile(snapshot, tables, notices)

    def _tables(self, snapshot: Snapshot, notices: list[str]) -> dict[str, PlannedTable]:
        """Declared table -> plan, for the tables that are there and wanted."""
        mappings = file_mappings(snapshot, notices)
        scan = partial(scan_in_parts, snapshot.path, threads=self.threads)
        with closing(snapshot.open()) as connection:
            recorded = self.recorded.get(snapshot.file)
            zone = time_zone(snapshot.file)
            clock = read_clock(connection, mappings.values(), zone, scan, recorded)
            if clock.notice and has_local_times(mappings.values()):
                notices.append(f"{snapshot.file}: {clock.notice}")
            return {
                name: self._table(connection, snapshot, mappings, name, clock, scan)
                for name in mappings
                if self.selection.wants(snapshot.file, name)
            }

    def _table(
        self,
        connection: sqlite3.Connection,
        snapshot: Snapshot,
        mappings: dict[str, TableMapping],
        name: str,
        clock: Clock,
        scan: Scan,
    ) -> PlannedTable:
        mapping = mappings[name]
        rows = row_count(connection, mapping.table)
        job = TableJob(
            snapshot=snapshot,
            mapping=mapping,
            clock=clock,
            epoch_units=units_of(read_number_ranges(scan, mapping)),
            run_id=self.run_id,
            parents={parent: mappings.get(parent) for _, parent in mapping.references()},
            quarantine_was_empty=self.quarantine_is_empty,
        )
        planned = PlannedTable(job, rows, sequence_mark(connection, mapping.table))
        if self.chunk_rows and mapping.refers_to_itself:
            # A parent may come after its children: all of them in one transaction.
            planned.ranges = [KeyRange(0)]
        elif self.chunk_rows:
            known = self.bounds.get(mapping.identity, ())
            planned.ranges = key_ranges(connection, mapping, self.chunk_rows, known, rows)
        return planned


def take_snapshots(
    selection: Selection,
    directory: Path,
    notices: list[str],
    on_event: OnEvent,
    threads: int,
) -> list[Snapshot]:
    """Copy the selected files that are there into `directory`, side by side.

    Raises LegacyFileError where a file cannot be read, or has other migrations than the project.
    """
    selection.check(with_stores=True)
    files = present_files(selection, notices)
    for file in files:
        on_event(Event("file", {"file": file.name, "path": str(file.path)}))
    needed = sum(file.path.stat().st_size for file in files)
    ask_for_room(directory, needed, "The snapshot of the legacy files", TEMPORARY)
    with ThreadPoolExecutor(max_workers=threads) as pool:
        copies = [pool.submit(take_snapshot, file.name, file.path, directory) for file in files]
        snapshots = [copy.result() for copy in copies]
    for snapshot in snapshots:
        refuse_other_migrations(snapshot)
        notices += notices_of(snapshot.file)
    return snapshots


def make_plan(selection: Selection, directory: Path, on_event: OnEvent) -> Plan:
    """Snapshot the files into `directory` and decide what each table needs, without a run."""
    planner = Planner(selection)
    notices: list[str] = []
    snapshots = take_snapshots(selection, directory, notices, on_event, usable_cores())
    with ThreadPoolExecutor(max_workers=usable_cores()) as threads:
        files = list(threads.map(planner.look, snapshots))
    return arrange(selection, files, notices)


def arrange(selection: Selection, files: Iterable[PlannedFile], notices: list[str]) -> Plan:
    """The whole plan of planned files. Raises LegacyFileError where no table is left."""
    plan = Plan(notices=list(notices))
    tables: dict[TableId, PlannedTable] = {}
    for file in files:
        plan.snapshots.append(file.snapshot)
        plan.notices += file.notices
        tables.update({planned.identity: planned for planned in file.tables.values()})
    if not tables and not selection.only_stores:
        names = ", ".join(str(s.source) for s in plan.snapshots)
        raise NoLegacyFile(f"None of the known legacy tables is in {names}: check the paths.")
    for level in levels(legacy_models()):
        here = [tables[m.identity()] for m in level if m.identity() in tables]
        if here:
            plan.levels.append(here)
    return plan


def has_local_times(mappings: Iterable[TableMapping]) -> bool:
    """Whether the tables have times that are read by the file's clock."""
    return any(
        c.kind.depends_on_clock and c.kind.shape is not Stamp.SQL
        for mapping in mappings
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
        carried = (*(column.legacy for column in mapping.columns), *mapping.extra)
        if read := [name for name in carried if name in mapping.generated]:
            names = ", ".join(read)
            notices.append(f"{mapping.table}: values that SQLite computes are loaded: {names}.")
    return found
