"""import_sqlite --join: help an import that shares its ranges, from this host or another one.

The importer that leads plans, offers ranges in the ledger, builds indexes and closes the run. One
that joins takes its own snapshot of the same file, loads ranges that nobody else has, and ends
with the run. It begins at the end of the queue, the leader at its front: they meet in the middle.
"""

from __future__ import annotations

import time
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass, field, replace

from django.conf import settings
from django.db import connections

from stillme.transfer import ledger
from stillme.transfer.errors import LedgerMismatch, TransferError
from stillme.transfer.findings import Event, OnEvent, ignore_event
from stillme.transfer.identity import TableId
from stillme.transfer.models import Chunk, Run, RunFile, SharedRange
from stillme.transfer.postgresql.locks import is_held, sharing_as_worker
from stillme.transfer.processes import default_jobs, usable_cores
from stillme.transfer.recorded_clock import recorded_usuals
from stillme.transfer.registry import table_label
from stillme.transfer.scratch import scratch_folder
from stillme.transfer.selection import Selection
from stillme.transfer.sqlite.ranges import KeyRange
from stillme.transfer.steps.loading.import_options import ImportOptions
from stillme.transfer.steps.loading.plan import PlannedFile, Planner, take_snapshots
from stillme.transfer.steps.loading.readiness import check_target
from stillme.transfer.steps.loading.table_work import as_tasks, set_aside_parents
from stillme.transfer.steps.loading.workers import Task, Workforce, workforce
from stillme.transfer.steps.rows.outcome import Outcome

# Seconds between two looks at the queue, and at a range that somebody else was loading.
LOOK_AGAIN = 0.1
LEAVE_ALONE = 1.0


@dataclass(slots=True)
class JoinResult:
    """What this importer did for the run it joined."""

    run_id: int
    ranges: int = 0
    rows: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0


def join_import(options: ImportOptions, on_event: OnEvent = ignore_event) -> JoinResult:
    """Load ranges of the running import until it ends.

    Raises TransferError where no import shares its ranges or where it ended early, LedgerMismatch
    where a file here is not the one that it reads. What was loaded stays.
    """
    begun = time.monotonic()
    alias = options.database
    check_target(alias)
    run = _shared_run(alias)
    workers = options.jobs or default_jobs()
    with (
        scratch_folder("snapshot") as folder,
        workforce(alias, workers) as hands,
        # The next import waits for whoever is still loading.
        sharing_as_worker(connections[alias]),
    ):
        planner = _planner(alias, run)
        notices: list[str] = []
        snapshots = take_snapshots(planner.selection, folder, notices, on_event, usable_cores())
        files = {snapshot.file: planner.look(snapshot) for snapshot in snapshots}
        helper = _Helper(alias, run, files, hands, on_event)
        helper.work()
    helper.result.seconds = time.monotonic() - begun
    return helper.result


def _shared_run(alias: str) -> Run:
    runs = Run.objects.using(alias).filter(command="import_sqlite", status=Run.Status.RUNNING)
    run = runs.order_by("-pk").first()
    if run is None or not run.options.get("share") or not is_held(alias):
        raise TransferError(
            "No import that shares its work is running on this target: start one with "
            "`manage.py import_sqlite --share`, then join it."
        )
    return run


def _planner(alias: str, run: Run) -> Planner:
    """As the leader planned. Raises LedgerMismatch where the settings here differ from its own."""
    zone = run.options["time_zone"]
    if zone != settings.LEGACY_TIME_ZONE:
        raise LedgerMismatch(
            f"The import that is running reads local times as {zone}, here LEGACY_TIME_ZONE is "
            f"{settings.LEGACY_TIME_ZONE}: set it alike and join again."
        )
    selection = Selection(tuple(run.options["files"]), tuple(run.options["tables"]))
    return Planner(selection, zone, run.pk, usual=recorded_usuals(alias, zone))


class _Helper:
    """Takes offered ranges, the last one first, until the run ends."""

    def __init__(
        self,
        alias: str,
        run: Run,
        files: dict[str, PlannedFile],
        workers: Workforce,
        on_event: OnEvent,
    ) -> None:
        self.result = JoinResult(run.pk)
        self._alias = alias
        self._run = run
        self._workers = workers
        self._on_event = on_event
        self._planned = {
            planned.identity: planned for file in files.values() for planned in file.tables.values()
        }
        self._files = files
        self._known_files: set[str] = set()
        self._chunks: dict[TableId, list[Chunk]] = {}
        self._left_alone: dict[int, float] = {}
        self._taken: dict[Future[Outcome | None], SharedRange] = {}

    def work(self) -> None:
        """Raises TransferError where the run ended before everything was loaded."""
        while self._still_running():
            self._take_more()
            if not self._taken:
                time.sleep(LOOK_AGAIN)
                continue
            done, _ = wait(self._taken, timeout=LOOK_AGAIN, return_when=FIRST_COMPLETED)
            for future in done:
                self._count(self._taken.pop(future), future.result())
        for future, shared in self._taken.items():
            self._count(shared, future.result())

    def _still_running(self) -> bool:
        # The lock first: the leader closes the run before it lets go of it.
        held = is_held(self._alias)
        self._run.refresh_from_db(using=self._alias)
        if self._run.status == Run.Status.RUNNING and held:
            return True
        if self._run.status != Run.Status.COMPLETED:
            raise TransferError(
                f"The import that was joined (run {self._run.pk}) ended early; what was loaded "
                "stays: run `manage.py import_sqlite --share` again and join it."
            )
        return False

    def _take_more(self) -> None:
        room = self._workers.room - len(self._taken)
        if room <= 0:
            return
        now = time.monotonic()
        busy = {shared.pk for shared in self._taken.values()}
        busy |= {pk for pk, until in self._left_alone.items() if now < until}
        offered = SharedRange.objects.using(self._alias).filter(run=self._run, outcome__isnull=True)
        for shared in offered.exclude(pk__in=busy).order_by("-pk")[:room]:
            self._taken[self._workers.submit(self._task(shared))] = shared

    def _task(self, shared: SharedRange) -> Task:
        """Raises LedgerMismatch where this importer would load something else."""
        table = TableId(shared.file, shared.table)
        planned = self._planned.get(table)
        if planned is None:
            raise LedgerMismatch(
                f"{table} is in the files of the import that is running and not in those "
                "here: set LEGACY_DATA_DIR to a copy of the same files and join again."
            )
        self._check_file(planned.job.mapping.file)
        if planned.job.digest != shared.mapping_digest:
            raise LedgerMismatch(
                f"{table} would be read in another way here than by the import that is "
                "running: use the same version of this project and the same settings."
            )
        if not planned.job.shared:
            planned.job = replace(
                planned.job,
                shared=True,
                overwrite=self._run.options["overwrite"],
                prune=self._run.options["prune"],
                set_aside=set_aside_parents(self._alias, planned.job),
            )
        key_range = KeyRange(shared.number, shared.after, shared.upto)
        if table not in self._chunks:
            self._chunks[table] = ledger.table_chunks(self._alias, table)
        return as_tasks(planned.job, [key_range], self._chunks[table])[0]

    def _check_file(self, name: str) -> None:
        if name in self._known_files:
            return
        seen = RunFile.objects.using(self._alias).get(run=self._run, file=name)
        snapshot = self._files[name].snapshot
        if seen.sha256 != snapshot.sha256:
            raise LedgerMismatch(
                f"{snapshot.source} is not the file that the running import reads ({seen.path}): "
                "stop the old application, copy the file again and join again."
            )
        self._known_files.add(name)

    def _count(self, shared: SharedRange, outcome: Outcome | None) -> None:
        if outcome is None:
            self._left_alone[shared.pk] = time.monotonic() + LEAVE_ALONE
        if outcome is None or outcome.elsewhere:
            return
        self.result.ranges += 1
        rows, label = self.result.rows, table_label(TableId(shared.file, shared.table))
        rows[label] = rows.get(label, 0) + outcome.legacy_rows
        progress = {"table": label, "rows": rows[label]}
        self._on_event(Event("progress", progress))
