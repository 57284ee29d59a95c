"""Worker processes with connections of their own. Knows nothing of what they do.

A worker ends with the process that forked it, at once and whatever it does: it has inherited that
process's sockets and files, and would hold its PostgreSQL sessions, their locks and its scratch
folder for as long as it waits for work that nobody will hand out.
"""

from __future__ import annotations

import ctypes
import gc
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import (
    Future,
    ProcessPoolExecutor,
    ThreadPoolExecutor,
    as_completed,
)
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing.process import BaseProcess
from typing import Any, TypeVar

from django.db import connections

from stillme.postgresql.forks import forget_sessions
from stillme.transfer.errors import TransferError
from stillme.transfer.plumbing.interrupts import ending_signals

TaskT = TypeVar("TaskT")
ResultT = TypeVar("ResultT")

# Of Linux's <sys/prctl.h>.
_PR_SET_PDEATHSIG = 1
_LOOK_EVERY = 0.2


def usable_cores() -> int:
    """Cores that this process may use, which `taskset` or a container can have limited."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def default_jobs() -> int:
    """One worker process per usable core, four at most: the server needs the cores as well."""
    return min(4, usable_cores())


class SessionThreads(ThreadPoolExecutor):
    """A thread per usable core. They leave no database session behind."""

    def __init__(self, alias: str) -> None:
        super().__init__(max_workers=usable_cores())
        self._alias = alias

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Call the function in a thread, and close that thread's session when it has ended."""
        return super().submit(self._closing, fn, *args, **kwargs)

    def _closing(self, fn: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        try:
            return fn(*args, **kwargs)
        finally:
            connections[self._alias].close()


@contextmanager
def process_pool(
    jobs: int, start: Callable[[], None] | None = None
) -> Iterator[ProcessPoolExecutor]:
    """`jobs` forked processes; `start` is called once in each. They are forked at once.

    Raises TransferError where one was killed. An error in the block ends the pool: what was
    handed out is waited for, what was not is dropped. A signal that ends the run kills the
    processes where they are: the server undoes what they had not committed.
    """
    with ProcessPoolExecutor(
        max_workers=jobs,
        mp_context=multiprocessing.get_context("fork"),
        initializer=_start,
        initargs=(start, os.getpid()),
    ) as pool:
        workers = _fork(pool)
        try:
            yield pool
        except KeyboardInterrupt:
            for worker in workers:
                worker.kill()
            raise
        except BrokenProcessPool as error:
            raise TransferError(
                "A worker process was killed (out of memory?); what was committed stays: "
                "run the same command again to go on."
            ) from error
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)
            raise


def _fork(pool: ProcessPoolExecutor) -> list[BaseProcess]:
    """Fork the pool's processes now.

    A fork copies what other threads hold locked at that moment: it comes before them. Signals wait
    meanwhile, for a worker has its parent's handlers until it begins.
    """
    others = multiprocessing.active_children()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ending_signals())
    try:
        pool.submit(os.getpid)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    return [child for child in multiprocessing.active_children() if child not in others]


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


def _start(start: Callable[[], None] | None, parent: int) -> None:
    end_with_parent(parent)
    # Ctrl-C reaches the whole group, and the parent ends its workers. SIGTERM ends one at once:
    # that is how a pool that lost a process ends the others.
    ending = ending_signals()
    for number in ending:
        is_ctrl_c = number == signal.SIGINT
        signal.signal(number, signal.SIG_IGN if is_ctrl_c else signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, ending)
    forget_sessions()
    # Millions of short-lived rows, nothing in circles: what is there now need not be looked at
    # again, what comes less often.
    gc.freeze()
    gc.set_threshold(200_000, 20, 100)
    if start is not None:
        start()


def end_with_parent(parent: int) -> None:
    """Have this process killed as soon as `parent`, which forked it, has ended.

    By the kernel on Linux; elsewhere by a thread that looks five times a second.
    """
    if sys.platform == "linux":
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) == 0:
            _end_without(parent)
            return
    threading.Thread(target=_watch, args=(parent,), name="parent", daemon=True).start()


def _watch(parent: int) -> None:
    while True:
        _end_without(parent)
        time.sleep(_LOOK_EVERY)


def _end_without(parent: int) -> None:
    """A process whose parent has ended is given another."""
    if os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGKILL)
