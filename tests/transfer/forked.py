"""A command's work in a forked process group, to be killed: no time is lost on starting Python."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.context import ForkProcess as Process

from stillme.postgresql.forks import forget_sessions


def fork_group(work: Callable[[], object]) -> Process:
    """Start `work` in a process group of its own, with database sessions of its own."""

    def run() -> None:
        os.setpgid(0, 0)
        forget_sessions()
        work()

    process = multiprocessing.get_context("fork").Process(target=run)
    process.start()
    # Here too: whoever comes first, there is a group to be killed when this function returns.
    with suppress(ProcessLookupError):
        os.setpgid(process.pid or 0, process.pid or 0)
    return process


def kill_after(process: Process, seconds: float) -> bool:
    """Kill the group, workers and all, unless it ends before. True where it was still running."""
    process.join(seconds)
    running = process.is_alive()
    if running:
        os.killpg(process.pid or 0, signal.SIGKILL)
    process.join()
    return running
