"""Worker processes with connections of their own. Knows nothing of what they do."""

from __future__ import annotations

import gc
import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from typing import TypeVar

from django.db import connections

from stillme.transfer.errors import TransferError

TaskT = TypeVar("TaskT")
ResultT = TypeVar("ResultT")


def usable_cores() -> int:
    """Cores that this process may use, which `taskset` or a container can have limited."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def default_jobs() -> int:
    """One worker process per usable core, four at most: the server needs the cores as well."""
    return min(4, usable_cores())


@contextmanager
def process_pool(
    jobs: int, start: Callable[[], None] | None = None
) -> Iterator[ProcessPoolExecutor]:
    """`jobs` forked processes; `start` is called once in each. They are forked at once.

    Raises TransferError where one was killed. An error in the block ends the pool: what was
    handed out is waited for, what was not is dropped.
    """
    with ProcessPoolExecutor(
        max_workers=jobs,
        mp_context=multiprocessing.get_context("fork"),
        initializer=_start,
        initargs=(start,),
    ) as pool:
        # A fork copies what other threads hold locked at that moment: it comes before them.
        pool.submit(_nothing)
        try:
            yield pool
        except BrokenProcessPool as error:
            raise TransferError(
                "A worker process was killed (out of memory?); what was committed stays: "
                "run the same command again to go on."
            ) from error
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)
            raise


def _nothing() -> None:
    """What a process is asked for when only its start is wanted."""


def in_processes(
    work: Callable[[TaskT], ResultT],
    tasks: Sequence[TaskT],
    jobs: int,
    start: Callable[[], None] | None = None,
) -> Iterator[tuple[TaskT, ResultT]]:
    """Do every task in one of `jobs` forked processes; yields each with its result as it ends.

    `work` is a module-level function, `start` is called once in each process. Raises
    TransferError where a worker was killed.
    """
    with process_pool(min(jobs, len(tasks)), start) as pool:
        futures = {pool.submit(work, task): task for task in tasks}
        for future in as_completed(futures):
            yield futures[future], future.result()


def _start(start: Callable[[], None] | None) -> None:
    # Ctrl-C reaches the whole group; the parent decides, the worker ends its task.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    leave_parents_sessions()
    # Millions of short-lived rows, nothing in circles: what is there now need not be looked at
    # again, what comes less often.
    gc.freeze()
    gc.set_threshold(200_000, 20, 100)
    if start is not None:
        start()


def leave_parents_sessions() -> None:
    """Forget the inherited connections without closing them: they belong to the parent."""
    for connection in connections.all(initialized_only=True):
        connection.connection = None
        connection.in_atomic_block = False
        if getattr(connection, "_connection_pools", None):
            vars(connection)["_connection_pools"] = {}
