"""`verify_migration` as a library call."""

from __future__ import annotations

import time
from pathlib import Path

from stillme.transfer.errors import LegacyFileError, NoLegacyFile
from stillme.transfer.findings import Event, OnEvent, ignore_event
from stillme.transfer.inventory.selection import present_files
from stillme.transfer.inventory.stores import StoreOptions, wanted_stores
from stillme.transfer.inventory.taking import with_decisions
from stillme.transfer.plumbing.scratch import scratch_folder
from stillme.transfer.records.missing import missing_legacy
from stillme.transfer.records.proofs import identity
from stillme.transfer.records.required import require_records
from stillme.transfer.verify.judged_files import FileWork
from stillme.transfer.verify.options import VerifyOptions
from stillme.transfer.verify.proof_record import describe, proof_run
from stillme.transfer.verify.result import VerifyResult
from stillme.transfer.verify.rows.quarantine_records import of_unknown_tables, undatable
from stillme.transfer.verify.structure.target_relation import check_casts, check_records
from stillme.transfer.verify.tables.chosen_rows import Settle, settle_findings
from stillme.transfer.verify.tables.judge_processes import judges
from stillme.transfer.verify.tables.table_levels import confidence_sentence

__all__ = ["VerifyOptions", "verify"]


def verify(
    options: VerifyOptions, on_event: OnEvent = ignore_event, settle: Settle | None = None
) -> VerifyResult:
    """Compare the legacy files, as they are now, with the target. Raises TransferError.

    While the old application writes, `settle(file)` replays the changes that are on their way.
    Rows with findings are then judged again before the findings count.
    """
    options.selection.check(with_stores=True)
    require_records(options.database)
    result = VerifyResult(options.level)
    with proof_run(options, result):
        _verify(options, result, on_event, settle)
    return result


def _verify(
    options: VerifyOptions, result: VerifyResult, on_event: OnEvent, settle: Settle | None
) -> None:
    started = time.monotonic()
    gone = missing_legacy(options.database, options.selection)
    result.structure.extend(line.as_finding() for line in gone)
    result.structure.extend(check_casts(options.database))
    result.structure.extend(check_records(options.database))
    with scratch_folder("verify") as folder:
        _verify_files(options, folder, result, on_event)
    _verify_stores(options, result, on_event)
    if options.level == "full":
        result.structure.extend(of_unknown_tables(options.database))
    result.structure.extend(undatable(options.database))
    _refuse_nothing(result)
    if settle is not None:
        settle_findings(options.database, result, settle)
    if options.level == "sample":
        compared = sum(table.compared for table in result.tables)
        rows = sum(table.legacy_rows for table in result.tables)
        result.confidence = confidence_sentence(compared, rows)
    describe(options.database, result)
    result.seconds = time.monotonic() - started


def _verify_files(
    options: VerifyOptions, folder: Path, result: VerifyResult, on_event: OnEvent
) -> None:
    """Judge file after file. The next one is copied while one is judged."""
    try:
        files = present_files(options.selection, result.notices)
    except NoLegacyFile:
        if not result.structure.total:
            raise
        files = []
    size = sum(file.path.stat().st_size for file in files if file.path.is_file())
    with judges(1 if options.level == "counts" else options.workers(size)) as hand_out:
        work = FileWork(options, folder, result, on_event, hand_out)
        begun = map(work.begin, files)
        ahead = next(begun, None)
        while ahead is not None:
            following = next(begun, None)
            work.end(ahead)
            ahead = following


def _verify_stores(options: VerifyOptions, result: VerifyResult, on_event: OnEvent) -> None:
    """Judge the stores that domains bring in addition to the mapped files."""
    chosen = StoreOptions(
        database=options.database,
        level=options.level,
        sample=options.sample,
        jobs=options.most_workers,
    )
    selection = options.selection
    try:
        present = wanted_stores(selection.files, selection.tables, result.notices)
    except NoLegacyFile:
        if not result.structure.total:
            raise
        present = []
    for store in present:
        on_event(Event("file", {"file": store.name, "path": str(store.path())}))
        if options.round_trip:
            result.notices.append(f"{store.name}: not rebuilt, --round-trip is for files.")
        which = identity(store.path())
        report = store.prove_store(chosen, on_event)
        result.tables += report.tables
        result.structure.extend(report.findings)
        result.notices += report.notices
        result.account_for(with_decisions(options.database, report.inventory))
        result.files.update({name: {**file, **which} for name, file in report.files.items()})


def _refuse_nothing(result: VerifyResult) -> None:
    """Raise LegacyFileError if nothing was compared: then there is no verdict."""
    if not result.tables and not result.findings.total:
        looked = ", ".join(str(file["path"]) for file in result.files.values())
        raise LegacyFileError(
            f"Nothing was compared: none of the tables asked for is in {looked}: check the paths."
        )
