"""verify_migration as a library call."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

from django.utils import timezone

from stillme.transfer.errors import TargetError
from stillme.transfer.findings import Event, OnEvent, ignore_event
from stillme.transfer.models import Proof, Run
from stillme.transfer.selection import present_files
from stillme.transfer.stores import StoreOptions, wanted_stores
from stillme.transfer.take_inventory import with_decisions
from stillme.transfer.verify.circumstances import describe
from stillme.transfer.verify.files import BegunFile, FileWork
from stillme.transfer.verify.judges import judges
from stillme.transfer.verify.keys import Settle, settle_findings
from stillme.transfer.verify.options import VerifyOptions
from stillme.transfer.verify.result import VerifyResult
from stillme.transfer.verify.sample import confidence_sentence
from stillme.transfer.verify.target_side import select
from stillme.transfer.verify.unclaimed import of_unknown_tables

__all__ = ["VerifyOptions", "verify"]


def verify(
    options: VerifyOptions, on_event: OnEvent = ignore_event, settle: Settle | None = None
) -> VerifyResult:
    """Compare the legacy files, as they are now, with the target. Raises TransferError.

    While writers are active, `settle(file)` replays what is in flight; rows with findings
    are then judged again before they count.
    """
    options.selection.check(with_stores=True)
    started = time.monotonic()
    _check_migrated(options.database)
    result = VerifyResult(options.level)
    with tempfile.TemporaryDirectory(prefix="stillme-verify-") as name:
        _verify_files(FileWork(options, Path(name), result, on_event))
    _verify_stores(options, result, on_event)
    if options.level == "full":
        result.structure.extend(of_unknown_tables(options.database))
    if settle is not None:
        settle_findings(options.database, result, settle)
    if options.level == "sample":
        compared = sum(table.compared for table in result.tables)
        rows = sum(table.legacy_rows for table in result.tables)
        result.confidence = confidence_sentence(compared, rows)
    describe(options.database, result)
    result.seconds = time.monotonic() - started
    _record(options, result)
    return result


def _verify_files(work: FileWork) -> None:
    """File after file; the next one is looked at while one is judged."""
    options = work.options
    files = present_files(options.selection, work.result.notices)
    size = sum(file.path.stat().st_size for file in files if file.path.is_file())
    with judges(1 if options.level == "counts" else options.workers(size)) as hands:
        ahead: BegunFile | None = None
        for file in files:
            begun = work.begin(file, hands)
            if ahead is not None:
                work.end(ahead, hands)
            ahead = begun
        if ahead is not None:
            work.end(ahead, hands)


def _verify_stores(options: VerifyOptions, result: VerifyResult, on_event: OnEvent) -> None:
    """What domains brought besides the mapped files."""
    chosen = StoreOptions(
        database=options.database,
        level=options.level,
        sample=options.sample,
        jobs=options.most_workers,
    )
    selection = options.selection
    for store in wanted_stores(selection.files, selection.tables, result.notices):
        on_event(Event("file", {"file": store.name, "path": str(store.path())}))
        if options.round_trip:
            result.notices.append(f"{store.name}: not rebuilt, --round-trip is for files.")
        report = store.prove_store(chosen, on_event)
        result.tables += report.tables
        result.structure.extend(report.findings)
        result.notices += report.notices
        result.account_for(with_decisions(options.database, report.inventory))
        result.files.update(report.files)


def _check_migrated(alias: str) -> None:
    known = select(alias, "SELECT to_regclass('transfer.quarantined_row') IS NOT NULL")[0][0]
    if not known:
        raise TargetError("The target is not migrated: run `manage.py migrate` first.")


def _record(options: VerifyOptions, result: VerifyResult) -> None:
    """Store the proof: `migration_status` and the console show it."""
    alias = options.database
    run = Run.objects.using(alias).create(
        command="verify_migration",
        status=Run.Status.COMPLETED,
        options={
            "level": options.level,
            "files": list(result.files),
            "tables": list(options.selection.tables),
        },
        summary={"verdict": result.verdict},
    )
    Run.objects.using(alias).filter(pk=run.pk).update(finished_at=timezone.now())
    result.run_id = run.pk
    Proof.objects.using(alias).create(
        run=run,
        level=options.level,
        verdict=result.verdict,
        exit_status=result.exit_status,
        findings=result.findings.total,
        report={"files": result.files, "open": result.open_rows},
    )
