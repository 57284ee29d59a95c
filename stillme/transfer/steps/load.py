"""import_sqlite as a library call: snapshot, load every row, set sequences, keep the ledger."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from django.conf import settings
from django.db import connections

from stillme.transfer import ledger
from stillme.transfer.errors import TransferError
from stillme.transfer.findings import Event, OnEvent, ignore_event
from stillme.transfer.models import Chunk, QuarantinedRow, Run
from stillme.transfer.postgresql import objects
from stillme.transfer.postgresql.copy import execute, fetch_all
from stillme.transfer.postgresql.locks import exclusive
from stillme.transfer.postgresql.sequences import set_sequence
from stillme.transfer.registry import legacy_files
from stillme.transfer.selection import Selection
from stillme.transfer.sqlite.ranges import KeyRange, key_ranges
from stillme.transfer.steps.careful import KEY_NOT_TAKEN
from stillme.transfer.steps.dry import dry_table
from stillme.transfer.steps.outcome import Outcome
from stillme.transfer.steps.plan import Plan, PlannedTable, make_plan
from stillme.transfer.steps.prune import prune_keys, prune_records
from stillme.transfer.steps.readiness import check_target
from stillme.transfer.steps.retry import retry_orphans
from stillme.transfer.steps.states import refuse_when_live
from stillme.transfer.steps.workers import Task, run_tasks
from stillme.transfer.stores import StoreOptions, wanted_stores

CHUNK_ROWS = 50_000
# Below this size live indexes cost less than taking them down and building them again.
LARGE_TABLE_ROWS = 100_000


@dataclass(frozen=True, slots=True)
class ImportOptions:
    """What to import and how."""

    selection: Selection = field(default_factory=Selection)
    jobs: int = 0
    dry_run: bool = False
    prune: bool = False
    overwrite: bool = False
    moved: bool = False
    chunk_rows: int = CHUNK_ROWS
    database: str = "default"

    @property
    def workers(self) -> int:
        """Worker processes: as asked, else one per core up to four."""
        return self.jobs or min(4, os.cpu_count() or 1)


@dataclass(slots=True)
class TableResult:
    """What became of one table."""

    file: str
    table: str
    target: str
    outcome: Outcome
    seconds: float
    chunks: int = 0
    skipped_chunks: int = 0


@dataclass(slots=True)
class ImportResult:
    """What became of the import. `conserved` is law 1 over all tables."""

    run_id: int | None
    tables: list[TableResult] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)
    returned: int = 0
    seconds: float = 0.0
    dry_run: bool = False

    @property
    def conserved(self) -> bool:
        """Whether every legacy row is loaded, repaired or quarantined."""
        return all(table.outcome.conserved for table in self.tables)

    @property
    def conflicts(self) -> int:
        """Rows left alone because the target side changed them."""
        return sum(table.outcome.conflict_count for table in self.tables)


def import_files(options: ImportOptions, on_event: OnEvent = ignore_event) -> ImportResult:
    """Import the selected files. Raises TransferError; what was committed before stays."""
    options.selection.check(with_stores=True)
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="stillme-snapshot-") as name:
        directory = Path(name)
        if options.dry_run:
            result = _dry(options, directory, on_event)
        else:
            check_target(options.database)
            with exclusive(options.database):
                result = _import(options, directory, on_event)
    result.seconds = time.monotonic() - started
    return result


def _dry(options: ImportOptions, directory: Path, on_event: OnEvent) -> ImportResult:
    plan = make_plan(options.selection, directory, settings.LEGACY_TIME_ZONE, None, on_event)
    result = ImportResult(None, notices=plan.notices, dry_run=True)
    set_aside: dict[str, tuple[int, ...]] = {}
    for planned in plan.tables:
        begun = time.monotonic()
        job = replace(planned.job, set_aside=_parents_of(planned, set_aside))
        outcome, aside = dry_table(job)
        set_aside[job.mapping.declared_table] = aside
        mapping = job.mapping
        seconds = time.monotonic() - begun
        result.tables.append(
            TableResult(mapping.file, mapping.declared_table, mapping.target, outcome, seconds)
        )
    _load_stores(options, None, result, on_event)
    return result


def _load_stores(
    options: ImportOptions, run: Run | None, result: ImportResult, on_event: OnEvent
) -> None:
    """What domains brought besides the mapped files."""
    chosen = StoreOptions(
        database=options.database,
        dry_run=options.dry_run,
        prune=options.prune,
        overwrite=options.overwrite,
    )
    selection = options.selection
    for store in wanted_stores(selection.files, selection.tables, result.notices):
        on_event(Event("file", {"file": store.name, "path": str(store.path())}))
        report = store.import_store(chosen, run, on_event)
        result.tables += report.tables
        result.notices += report.notices


def _parents_of(
    planned: PlannedTable, set_aside: dict[str, tuple[int, ...]]
) -> dict[str, tuple[int, ...]]:
    return {name: set_aside.get(name, ()) for name in planned.job.parents}


def _import(options: ImportOptions, directory: Path, on_event: OnEvent) -> ImportResult:
    alias = options.database
    wanted = [f.name for f in legacy_files() if options.selection.wants_file(f.name)]
    refuse_when_live(alias, wanted, "import_sqlite")
    run = ledger.start_run(alias, "import_sqlite", _describe(options))
    try:
        restored = objects.restore_all(alias)
        if restored:
            on_event(Event("notice", {"message": f"{restored} indexes of a broken run built."}))
        zone = settings.LEGACY_TIME_ZONE
        plan = make_plan(options.selection, directory, zone, run.pk, on_event)
        if not options.moved:
            ledger.refuse_other_files(alias, plan.snapshots)
        result = ImportResult(run.pk, notices=plan.notices)
        _load_plan(options, run, plan, result, on_event)
        _load_stores(options, run, result, on_event)
        result.returned = retry_orphans(alias, plan)
    except BaseException as error:
        _close_failed(alias, run, error)
        raise
    ledger.prune_marks(alias)
    run.summary = {"returned": result.returned}
    ledger.finish_run(alias, run, failed=not result.conserved)
    return result


def _close_failed(alias: str, run: Run, error: BaseException) -> None:
    """Note the end in the ledger, if the server still listens."""
    from django.db import Error

    message = str(error) if isinstance(error, TransferError) else type(error).__name__
    try:
        connections[alias].close()
        ledger.finish_run(alias, run, failed=True, message=message)
    except Error:
        # The server is gone: the next run marks this one as ended early.
        return


def _describe(options: ImportOptions) -> dict[str, object]:
    return {
        "files": list(options.selection.files),
        "tables": list(options.selection.tables),
        "jobs": options.workers,
        "prune": options.prune,
        "overwrite": options.overwrite,
        "chunk_rows": options.chunk_rows,
        "time_zone": settings.LEGACY_TIME_ZONE,
    }


def _load_plan(
    options: ImportOptions, run: Run, plan: Plan, result: ImportResult, on_event: OnEvent
) -> None:
    alias = options.database
    ledger.note_plan(alias, run, {p.job.mapping.declared_table: p.rows for p in plan.tables})
    for planned in plan.tables:
        ledger.record_file(alias, run, planned.job, [])
        on_event(
            Event("table", {"table": planned.job.mapping.declared_table, "total": planned.rows})
        )
    for level in plan.levels:
        _load_level(options, run, level, result, on_event)
    by_name = {table.table: table for table in result.tables}
    for planned in reversed(plan.tables) if options.prune else ():
        prune_records(alias, planned.job)
        table = by_name[planned.job.mapping.declared_table]
        if table.outcome.to_prune:
            prune_keys(alias, planned.job, table.outcome)
            ledger.record_table(alias, run, planned.job, table.outcome, table.seconds)


def _load_level(
    options: ImportOptions,
    run: Run,
    level: Sequence[PlannedTable],
    result: ImportResult,
    on_event: OnEvent,
) -> None:
    """Load the tables of one level side by side: none refers to another of them."""
    alias = options.database
    begun = time.monotonic()
    tasks: list[Task] = []
    results: dict[str, TableResult] = {}
    for planned in level:
        table_tasks = _table_tasks(options, planned)
        tasks += table_tasks
        mapping = planned.job.mapping
        results[mapping.declared_table] = TableResult(
            mapping.file, mapping.declared_table, mapping.target, Outcome(), 0.0
        )
    for (job, _, _), outcome in run_tasks(alias, tasks, options.workers):
        table = results[job.mapping.declared_table]
        table.outcome.add(outcome)
        table.chunks += 1
        table.skipped_chunks += outcome.skipped
        table.seconds = time.monotonic() - begun
        progress = {"table": table.table, "rows": table.outcome.legacy_rows}
        on_event(Event("progress", progress))
    for planned in level:
        table = results[planned.job.mapping.declared_table]
        _finish_table(options, run, planned, table, on_event)
        result.tables.append(table)


def _table_tasks(options: ImportOptions, planned: PlannedTable) -> list[Task]:
    alias = options.database
    job = replace(
        planned.job,
        overwrite=options.overwrite,
        prune=options.prune,
        set_aside={name: _set_aside_keys(alias, name) for name in planned.job.parents},
    )
    planned.job = job
    mapping = job.mapping
    chunks = ledger.table_chunks(alias, mapping.declared_table)
    connection = job.snapshot.open()
    try:
        known = ledger.known_bounds(chunks)
        ranges = key_ranges(connection, mapping, options.chunk_rows, known, planned.rows)
    finally:
        connection.close()
    previous = {(c.number, c.after, c.upto): c for c in chunks}
    if not chunks and _is_empty(alias, mapping.relation) and planned.rows >= LARGE_TABLE_ROWS:
        objects.take_down(alias, mapping.relation, job.run_id)
    ledger.drop_chunks_from(alias, mapping.declared_table, len(ranges))
    return [(job, r, _previous(r, previous, chunks)) for r in ranges]


def _previous(
    key_range: KeyRange,
    exact: dict[tuple[int, object, object], Chunk],
    chunks: Sequence[Chunk],
) -> Chunk | None:
    """The record of just this range; a stand-in that fits nothing where others overlap it."""
    found = exact.get((key_range.number, key_range.after, key_range.upto))
    if found is not None:
        return found
    # The last range was unbounded before and has grown: it may hold rows that are loaded.
    overlaps = any(c.upto is None and c.number <= key_range.number for c in chunks)
    return Chunk(mapping_digest="", file_sha256="", digest="") if overlaps else None


def _is_empty(alias: str, relation: str) -> bool:
    return not fetch_all(connections[alias], f"SELECT 1 FROM {relation} LIMIT 1")


def _set_aside_keys(alias: str, table: str) -> tuple[int, ...]:
    rows = QuarantinedRow.objects.using(alias).filter(table=table)
    rows = rows.exclude(reason__in=KEY_NOT_TAKEN)
    keys = rows.exclude(status=QuarantinedRow.Status.REPAIRED).values_list("key", flat=True)
    return tuple(sorted(int(key) for key in keys if key is not None and _is_whole(key)))


def _is_whole(text: str) -> bool:
    return text.lstrip("-").isdigit()


def _finish_table(
    options: ImportOptions,
    run: Run,
    planned: PlannedTable,
    table: TableResult,
    on_event: OnEvent,
) -> None:
    alias = options.database
    mapping = planned.job.mapping
    dropped = objects.dropped_objects(alias, mapping.relation)
    for each in dropped:
        on_event(Event("index", {"table": table.table, "name": each.name}))
    objects.build_all_again(alias, dropped)
    set_sequence(alias, mapping, planned.sequence_mark)
    if table.outcome.inserted + table.outcome.updated:
        # The admin shows the planner's estimate instead of counting.
        execute(connections[alias], f"ANALYZE {mapping.relation}")
    ledger.record_table(alias, run, planned.job, table.outcome, table.seconds)
    on_event(Event("done", {"table": table.table, "rows": table.outcome.legacy_rows}))
