"""Worker processes: each has its own connections and loads the ranges it is given."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

from django.db import connections

from stillme.transfer.models import Chunk
from stillme.transfer.postgresql.locks import share_as_worker
from stillme.transfer.processes import in_processes
from stillme.transfer.sqlite.ranges import KeyRange
from stillme.transfer.steps.job import TableJob, TableSource
from stillme.transfer.steps.load_range import load_range
from stillme.transfer.steps.outcome import Outcome

Task = tuple[TableJob, KeyRange, Chunk | None]
_sources: dict[str, TableSource] = {}


def run_tasks(alias: str, tasks: Sequence[Task], jobs: int) -> Iterator[tuple[Task, Outcome]]:
    """Load every range, `jobs` at a time; yields each task with its outcome as it ends."""
    if jobs <= 1 or len(tasks) <= 1:
        yield from _run_here(alias, tasks)
        return
    bundles = [(alias, task) for task in tasks]
    start = partial(_start_worker, alias)
    for (_, task), outcome in in_processes(_run_task, bundles, jobs, start):
        yield task, outcome


def _run_here(alias: str, tasks: Sequence[Task]) -> Iterator[tuple[Task, Outcome]]:
    source: TableSource | None = None
    try:
        for job, key_range, previous in tasks:
            if source is None or source.job is not job:
                if source is not None:
                    source.close()
                source = TableSource(job)
            yield (job, key_range, previous), load_range(alias, source, key_range, previous)
    finally:
        if source is not None:
            source.close()


def _start_worker(alias: str) -> None:
    share_as_worker(connections[alias])


def _run_task(bundle: tuple[str, Task]) -> Outcome:
    alias, (job, key_range, previous) = bundle
    name = job.mapping.declared_table
    source: Any = _sources.get(name)
    if source is None or source.job != job:
        for old in _sources.values():
            old.close()
        _sources.clear()
        source = _sources[name] = TableSource(job)
    return load_range(alias, source, key_range, previous)
