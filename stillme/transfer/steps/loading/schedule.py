"""The order of an import: what can be done now is done now.

A file is planned while others are loaded. A table waits for the rows of its parents and for
nothing else; its indexes are built, and its foreign keys after those of its parents, while other
tables are loaded. Tables that refer to each other in a circle are loaded side by side, as a group.
The largest tables come early, so that the end is small work for everybody.
"""

from __future__ import annotations

import heapq
import time
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from stillme.transfer.findings import Event, OnEvent
from stillme.transfer.identity import TableId
from stillme.transfer.models import Chunk, Run
from stillme.transfer.plumbing.processes import SessionThreads
from stillme.transfer.postgresql import objects
from stillme.transfer.records import ledger
from stillme.transfer.records.outcome import Outcome
from stillme.transfer.registry import circle, table_label
from stillme.transfer.steps.loading.history import history_to_note
from stillme.transfer.steps.loading.import_options import ImportOptions, TableResult
from stillme.transfer.steps.loading.plan import PlannedFile, PlannedTable
from stillme.transfer.steps.loading.table_work import (
    as_tasks,
    complete_jobs,
    finish_table,
    is_fresh,
    prepare_table,
    settle_circle,
)
from stillme.transfer.steps.loading.workers import Inline, Submit, Task


@dataclass(slots=True)
class _Table:
    """A table on its way. `open` counts the ranges that are not loaded yet, None before them.

    `group` are the tables of its circle, which have the same parents; most often itself alone.
    """

    planned: PlannedTable
    chunks: list[Chunk]
    result: TableResult
    parents: list[_Table] = field(default_factory=list)
    children: list[_Table] = field(default_factory=list)
    group: list[_Table] = field(default_factory=list)
    settled: bool = False
    begun: float = 0.0
    open: int | None = None
    finishing: bool = False
    finished: bool = False

    @property
    def label(self) -> str:
        """What people read."""
        return table_label(self.planned.identity)


class Schedule:
    """Loads planned files, with `room` for so many ranges at a time that are being loaded.

    What takes long runs in threads of its own.
    """

    def __init__(
        self,
        options: ImportOptions,
        run: Run,
        submit: Submit,
        room: int,
        finishing: Executor,
        on_event: OnEvent,
    ) -> None:
        self.files: list[PlannedFile] = []
        self._options = options
        self._alias = options.database
        self._run = run
        self._submit = submit
        self._room = room
        self._finishing = finishing
        self._on_event = on_event
        self._tables: dict[TableId, _Table] = {}
        self._queue: list[tuple[tuple[bool, int, str], int, Task]] = []
        self._watched: dict[Future[Any], Callable[[Any], None]] = {}
        self._handed_out = 0

    @property
    def results(self) -> dict[TableId, TableResult]:
        """What became of each table."""
        return {name: table.result for name, table in self._tables.items()}

    def expect(self, file: Future[PlannedFile]) -> None:
        """Load this file as soon as it is planned."""
        self._watched[file] = self._add_file

    def work(self) -> None:
        """Until everything is loaded and finished. Raises what went wrong anywhere."""
        while self._watched or self._queue:
            while self._queue and self._handed_out < self._room:
                task = heapq.heappop(self._queue)[2]
                self._handed_out += 1
                self._watched[self._submit(task)] = partial(self._came_back, task)
            done, _ = wait(self._watched, return_when=FIRST_COMPLETED)
            for future in done:
                self._watched.pop(future)(future.result())

    def _came_back(self, task: Task, outcome: Outcome) -> None:
        self._handed_out -= 1
        self._range_loaded(self._tables[task[0].mapping.identity], outcome)

    def _add_file(self, file: PlannedFile) -> None:
        self.files.append(file)
        added = [self._add_table(planned) for planned in file.tables.values()]
        if added:
            replaced = self._options.replaced
            history = history_to_note(self._alias, file.snapshot, replaced=replaced)
            ledger.record_file(self._alias, self._run, added[0].planned.job, history)
        rows = {str(name): table.planned.rows for name, table in self._tables.items()}
        ledger.note_plan(self._alias, self._run, rows)
        for table in added:
            names = circle(*table.planned.identity) | {table.planned.name}
            table.group = [other for other in added if other.planned.name in names]
        for table in added:
            self._find_parents(table)
        fresh = {t.result.table for t in added if is_fresh(self._alias, t.planned, t.chunks)}
        for table in added:
            parents = {name for name, found in table.planned.job.parents.items() if found}
            others = [each.planned for each in table.group] if len(table.group) > 1 else []
            others += [up.planned for up in table.parents if up.chunks and _names(table, up)]
            prepare_table(
                self._alias,
                table.planned,
                table.chunks,
                with_parents=parents <= fresh,
                keys_down=others,
            )
        for table in added:
            if not table.parents:
                self._start(table)

    def _find_parents(self, table: _Table) -> None:
        """Those of the whole group: its tables begin at the same time."""
        for name in {name for each in table.group for name in each.planned.job.parents}:
            parent = self._tables.get(TableId(table.planned.identity.file, name))
            if parent is not None and parent not in table.group:
                table.parents.append(parent)
                parent.children.append(table)

    def _add_table(self, planned: PlannedTable) -> _Table:
        mapping = planned.job.mapping
        chunks = list(planned.identity.of(Chunk.objects.using(self._alias)).order_by("number"))
        result = TableResult(
            mapping.file, planned.name, mapping.target, Outcome(), 0.0, counted=planned.rows
        )
        table = self._tables[planned.identity] = _Table(planned, chunks, result)
        self._on_event(Event("table", {"table": table.label, "total": planned.rows}))
        return table

    def _start(self, table: _Table) -> None:
        if table is table.group[0] and table.open is None:
            complete_jobs(self._options, [each.planned for each in table.group])
            for each in table.group:
                self._queue_ranges(each)

    def _queue_ranges(self, table: _Table) -> None:
        table.begun = time.monotonic()
        tasks = as_tasks(table.planned.job, table.planned.ranges, table.chunks)
        table.open = len(tasks)
        # Smallest first: tables that others wait for, then the largest.
        urgency = (not table.children, -table.planned.rows, str(table.planned.identity))
        for number, task in enumerate(tasks):
            heapq.heappush(self._queue, (urgency, number, task))

    def _range_loaded(self, table: _Table, outcome: Outcome) -> None:
        assert table.open is not None
        table.open -= 1
        result = table.result
        result.outcome.add(outcome)
        result.chunks += 1
        result.skipped_chunks += outcome.skipped
        result.seconds = time.monotonic() - table.begun
        progress = {"table": table.label, "rows": result.outcome.legacy_rows}
        self._on_event(Event("progress", progress))
        if any(each.open != 0 for each in table.group):
            return
        if len(table.group) == 1:
            self._settled(table.group, {})
        else:
            tables = [each.planned for each in table.group]
            future = self._finishing.submit(settle_circle, self._alias, tables)
            self._watched[future] = partial(self._settled, table.group)

    def _settled(self, group: list[_Table], taken_out: dict[str, int]) -> None:
        """Every row of the group that is in the target stays there: its children may come."""
        for table in group:
            table.settled = True
            outcome, number = table.result.outcome, taken_out.get(table.planned.name, 0)
            if number:
                outcome.loaded -= number
                outcome.quarantined += number
                missing = outcome.reasons.get("missing_parent", 0)
                outcome.reasons["missing_parent"] = missing + number
        for table in group:
            for child in table.children:
                if all(parent.settled for parent in child.parents):
                    self._start(child)
            self._finish_when_due(table)

    def _finish_when_due(self, table: _Table) -> None:
        """Not before its parents: a foreign key is built under a lock of the parent too."""
        # Those of its parents are built first, and of the tables of its group in order.
        before = [*table.parents, *table.group[: table.group.index(table)]]
        due = table.settled and all(other.finished for other in before)
        if not due or table.finishing:
            return
        table.finishing = True
        mapping = table.planned.job.mapping
        future = self._finishing.submit(
            finish_table,
            self._alias,
            mapping,
            objects.dropped_objects(self._alias, mapping.relation),
            table.planned.sequence_mark,
            table.result.outcome,
        )
        self._watched[future] = lambda _: self._finished(table)

    def _finished(self, table: _Table) -> None:
        table.finished = True
        result = table.result
        result.record(self._alias, self._run.pk)
        self._on_event(Event("done", {"table": table.label, "rows": result.outcome.legacy_rows}))
        for other in (*table.group, *table.children):
            self._finish_when_due(other)


def executor(alias: str, workers: int) -> Executor:
    """Threads for what takes long during the load; with one worker everything runs in turn."""
    return SessionThreads(alias) if workers > 1 else Inline()


def _names(table: _Table, parent: _Table) -> bool:
    """Whether rows name a column of the parent that may change: what a row is called now may be
    in the target before the rows that call it so.
    """
    references = table.planned.job.mapping.references()
    return any(column.names and name == parent.planned.name for column, name in references)
