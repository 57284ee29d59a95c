"""The ledger: runs, chunks, write marks. Every record commits with the work it records (law 5)."""

from __future__ import annotations

import platform
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from itertools import groupby
from typing import Any

import django
import psycopg
from django.db import Error, connections, transaction
from django.utils import timezone

from stillme.transfer.conf import conf
from stillme.transfer.errors import Busy, LedgerMismatch, TransferError
from stillme.transfer.identity import TableId
from stillme.transfer.keys import Key, bound_from_json, bound_to_json
from stillme.transfer.models import (
    Chunk,
    FileState,
    QuarantinedRow,
    Run,
    RunFile,
    RunTable,
    WriteMark,
)
from stillme.transfer.postgresql.copy import fetch_all
from stillme.transfer.postgresql.locks import exclusive
from stillme.transfer.records.database_identity import cluster_id, last_writer
from stillme.transfer.records.outcome import Outcome
from stillme.transfer.records.proofs import WRITERS
from stillme.transfer.records.table_job import TableJob
from stillme.transfer.sqlite.copying.snapshot import Snapshot
from stillme.transfer.sqlite.reading.key_ranges import KeyRange

_CHUNK_KEY = ["file", "table", "number"]


# Who calls these holds the lock `exclusive`: another run of them that is still open is dead.
_ALONE = ("import_sqlite", "sync_sqlite", "cutover", "rollback_migration")


def start_run(alias: str, command: str, options: dict[str, Any]) -> Run:
    """Open a run. Runs whose process cannot be alive any more are marked as failed.

    In a database that was restored from a dump the marks of writes mean nothing: they are
    forgotten, and its rows count as somebody else's until a follower or an import has compared
    them (`FileState.details["restored"]`).
    """
    if is_another_cluster(alias):
        # Before anything is written here: the ledger's rows are as the restore wrote them.
        _note_restored(alias)
    close_dead_runs(alias, _ALONE if command in _ALONE else (command,))
    versions = {
        "python": platform.python_version(),
        "django": django.get_version(),
        "psycopg": psycopg.__version__,
        "sqlite": sqlite3.sqlite_version,
        "postgresql": str(fetch_all(alias, "SHOW server_version")[0][0]),
        "cluster": cluster_id(alias),
    }
    return Run.objects.using(alias).create(command=command, options=options, versions=versions)


@contextmanager
def running(alias: str, command: str, options: dict[str, Any]) -> Iterator[Run]:
    """A run that is completed at the end of the block, or failed by what the block raises."""
    run = start_run(alias, command, options)
    try:
        yield run
    except BaseException as error:
        fail_run(alias, run, error)
        raise
    finish_run(alias, run, failed=False)


def _note_restored(alias: str) -> None:
    tables = [m._meta.db_table for m in (Run, RunFile, RunTable, Chunk, FileState, QuarantinedRow)]
    upto = last_writer(alias, tables)
    with transaction.atomic(using=alias):
        WriteMark.objects.using(alias).all().delete()
        for row in FileState.objects.using(alias).select_for_update():
            row.details = {**row.details, "restored": upto}
            row.save(using=alias, update_fields=["details"])


def close_dead_runs(alias: str, commands: Iterable[str] = _ALONE) -> None:
    """Mark open runs as failed; the caller knows that no process works on them."""
    Run.objects.using(alias).filter(command__in=commands, status=Run.Status.RUNNING).update(
        status=Run.Status.FAILED, finished_at=timezone.now(), message="The process ended early."
    )


def close_dead_writers(alias: str) -> None:
    """Close the runs of killed writers: a proof that begins now sees all that they wrote."""
    if Run.objects.using(alias).filter(command__in=WRITERS, status=Run.Status.RUNNING).exists():
        with suppress(Busy), exclusive(alias):
            close_dead_runs(alias)


def is_another_cluster(alias: str) -> bool:
    """Whether the ledger was written in another database than this one (dump and restore)."""
    runs = Run.objects.using(alias).filter(versions__has_key="cluster")
    last = runs.order_by("-pk").values_list("versions__cluster", flat=True).first()
    return last is not None and last != cluster_id(alias)


def note_plan(alias: str, run: Run, rows: dict[str, int]) -> None:
    """Write down how many rows each table has, so that a looker-on can tell the time left."""
    run.summary = {**run.summary, "planned": rows}
    run.save(using=alias, update_fields=["summary"])


def finish_run(alias: str, run: Run, *, failed: bool, message: str = "") -> None:
    """Close a run."""
    run.status = Run.Status.FAILED if failed else Run.Status.COMPLETED
    run.finished_at = timezone.now()
    run.message = message
    run.save(using=alias, update_fields=["status", "finished_at", "message", "summary"])


def fail_run(alias: str, run: Run, error: BaseException) -> None:
    """Close a run that `error` ended, if the server still listens; the error is the caller's.

    Only our own sentences are kept: those of others may hold values of rows, or a server's name.
    """
    message = str(error) if isinstance(error, TransferError) else type(error).__name__
    try:
        if not connections[alias].in_atomic_block:
            # The session may be in the middle of a statement, or gone.
            connections[alias].close()
        finish_run(alias, run, failed=True, message=message)
    except Error:
        # The server is gone: the next run marks this one as ended early.
        return


def record_file(alias: str, run: Run, job: TableJob, history: dict[str, Any]) -> None:
    """Note a file as this run saw it."""
    snapshot = job.snapshot
    RunFile.objects.using(alias).update_or_create(
        run=run,
        file=snapshot.file,
        defaults={
            "path": str(snapshot.source),
            "sha256": snapshot.sha256,
            "size": snapshot.size,
            "schema_digest": snapshot.schema.digest,
            "clock": job.clock.as_dict(),
            "history": history,
        },
    )


def refuse_other_files(alias: str, snapshots: Iterable[Snapshot]) -> None:
    """Raise LedgerMismatch where the target was loaded from a file at another place.

    Rows of two files under the same keys would end up as a mixture of both. A copy with the same
    bytes is the same file.
    """
    for snapshot in snapshots:
        if not Chunk.objects.using(alias).filter(file=snapshot.file).exists():
            continue
        seen = RunFile.objects.using(alias).filter(file=snapshot.file).order_by("-run_id").first()
        here = str(snapshot.source)
        if seen is None or seen.path == here or seen.sha256 == snapshot.sha256:
            continue
        raise LedgerMismatch(
            f"The target was loaded from {seen.path}, and {here} is another file: set "
            f"the path back ({conf().paths}); or delete what was loaded (manage.py empty_target "
            "asks first); or, where it is the same file at a new place, give --moved."
        )


def mark_write(alias: str, run_id: int | None) -> int:
    """Record that the current transaction is the engine's own writing; return its id."""
    xid = int(fetch_all(alias, "SELECT pg_current_xact_id()::text::bigint")[0][0])
    WriteMark.objects.using(alias).bulk_create(
        [WriteMark(xid=xid, run_id=run_id)], ignore_conflicts=True
    )
    return xid


def record_chunk(
    alias: str, job: TableJob, key_range: KeyRange, outcome: Outcome, xid: int
) -> None:
    """Write the chunk's record, in the transaction that wrote its rows.

    Where rows were left alone because of a conflict the record is open: it equals no later
    state of the file, so that the next run looks at the range again.
    """
    settled = not outcome.conflict_count
    assert job.run_id is not None
    chunk = Chunk(
        table=job.mapping.declared_table,
        number=key_range.number,
        run_id=job.run_id,
        file=job.mapping.file,
        after=bound_to_json(key_range.after),
        upto=bound_to_json(key_range.upto),
        mapping_digest=job.digest,
        file_sha256=job.snapshot.sha256 if settled else "",
        legacy_rows=outcome.legacy_rows,
        loaded=outcome.loaded,
        repaired=outcome.repaired,
        quarantined=outcome.quarantined,
        digest=outcome.digest if settled else "",
        xid=xid,
        written_at=timezone.now(),
    )
    # One statement: the server is busy with rows, and each answer of it is waited for.
    Chunk.objects.using(alias).bulk_create(
        [chunk],
        update_conflicts=True,
        unique_fields=_CHUNK_KEY,
        update_fields=[
            f.name for f in Chunk._meta.concrete_fields if f.name not in (*_CHUNK_KEY, "id")
        ],
    )


def known_bounds(chunks: Iterable[Chunk]) -> tuple[Key, ...]:
    """The inner edges of recorded chunks, as far as they join without a gap."""
    bounds: list[Key] = []
    previous: Key | None = None
    for number, chunk in enumerate(chunks):
        if chunk.number != number or bound_from_json(chunk.after) != previous:
            break
        previous = bound_from_json(chunk.upto)
        if previous is None:
            break
        bounds.append(previous)
    return tuple(bounds)


def known_bounds_of_all(alias: str) -> dict[TableId, tuple[Key, ...]]:
    """`known_bounds` of every table that has chunks."""
    chunks = Chunk.objects.using(alias).order_by("file", "table", "number")
    by_table = groupby(chunks, lambda chunk: TableId(chunk.file, chunk.table))
    return {table: known_bounds(of_table) for table, of_table in by_table}


def prune_marks(alias: str) -> None:
    """Forget marks so old that the 32-bit xmin of a row could be mistaken for them."""
    newest = fetch_all(alias, "SELECT pg_current_xact_id()::text::bigint")[0][0]
    WriteMark.objects.using(alias).filter(xid__lt=int(newest) - 2**31).delete()
