"""verify_migration as a library call."""

from __future__ import annotations

import hashlib
import os
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from django.utils import timezone

from stillme.transfer.errors import TargetError
from stillme.transfer.findings import Event, Finding, FindingKind, OnEvent, ignore_event
from stillme.transfer.models import Proof, QuarantinedRow, Run
from stillme.transfer.processes import in_processes
from stillme.transfer.registry import legacy_model, legacy_models
from stillme.transfer.selection import Selection, present_files
from stillme.transfer.sqlite.connect import quoted
from stillme.transfer.sqlite.schema import row_count, sequence_mark
from stillme.transfer.sqlite.snapshot import Snapshot, take_snapshot
from stillme.transfer.stores import StoreOptions, wanted_stores
from stillme.transfer.verify.cases import make_cases
from stillme.transfer.verify.circumstances import describe
from stillme.transfer.verify.keys import Settle, settle_findings
from stillme.transfer.verify.leftovers import leftovers
from stillme.transfer.verify.reference import check_definitions
from stillme.transfer.verify.result import TableProof, VerifyResult
from stillme.transfer.verify.round_trip import round_trip
from stillme.transfer.verify.sample import confidence_sentence, sample_parts
from stillme.transfer.verify.since import fingerprint, proven_tables, to_keep, unchanged
from stillme.transfer.verify.structure import (
    check_foreign_keys,
    check_sequence,
    check_structure,
    forbids_reading,
)
from stillme.transfer.verify.table import Part, TableCase, TableJudge
from stillme.transfer.verify.target_side import select

PART_ROWS = 50_000


@dataclass(frozen=True, slots=True)
class VerifyOptions:
    """What to verify and how thoroughly: level "counts", "sample" (of `sample` rows a table) or
    "full"; `since` names a proven run whose unchanged tables are not read again."""

    selection: Selection = field(default_factory=Selection)
    level: str = "full"
    jobs: int = 0
    database: str = "default"
    round_trip: bool = False
    sample: int = 0
    since: int | None = None

    @property
    def workers(self) -> int:
        """Worker processes: as asked, else one per core up to four."""
        return self.jobs or min(4, os.cpu_count() or 1)


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
    chosen = StoreOptions(database=options.database, level=options.level)
    selection = options.selection
    for store in wanted_stores(selection.files, selection.tables, result.notices):
        on_event(Event("file", {"file": store.name, "path": str(store.path())}))
        report = store.prove_store(chosen, on_event)
        result.tables += report.tables
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
        on_event(Event("table", {"table": name, "total": _rows(cases[name])}))
        # Taken before the rows are read: what is written meanwhile counts as changed next time.
        mark = fingerprint(options.database, cases[name])
        proof = unchanged(cases[name], mark, proven, options.since)
        proof = proof or _verify_table(options, cases[name], on_event)
        _check_keys(options.database, cases[name], proof)
        if options.level == "full":
            result.kept[name] = to_keep(mark, proof)
        if options.round_trip:
            round_trip(options.database, cases[name], snapshot.path.parent, proof)
        result.tables.append(proof)
        on_event(Event("done", {"table": name, "rows": proof.legacy_rows}))


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


def _rows(case: TableCase) -> int:
    connection = case.snapshot.open()
    try:
        return row_count(connection, case.mapping.table)
    finally:
        connection.close()


def _verify_table(options: VerifyOptions, case: TableCase, on_event: OnEvent) -> TableProof:
    begun = time.monotonic()
    mapping = case.mapping
    whole = TableProof(mapping.file, mapping.declared_table, mapping.target)
    if options.level != "full":
        _count(options.database, case, whole)
        if options.level == "sample":
            _sampled(options, case, whole)
    else:
        for proof in _parts_judged(options, case):
            whole.add(proof)
            on_event(
                Event("progress", {"table": mapping.declared_table, "rows": whole.legacy_rows})
            )
        joined = "".join(str(part["digest"]) for part in whole.ranges)
        whole.digest = hashlib.sha256(joined.encode()).hexdigest()
        whole.findings.extend(leftovers(options.database, case))
    whole.seconds = time.monotonic() - begun
    return whole


def _check_keys(alias: str, case: TableCase, proof: TableProof) -> None:
    """Foreign keys and the sequence, which can change without any row of the table."""
    model = legacy_model(case.mapping.declared_table).target_model()
    proof.findings.extend(check_foreign_keys(alias, model))
    connection = case.snapshot.open()
    try:
        mark = sequence_mark(connection, case.mapping.table)
    finally:
        connection.close()
    proof.findings.extend(check_sequence(alias, model, mark))


def _count(alias: str, case: TableCase, proof: TableProof) -> None:
    """Level counts: legacy = target + quarantined."""
    mapping = case.mapping
    proof.legacy_rows = _rows(case)
    proof.target_rows = select(alias, f"SELECT count(*) FROM {mapping.relation}")[0][0]
    records = QuarantinedRow.objects.using(alias).filter(table=mapping.declared_table)
    proof.open = records.filter(status=QuarantinedRow.Status.OPEN).count()
    proof.accepted = records.filter(status=QuarantinedRow.Status.ACCEPTED).count()
    if proof.legacy_rows != proof.target_rows + proof.open + proof.accepted:
        proof.findings.add(
            Finding(
                FindingKind.COUNT,
                mapping.target,
                None,
                f"{proof.legacy_rows} legacy rows",
                f"{proof.target_rows} in the target, {proof.open + proof.accepted} quarantined",
            )
        )


def _sampled(options: VerifyOptions, case: TableCase, whole: TableProof) -> None:
    """Level sample: some key ranges in full; the counts stay those of the whole table."""
    parts = sample_parts(case, whole.legacy_rows, options.sample)
    for proof in _parts_judged(options, case, parts):
        whole.compared += proof.legacy_rows
        for name in ("by_digest", "by_cell", "cells", "repaired"):
            setattr(whole, name, getattr(whole, name) + getattr(proof, name))
        whole.findings.merge(proof.findings)


def _parts_judged(
    options: VerifyOptions, case: TableCase, parts: list[Part] | None = None
) -> list[TableProof]:
    parts = _parts(case) if parts is None else parts
    if options.workers <= 1 or len(parts) == 1:
        judge = TableJudge(options.database, case)
        try:
            return [judge.judge(part) for part in parts]
        finally:
            judge.close()
    tasks = [(options.database, case, part) for part in parts]
    done = {task[2]: proof for task, proof in in_processes(_judge_part, tasks, options.workers)}
    return [done[part] for part in parts]


_judges: dict[str, TableJudge] = {}


def _judge_part(task: tuple[str, TableCase, Part]) -> TableProof:
    """In a worker: keep the judge of the table for its next part."""
    alias, case, part = task
    name = case.mapping.declared_table
    if name not in _judges:
        _judges[name] = TableJudge(alias, case)
    return _judges[name].judge(part)


def _parts(case: TableCase) -> list[Part]:
    """Key ranges of about `PART_ROWS` rows that tile the whole key space."""
    mapping = case.mapping
    if mapping.key is None or not mapping.key_is_unique or not mapping.has_rowid:
        return [Part()]
    key, table = quoted(mapping.key.legacy), quoted(mapping.table)
    kind = "integer" if mapping.key_is_rowid else "text"
    edges: list[Any] = [None]
    connection = case.snapshot.open()
    # A key that is no UTF-8 cannot be an edge; its part just becomes longer.
    connection.text_factory = _text_or_none
    try:
        position: Any = None
        while True:
            after = f"AND {key} > ?" if position is not None else ""
            row = connection.execute(
                f"SELECT {key} FROM {table} WHERE typeof({key}) = '{kind}' {after} "
                f"ORDER BY {key} LIMIT 1 OFFSET {PART_ROWS - 1}",
                () if position is None else (position,),
            ).fetchone()
            if row is None or row[0] is None or "\x00" in str(row[0]):
                break
            position = row[0]
            edges.append(position)
    finally:
        connection.close()
    edges.append(None)
    return [Part(edges[i], edges[i + 1]) for i in range(len(edges) - 1)]


def _text_or_none(raw: bytes) -> str | None:
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return None


def _record(options: VerifyOptions, result: VerifyResult) -> None:
    """Store the proof: `migration_status` and the console show it."""
    alias = options.database
    run = Run.objects.using(alias).create(
        command="verify_migration",
        status=Run.Status.COMPLETED,
        options={"level": options.level, "files": list(result.files)},
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
