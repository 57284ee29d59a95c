"""Who loads ranges: this process, or worker processes with connections of their own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from contextlib import closing, contextmanager
from functools import partial
from multiprocessing.util import Finalize
from typing import Any

from django.db import connections

from stillme.transfer.models import Chunk
from stillme.transfer.plumbing.processes import process_pool
from stillme.transfer.postgresql.locks import leave_as_worker, share_as_worker
from stillme.transfer.records.outcome import Outcome
from stillme.transfer.records.table_job import TableJob
from stillme.transfer.sqlite.reading.key_ranges import KeyRange
from stillme.transfer.steps.loading.load_range import load_range
from stillme.transfer.steps.rows.table_source import TableSource

Task = tuple[TableJob, KeyRange, Chunk | None]


# Loads a range some time; the future has the outcome, or what went wrong.
Submit = Callable[[Task], Future[Outcome]]


class Inline(Executor):
    """An executor that does what it is given at once, in the caller's thread."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """A future that is done already. Raises here what `fn` raises."""
        future: Future[Any] = Future()
        future.set_result(fn(*args, **kwargs))
        return future


@contextmanager
def workforce(alias: str, jobs: int) -> Iterator[Submit]:
    """`jobs` processes, forked at once; with one job this process itself.

    Raises TransferError where a process was killed.
    """
    if jobs > 1:
        with process_pool(jobs, partial(_start_worker, alias)) as pool:
            yield lambda task: pool.submit(_run_task, task)
        return
    with closing(_Hands(alias)) as hands:
        yield lambda task: Inline().submit(hands.load, task)


class _Hands:
    """Loads ranges one after the other; keeps what reads the last table open."""

    def __init__(self, alias: str) -> None:
        self._alias = alias
        self._source: TableSource | None = None

    def load(self, task: Task) -> Outcome:
        job, key_range, previous = task
        if self._source is None or self._source.job != job:
            self.close()
            self._source = TableSource(job)
        return load_range(self._alias, self._source, key_range, previous)

    def close(self) -> None:
        if self._source is not None:
            self._source.close()
            self._source = None


_hands: list[_Hands] = []


def _start_worker(alias: str) -> None:
    connection = connections[alias]
    share_as_worker(connection)
    Finalize(None, leave_as_worker, args=(connection,), exitpriority=0)
    _hands[:] = [_Hands(alias)]


def _run_task(task: Task) -> Outcome:
    return _hands[0].load(task)
