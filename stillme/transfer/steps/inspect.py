"""inspect_sqlite as a library call: what is in the legacy files, and what will become of it.

Reads snapshots in a temporary folder and writes nothing anywhere. The prediction is for an import
into an empty target.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

from stillme.transfer.conf import conf
from stillme.transfer.errors import TransferError
from stillme.transfer.findings import Event, OnEvent, ignore_event
from stillme.transfer.identity import TableId
from stillme.transfer.inventory.selection import Selection
from stillme.transfer.inventory.stores import StoreOptions, wanted_stores
from stillme.transfer.inventory.taking import inventory_of
from stillme.transfer.plumbing.processes import usable_cores
from stillme.transfer.plumbing.scratch import scratch_folder
from stillme.transfer.registry import LegacyFile, legacy_files, legacy_models, table_label
from stillme.transfer.sqlite.clock.fitting_zones import fitting_zones
from stillme.transfer.sqlite.copying.plain_files import journal_mode, other_files
from stillme.transfer.sqlite.schema.drift import Drift, find_drift, virtual_tables
from stillme.transfer.steps.inspect_result import (
    FileInspection,
    Inspection,
    StoreInspection,
    TableInspection,
)
from stillme.transfer.steps.loading.plan import Plan, PlannedTable, has_local_times, make_plan
from stillme.transfer.steps.loading.predict_tables import predict_tables


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
        plan = make_plan(wanted, folder, on_event)
        result.order = [[table_label(p.identity) for p in level] for level in plan.levels]
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
                rows = table.prediction.legacy_rows
                on_event(Event("done", {"table": table_label(identity), "rows": rows}))
    return found


def _predict_file(planned: Sequence[PlannedTable]) -> list[TableInspection]:
    return [
        TableInspection(
            found.planned.identity.table,
            found.job.mapping.target,
            found.prediction,
            found.seconds,
        )
        for found in predict_tables(planned, profiled=True)
    ]


def _file(file: LegacyFile, plan: Plan, tables: dict[TableId, TableInspection]) -> FileInspection:
    snapshot = next((s for s in plan.snapshots if s.file == file.name), None)
    if snapshot is None:
        state = "empty" if file.path.exists() else "missing"
        effect = "nothing to import: the feature may have been off"
        absent = Drift(file.name, "", f"{state} file", file.path.name, effect=effect)
        return FileInspection(file.name, file.path, state, drift=[absent])
    planned = [p for p in plan.tables if p.job.mapping.file == file.name]
    clock = planned[0].job.clock if planned else None
    # Whether rows with local times depend on the clock's decision.
    depends = has_local_times(p.job.mapping for p in planned if p.rows)
    drift = find_drift(file.name, legacy_models(file.name), snapshot.schema)
    with closing(snapshot.open()) as connection:
        drift += virtual_tables(file.name, connection)
        zones = fitting_zones(connection, [table.job.mapping for table in planned])
    return FileInspection(
        file.name,
        file.path,
        "present",
        size=file.path.stat().st_size,
        journal_mode=journal_mode(file.path),
        user_version=snapshot.schema.user_version,
        clock=clock,
        open_clock=clock.notice if clock and depends else "",
        zones=zones,
        drift=drift,
        tables=[tables[p.identity] for p in planned],
        inventory=inventory_of(snapshot, None),
        notices=snapshot.notices,
    )
