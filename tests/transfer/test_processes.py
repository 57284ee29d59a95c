"""Workers end with the process that forked them, and with a signal that ends its run."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from stillme.transfer.plumbing import processes
from stillme.transfer.plumbing.interrupts import interruptible
from stillme.transfer.plumbing.processes import process_pool
from tests.transfer.load.support import wait_until


def work() -> None:
    """Longer than any test waits."""
    time.sleep(600)


def hand_out(place: Path) -> None:
    """Two workers at work; their pids are in the file when both are."""
    with process_pool(2) as pool:
        pids = {pool.submit(slow_pid).result() for _ in range(20)}
        for _ in range(4):
            pool.submit(work)
        place.write_text(" ".join(map(str, pids)))
        time.sleep(600)


def slow_pid() -> int:
    time.sleep(0.01)
    return os.getpid()


def fork(work: Callable[[], object]) -> int:
    """A process that does it and ends, whatever happens."""
    child = os.fork()
    if child == 0:
        status = 3
        try:
            work()
            status = 0
        finally:
            os._exit(status)
    return child


def is_running(pid: int) -> bool:
    try:
        return ") Z " not in Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False


@pytest.mark.parametrize("platform", ["linux", "another"])
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_workers_end_when_the_parent_alone_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, platform: str, number: int
) -> None:
    monkeypatch.setattr(processes.sys, "platform", platform)
    told = tmp_path / "pids"
    parent = fork(lambda: hand_out(told))
    wait_until(lambda: told.exists() and told.read_text(), "the workers are at work")
    workers = [int(pid) for pid in told.read_text().split()]
    assert all(is_running(pid) for pid in workers)
    os.kill(parent, number)
    os.waitpid(parent, 0)
    wait_until(lambda: not any(map(is_running, workers)), "the workers have ended")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_to_the_whole_group_ends_the_run_in_order(tmp_path: Path, number: int) -> None:
    """As a terminal or a supervisor sends it: the workers have it too."""
    told = tmp_path / "pids"

    def run() -> None:
        os.setpgid(0, 0)
        try:
            with interruptible():
                hand_out(told)
        except KeyboardInterrupt as error:
            (tmp_path / "ended").write_text(str(error))

    parent = fork(run)
    wait_until(lambda: told.exists() and told.read_text(), "the workers are at work")
    os.killpg(parent, number)
    assert os.waitpid(parent, 0)[1] == 0
    assert (tmp_path / "ended").read_text() == signal.Signals(number).name
    assert not any(is_running(int(pid)) for pid in told.read_text().split())


def test_a_parent_that_ended_before_the_worker_began(tmp_path: Path) -> None:
    child = fork(lambda: processes.end_with_parent(os.getpid()))
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
