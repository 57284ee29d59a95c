"""verify_migration as a library call."""

from __future__ import annotations

import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any

from django.utils import timezone

from stillme.transfer.errors import TargetError
from stillme.transfer.findings import Event, OnEvent, ignore_event
from stillme.transfer.models import FileState, Proof, Run
from stillme.transfer.registry import legacy_models
from stillme.transfer.selection import present_files
from stillme.transfer.sqlite.snapshot import Snapshot, take_snapshot
from stillme.transfer.stores import StoreOptions, wanted_stores
from stillme.transfer.verify.cases import make_cases
from stillme.transfer.verify.circumstances import describe
from stillme.transfer.verify.keys import Settle, settle_findings
from stillme.transfer.verify.options import VerifyOptions
from stillme.transfer.verify.reference import check_definitions
from stillme.transfer.verify.result import VerifyResult
from stillme.transfer.verify.round_trip import round_trip
from stillme.transfer.verify.sample import confidence_sentence
from stillme.transfer.verify.since import proven_tables
from stillme.transfer.verify.structure import check_structure, forbids_reading
from stillme.transfer.verify.tables import check_keys, legacy_rows, verify_full, verify_lightly
from stillme.transfer.verify.target_side import select

__all__ = ["VerifyOptions", "verify"]


def verify(
    options: VerifyOptions, on_event: OnEvent = ignore_event, settle: Settle | None = None
) -> VerifyResult:
    """Compare the legacy files, as they are now, with the target. Raises TransferError.

    While writers are active, `settle(table, keys)` replays what is in flight; rows with findings
    are then judged again before they count.
    """
    options.selection.check(with_stores=True)
    started = time.monotonic()
    _check_migrated(options.database)
    result = VerifyResult(options.level)
    proven = proven_tables(options.database, options.since)
    with tempfile.TemporaryDirectory(prefix="stillme-verify-") as name:
        files = present_files(options.selection, result.notices)
        for file in files:
            on_event(Event("file", {"file": file.name, "path": str(file.path)}))
            snapshot = take_snapshot(file.name, file.path, Path(name))
            result.files[file.name] = {
                "path": str(file.path),
                "sha256": snapshot.sha256,
                "size": snapshot.size,
            }
            _verify_file(options, snapshot, result, proven, on_event)
    _verify_stores(options, result, on_event)
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


def _verify_stores(options: VerifyOptions, result: VerifyResult, on_event: OnEvent) -> None:
    """What domains brought besides the mapped files."""
    chosen = StoreOptions(
        database=options.database,
        level=options.level,
        sample=options.sample,
        jobs=options.workers,
    )
    selection = options.selection
    for store in wanted_stores(selection.files, selection.tables, result.notices):
        on_event(Event("file", {"file": store.name, "path": str(store.path())}))
        if options.since is not None:
            result.notices.append(f"{store.name}: compared again in full, --since is for files.")
        if options.round_trip:
            result.notices.append(f"{store.name}: not rebuilt, --round-trip is for files.")
        report = store.prove_store(chosen, on_event)
        result.tables += report.tables
        result.structure.extend(report.findings)
        result.notices += report.notices
        result.files.update(report.files)


def _check_migrated(alias: str) -> None:
    known = select(alias, "SELECT to_regclass('transfer.quarantined_row') IS NOT NULL")[0][0]
    if not known:
        raise TargetError("The target is not migrated: run `manage.py migrate` first.")


def _verify_file(
    options: VerifyOptions,
    snapshot: Snapshot,
    result: VerifyResult,
    proven: dict[str, dict[str, Any]],
    on_event: OnEvent,
) -> None:
    cases = make_cases(options.database, snapshot)
    following = FileState.objects.using(options.database).filter(
        pk=snapshot.file, state=FileState.State.FOLLOWING
    )
    followed = following.exists()
    if followed:
        result.notices.append(
            f"{snapshot.file} is followed: its next ids are not looked at, the cut-over sets them."
        )
    unfit = _check_structure(options, snapshot.file, result)
    for model in legacy_models(snapshot.file):
        name = model._meta.db_table
        if not options.selection.wants(snapshot.file, name):
            continue
        if name not in cases:
            result.notices.append(f"{snapshot.file}: has no table {name}.")
            continue
        if name in unfit:
            result.notices.append(
                f"{name}: rows not compared, the target table is not as declared."
            )
            continue
        case = cases[name]
        on_event(Event("table", {"table": name, "total": legacy_rows(case)}))
        if options.level == "full":
            proof, result.kept[name] = verify_full(
                options, case, proven.get(name), partial(_tell_rows, on_event, name)
            )
        else:
            proof = verify_lightly(options, case)
        check_keys(options.database, case, proof, followed=followed)
        if options.round_trip:
            round_trip(options.database, case, snapshot.path.parent, proof)
        result.tables.append(proof)
        on_event(Event("done", {"table": name, "rows": proof.legacy_rows}))


def _tell_rows(on_event: OnEvent, table: str, rows: int) -> None:
    on_event(Event("progress", {"table": table, "rows": rows}))


def _check_structure(options: VerifyOptions, file: str, result: VerifyResult) -> set[str]:
    """Check the selected target tables of a file; returns those whose rows cannot be read."""
    alias = options.database
    everything = [model.target_model() for model in legacy_models(file)]
    unfit = set()
    wanted = set()
    for model in legacy_models(file):
        name = model._meta.db_table
        if not options.selection.wants(file, name):
            continue
        wanted.add(model.target_model())
        found = list(check_structure(alias, model.target_model()))
        result.structure.extend(found)
        if any(forbids_reading(finding) for finding in found):
            unfit.add(name)
    result.structure.extend(check_definitions(alias, everything, wanted))
    return unfit


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
        report={"files": result.files, "open": result.open_rows, "tables": result.kept},
    )
