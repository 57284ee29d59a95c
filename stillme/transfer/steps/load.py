"""import_sqlite as a library call: snapshot, load every row, set sequences, keep the ledger."""

from __future__ import annotations

import time
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path

from django.db import connections

from stillme.transfer.conf import conf
from stillme.transfer.errors import NoLegacyFile
from stillme.transfer.findings import Event, OnEvent, ignore_event
from stillme.transfer.inventory.deletions import Confirm, always
from stillme.transfer.inventory.stores import StoreOptions, wanted_stores
from stillme.transfer.inventory.taking import inventory_of, with_decisions
from stillme.transfer.models import KeptCell, QuarantinedRow, Run
from stillme.transfer.plumbing.processes import usable_cores
from stillme.transfer.plumbing.scratch import scratch_folder
from stillme.transfer.postgresql import objects
from stillme.transfer.postgresql.after_load import renew_where_outgrown, set_sequence
from stillme.transfer.postgresql.distributed import refuse_where_distributed
from stillme.transfer.postgresql.locks import exclusive, exclusive_transaction
from stillme.transfer.records import ledger
from stillme.transfer.records.edited_rows import keys_of_edited_rows
from stillme.transfer.records.live_files import require_place
from stillme.transfer.records.missing import missing_legacy
from stillme.transfer.records.outcome import Outcome
from stillme.transfer.records.recorded_clock import (
    GUESS_ADVICE,
    guess_sentence,
    guessed_times,
    recorded_clock,
)
from stillme.transfer.records.totals import table_totals
from stillme.transfer.registry import circle, legacy_files
from stillme.transfer.steps.aside.orphans_back import retry_orphans
from stillme.transfer.steps.loading.history import refuse_other_history
from stillme.transfer.steps.loading.import_options import (
    CHUNK_ROWS,
    Approval,
    ImportOptions,
    ImportResult,
    TableResult,
    approve,
)
from stillme.transfer.steps.loading.plan import (
    Plan,
    Planner,
    arrange,
    make_plan,
    take_snapshots,
)
from stillme.transfer.steps.loading.predict_tables import predict_tables
from stillme.transfer.steps.loading.prune import Gone, dry_vanished, find_gone, prune_gone
from stillme.transfer.steps.loading.schedule import Schedule, executor
from stillme.transfer.steps.loading.target_ready import check_target, clear_own_rows
from stillme.transfer.steps.loading.workers import workforce
from stillme.transfer.steps.replaying.settle_foreign import settle_loaded, settle_restored
from stillme.transfer.steps.syncing import file_states
from stillme.transfer.steps.syncing.file_states import Action
from stillme.visible import counted

__all__ = ["CHUNK_ROWS", "ImportOptions", "ImportResult", "TableResult", "import_files"]


def import_files(
    options: ImportOptions, on_event: OnEvent = ignore_event, confirm: Confirm = always
) -> ImportResult:
    """Import the selected files. Raises TransferError; what was committed before stays.

    With `prune`, `confirm` is asked before anything is deleted.
    """
    options.selection.check(with_stores=True)
    started = time.monotonic()
    with scratch_folder("snapshot") as directory:
        if options.prune or not options.dry_run:
            check_target(options.database)
        if options.prune:
            refuse_where_distributed(connections[options.database], "--prune")
        if options.dry_run:
            result = _dry(options, directory, on_event)
        else:
            with exclusive(options.database):
                result = _import_what_is_there(options, directory, on_event, confirm)
    result.seconds = time.monotonic() - started
    return result


def _import_what_is_there(
    options: ImportOptions, directory: Path, on_event: OnEvent, confirm: Confirm
) -> ImportResult:
    """Import; what was loaded before and is gone is named, and stays as it is in the target."""
    missing = missing_legacy(options.database, options.selection)
    try:
        result = _import(options, directory, on_event, confirm)
    except NoLegacyFile:
        if not missing:
            raise
        result = ImportResult(None)
    result.missing = missing
    tables = table_totals(options.database)
    result.aside = {(table.file, table.table): table.set_aside for table in tables}
    return result


def _dry(options: ImportOptions, directory: Path, on_event: OnEvent) -> ImportResult:
    alias = options.database
    plan = make_plan(options.selection, directory, on_event)
    result = ImportResult(None, notices=plan.notices, dry_run=True)
    for snapshot in plan.snapshots:
        result.inventory += inventory_of(snapshot, None)
    approval = partial(approve, options, result, always)
    if options.prune:
        file_states.require(alias, [s.file for s in plan.snapshots], Action.IMPORT)
    if options.prune and not options.replaced:
        refuse_other_history(alias, plan.snapshots, prune=True)
    # Bad rows that are in the target all the same; only with `prune` the target is asked.
    for found in predict_tables(
        plan.tables,
        lambda job: keys_of_edited_rows(alias, job.mapping) if options.prune else (),
    ):
        outcome, job, mapping = found.prediction, found.job, found.job.mapping
        if options.prune:
            vanished = dry_vanished(alias, replace(job, prune=True, overwrite=options.overwrite))
            outcome.vanished_count, outcome.vanished = vanished.vanished_count, vanished.vanished
            approval([find_gone(alias, job, vanished.to_prune).deletion])
        result.tables.append(
            TableResult(
                mapping.file,
                mapping.declared_table,
                mapping.target,
                outcome,
                found.seconds,
                counted=found.planned.rows,
            )
        )
    _load_stores(options, None, result, on_event, approval)
    return result


def _load_stores(
    options: ImportOptions,
    run: Run | None,
    result: ImportResult,
    on_event: OnEvent,
    approval: Approval,
) -> None:
    """What domains brought besides the mapped files."""
    chosen = StoreOptions(
        database=options.database,
        dry_run=options.dry_run,
        prune=options.prune,
        overwrite=options.overwrite,
        moved=options.moved,
        jobs=options.jobs,
        approve=approval,
    )
    selection = options.selection
    for store in wanted_stores(selection.files, selection.tables, result.notices):
        on_event(Event("file", {"file": store.name, "path": str(store.path())}))
        report = store.import_store(chosen, run, on_event)
        result.tables += report.tables
        result.notices += report.notices
        alias = None if options.dry_run else options.database
        result.inventory += with_decisions(alias, report.inventory)


def _import(
    options: ImportOptions, directory: Path, on_event: OnEvent, confirm: Confirm
) -> ImportResult:
    alias = options.database
    files = [file for file in legacy_files() if options.selection.wants_file(file.name)]
    file_states.require(alias, [file.name for file in files], Action.IMPORT)
    require_place(alias, files)
    workers = options.workers(sum(f.path.stat().st_size for f in files if f.path.is_file()))
    run = ledger.start_run(alias, "import_sqlite", _describe(options, workers))
    result = ImportResult(run.pk)
    approval = partial(approve, options, result, confirm)
    try:
        if restored := objects.restore_all(alias):
            indexes = counted(restored, "index", "indexes")
            on_event(Event("notice", {"message": f"{indexes} of a broken run built."}))
        settle_restored(alias, files, run)
        plan = _load_files(options, directory, run, result, workers, on_event)
        if options.prune:
            _prune(alias, run, plan, result, approval)
        settle_loaded(alias, run, plan, result)
        _load_stores(options, run, result, on_event, approval)
        _renew_figures_beside(alias, result)
        result.returned = retry_orphans(alias, plan)
    except BaseException as error:
        ledger.fail_run(alias, run, error)
        raise
    ledger.prune_marks(alias)
    run.summary = {
        "returned": result.returned,
        "undecided": list(map(asdict, result.undecided)),
        "deletions": list(map(asdict, result.deletions)),
        "refused": result.refused,
    }
    with exclusive_transaction(alias):
        ledger.finish_run(alias, run, failed=not result.conserved)
        file_states.note_loaded(alias, run)
    return result


def _renew_figures_beside(alias: str, result: ImportResult) -> None:
    """Renew the planner's figures of the quarantine and the kept cells, where they have grown."""
    outcomes = [table.outcome for table in result.tables]
    aside, kept = QuarantinedRow._meta.db_table, KeptCell._meta.db_table
    renew_where_outgrown(alias, aside, sum(outcome.quarantined for outcome in outcomes))
    renew_where_outgrown(alias, kept, sum(outcome.repaired for outcome in outcomes))


def _load_files(
    options: ImportOptions,
    directory: Path,
    run: Run,
    result: ImportResult,
    workers: int,
    on_event: OnEvent,
) -> Plan:
    """Plan and load side by side. Nothing is loaded before every file was copied and known."""
    alias, selection = options.database, options.selection
    threads = usable_cores() if workers > 1 else 1
    with (
        workforce(alias, workers) as submit,
        executor(alias, workers) as planning,
        executor(alias, workers) as finishing,
    ):
        snapshots = take_snapshots(selection, directory, result.notices, on_event, threads)
        if not options.moved:
            ledger.refuse_other_files(alias, snapshots)
        if not options.replaced:
            refuse_other_history(alias, snapshots, prune=options.prune)
        result.notices += clear_own_rows(alias, snapshots, selection, keep_others=options.overwrite)
        clocks = {name: recorded_clock(alias, name) for name in conf().files}
        bounds = ledger.known_bounds_of_all(alias)
        is_empty = not QuarantinedRow.objects.using(alias).exists()
        planner = Planner(selection, run.pk, threads, options.chunk_rows, bounds, clocks, is_empty)
        # One range more than there are processes, so that none waits for its next one.
        room = workers + 1 if workers > 1 else 1
        schedule = Schedule(options, run, submit, room, finishing, on_event)
        for snapshot in snapshots:
            schedule.expect(planning.submit(planner.look, snapshot))
        schedule.work()
    order = [snapshot.file for snapshot in snapshots]
    files = sorted(schedule.files, key=lambda file: order.index(file.snapshot.file))
    for file in files:
        counted_rows = {table.job.mapping.table: table.rows for table in file.tables.values()}
        result.inventory += inventory_of(file.snapshot, alias, counted_rows)
    plan = arrange(selection, files, result.notices)
    result.notices = plan.notices
    result.tables = [schedule.results[planned.identity] for planned in plan.tables]
    if guessed := guessed_times(alias):
        result.notices.append(f"{guess_sentence(guessed)}: {GUESS_ADVICE}.")
    return plan


def _prune(alias: str, run: Run, plan: Plan, result: ImportResult, approval: Approval) -> None:
    """Children first, after everything is loaded; nothing where it is not approved."""
    by_name = {table.identity: table for table in result.tables}
    planned_tables = list(reversed(plan.tables))
    found = [
        find_gone(alias, planned.job, by_name[planned.identity].outcome.to_prune)
        for planned in planned_tables
    ]
    if not approval([gone.deletion for gone in found]):
        return
    groups: dict[object, list[tuple[Gone, Outcome]]] = {}
    for gone in found:
        identity = gone.job.mapping.identity
        members = circle(*identity) or frozenset([identity.table])
        pruned = (gone, by_name[identity].outcome)
        groups.setdefault((identity.file, members), []).append(pruned)
    for group in groups.values():
        prune_gone(alias, group)
    for planned, gone in zip(planned_tables, found, strict=True):
        table = by_name[planned.identity]
        if gone.keys:
            # The greatest id of all may be gone.
            set_sequence(alias, planned.job.mapping, planned.sequence_mark)
            table.record(alias, run.pk)


def _describe(options: ImportOptions, workers: int) -> dict[str, object]:
    return {
        "files": list(options.selection.files),
        "tables": list(options.selection.tables),
        "jobs": workers,
        "prune": options.prune,
        "overwrite": options.overwrite,
        "chunk_rows": options.chunk_rows,
        "time_zones": {name: file.time_zone for name, file in conf().files.items()},
    }
