"""One tool as a process: how long it took, and the memory of it and its children at the peak."""

from __future__ import annotations

import os
import select
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import psutil

# Seconds between two looks at the memory, at first and at most: each takes milliseconds from what
# is measured, and the longer a tool runs, the longer it keeps its peak.
_FIRST_PAUSE, _LONGEST_PAUSE = 0.2, 1.0


@dataclass(frozen=True)
class Ended:
    """Wall clock from the start of the process to its end; peak MB (PSS) of all its processes
    together, and of the largest of them."""

    seconds: float
    peak_mb: float
    largest_mb: float
    status: int | None
    output: str
    errors: str

    @property
    def note(self) -> str:
        """Nothing for a success."""
        if self.status is None:
            return f"stopped after {self.seconds:.0f} s"
        return "" if self.status == 0 else f"exit {self.status}"


def run(command: list[str], env: dict[str, str], limit: float = 420.0) -> Ended:
    """Run a command; it is killed after `limit` seconds."""
    with tempfile.TemporaryFile("w+") as output, tempfile.TemporaryFile("w+") as errors:
        started = time.monotonic()
        child = psutil.Popen(command, env=env, stdout=output, stderr=errors)
        peak, largest, pause, ended = 0.0, 0.0, _FIRST_PAUSE, False
        while not ended and time.monotonic() - started < limit:
            sizes = tree_mb(child.pid)
            peak, largest = max(peak, sum(sizes)), max(largest, *sizes)
            ended = _has_ended(child.pid, pause)
            pause = min(pause * 1.3, _LONGEST_PAUSE)
        seconds = time.monotonic() - started
        status = child.wait() if ended else None
        if status is None:
            _kill(child)
        output.seek(0)
        errors.seek(0)
        return Ended(seconds, peak, largest, status, output.read(), errors.read())


def _has_ended(pid: int, patience: float) -> bool:
    """Wait for the end of a child, at most so many seconds. Popen.wait() would look every 40 ms."""
    descriptor = os.pidfd_open(pid)
    try:
        return bool(select.select([descriptor], [], [], patience)[0])
    finally:
        os.close(descriptor)


def wait_for_quiet(patience: float = 20.0) -> None:
    """Wait until nothing else keeps the machine busy, at most so long."""
    until = time.monotonic() + patience
    while psutil.cpu_percent(interval=0.7) > 12 and time.monotonic() < until:
        continue


def tree_mb(pid: int) -> list[float]:
    """Memory of a process and its children; pages shared among them are counted once (PSS)."""
    return [_mb(each) for each in [pid, *_children(pid)]]


def _children(pid: int) -> list[int]:
    """All that descend from it. psutil would read every process of the machine for this."""
    found: list[int] = []
    try:
        for path in Path(f"/proc/{pid}/task").glob("*/children"):
            found += [int(child) for child in path.read_text().split()]
    except OSError:
        return []
    return found + [each for child in found for each in _children(child)]


def _mb(pid: int) -> float:
    try:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) / 1024
    except OSError:
        pass
    return 0.0


def _kill(child: psutil.Popen) -> None:
    for each in child.children(recursive=True):
        each.kill()
    child.kill()
    child.wait()
