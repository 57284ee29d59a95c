"""Worker processes: each has its own connections and loads the ranges it is given."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from typing import Any

from django.db import connections

from stillme.transfer.errors import TransferError
from stillme.transfer.models import Chunk
from stillme.transfer.postgresql.locks import share_as_worker
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
    context = multiprocessing.get_context("fork")
    with ProcessPoolExecutor(
        max_workers=min(jobs, len(tasks)),
        mp_context=context,
        initializer=_start_worker,
        initargs=(alias,),
    ) as pool:
        futures = {pool.submit(_run_task, alias, task): task for task in tasks}
        try:
            yield from _results(futures)
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)
            raise


def _results(futures: dict[Future[Outcome], Task]) -> Iterator[tuple[Task, Outcome]]:
    try:
        for future in as_completed(futures):
            yield futures[future], future.result()
    except BrokenProcessPool as error:
        raise TransferError(
            "A worker process was killed (out of memory?); what was committed stays: "
            "run the same command again to go on."
        ) from error


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
    """Leave the parent's sessions alone: they belong to its process."""
    import signal

    # Ctrl-C reaches the whole group; the parent decides, the worker ends its chunk.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for connection in connections.all(initialized_only=True):
        connection.connection = None
        connection.in_atomic_block = False
        if getattr(connection, "_connection_pools", None):
            connection._connection_pools = {}
    share_as_worker(connections[alias])


def _run_task(alias: str, task: Task) -> Outcome:
    job, key_range, previous = task
    name = job.mapping.declared_table
    source: Any = _sources.get(name)
    if source is None or source.job != job:
        for old in _sources.values():
            old.close()
        _sources.clear()
        source = _sources[name] = TableSource(job)
    return load_range(alias, source, key_range, previous)
