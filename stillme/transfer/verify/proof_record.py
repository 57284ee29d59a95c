"""Records a verification: a run when it begins, and a proof when it ends.

Whatever is loaded or written meanwhile makes the proof void. So the run begins before anything is
read. A verification that was killed, or could not go on, leaves no proof.
"""

from __future__ import annotations

import platform
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from typing import Any

import django
import psycopg
from django.db import DatabaseError, transaction
from django.db.models import Count
from django.db.models.functions import Now
from django.utils import timezone

from stillme.transfer.models import Proof, QuarantinedRow, Run
from stillme.transfer.records.database_identity import cluster_id
from stillme.transfer.records.proofs import WRITERS, time_of_proof
from stillme.transfer.registry import declaration, legacy_files
from stillme.transfer.verify.options import VerifyOptions
from stillme.transfer.verify.result import VerifyResult
from stillme.transfer.verify.sides.target_table import select
from stillme.visible import in_one_line

_COMMAND = "verify_migration"
# Findings that are recorded, and characters of each of their texts.
KEPT, LONGEST = 500, 300


@contextmanager
def proof_run(options: VerifyOptions, result: VerifyResult) -> Iterator[None]:
    """Record the verification done in the `with` block; `result` gets the run's number."""
    runs = Run.objects.using(options.database)
    runs.filter(command=_COMMAND, status=Run.Status.RUNNING).update(
        status=Run.Status.FAILED, finished_at=Now(), message="The process ended early."
    )
    run = runs.create(
        command=_COMMAND,
        started_at=time_of_proof(options.database),
        options={
            "level": options.level,
            "files": list(options.selection.files),
            "tables": list(options.selection.tables),
        },
    )
    # Writers that are at work now: what they write is not all seen.
    open_runs = runs.filter(command__in=WRITERS, finished_at=None)
    running = sorted(open_runs.values_list("pk", flat=True))
    result.run_id = run.pk
    result.cluster = cluster_id(options.database)
    try:
        yield
    except BaseException as error:
        # Where the server is gone, the next verification marks this run as ended early.
        with suppress(DatabaseError):
            _close(options.database, run, Run.Status.FAILED, str(error)[:500])
        raise
    run.refresh_from_db(fields=["started_at"])
    result.started_at = run.started_at.isoformat(timespec="seconds")
    run.summary = {"verdict": result.verdict, "findings": _kept(result)}
    run.versions = result.versions
    with transaction.atomic(using=options.database):
        Proof.objects.using(options.database).create(
            run=run,
            level=result.level,
            verdict=result.verdict,
            exit_status=result.exit_status,
            findings=result.findings.total,
            report={
                "cluster": result.cluster,
                "running": running,
                "files": result.files,
                "declared": {f.name: declaration(f.name) for f in legacy_files()},
                "tables": [table.table for table in result.tables],
                "open": result.open_rows,
            },
        )
        _close(options.database, run, Run.Status.COMPLETED)


def _kept(result: VerifyResult) -> list[dict[str, Any]]:
    """The first findings, for the page of the proof; as people read them, so that jsonb holds them.

    What has no shape (U+0000, half of a surrogate pair) is spelled out, a long text cut.
    """
    kept = result.findings.kept[:KEPT]
    return [{name: _said(value) for name, value in asdict(each).items()} for each in kept]


def _said(value: str | None) -> str | None:
    if value is None:
        return None
    return in_one_line(value if len(value) <= LONGEST else f"{value[:LONGEST]}…")


def _close(alias: str, run: Run, status: str, message: str = "") -> None:
    Run.objects.using(alias).filter(pk=run.pk).update(
        status=status,
        finished_at=Now(),
        message=message,
        summary=run.summary,
        versions=run.versions,
    )


def describe(alias: str, result: VerifyResult) -> None:
    """Set the end, the versions and the quarantine by reason in `result`."""
    result.finished_at = timezone.now().isoformat(timespec="seconds")
    result.versions = {
        "python": platform.python_version(),
        "django": django.get_version(),
        "psycopg": psycopg.__version__,
        "sqlite": sqlite3.sqlite_version,
        "postgresql": str(select(alias, "SHOW server_version")[0][0]),
    }
    rows = QuarantinedRow.objects.using(alias).order_by("file", "table", "reason", "status")
    counted = rows.values("file", "table", "reason", "status").annotate(rows=Count("pk"))
    judged = {(table.file, table.table) for table in result.tables}
    result.quarantine = [dict(line) for line in counted if (line["file"], line["table"]) in judged]
