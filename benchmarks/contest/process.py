"""One tool as a process: how long it took, and the memory of it and its children at the peak."""

from __future__ import annotations

import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import psutil

_PAUSE = 0.1


@dataclass(frozen=True)
class Ended:
    """Wall clock from the start of the process to its end; peak MB (PSS) of all its processes."""

    seconds: float
    peak_mb: float
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
        peak, status = 0.0, None
        while time.monotonic() - started < limit:
            peak = max(peak, tree_mb(child))
            try:
                status = child.wait(timeout=_PAUSE)
                break
            except (psutil.TimeoutExpired, subprocess.TimeoutExpired):
                continue
        seconds = time.monotonic() - started
        if status is None:
            _kill(child)
        output.seek(0)
        errors.seek(0)
        return Ended(seconds, peak, status, output.read(), errors.read())


def tree_mb(process: psutil.Process) -> float:
    """Memory of a process and its children; pages shared among them are counted once."""
    try:
        return sum(_mb(each) for each in [process, *process.children(recursive=True)])
    except psutil.NoSuchProcess:
        return 0.0


def _mb(process: psutil.Process) -> float:
    """PSS where the kernel tells it, else resident memory."""
    try:
        for line in Path(f"/proc/{process.pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) / 1024
        return float(process.memory_info().rss) / 1e6
    except (OSError, psutil.NoSuchProcess):
        return 0.0


def _kill(child: psutil.Popen) -> None:
    for each in child.children(recursive=True):
        each.kill()
    child.kill()
    child.wait()
