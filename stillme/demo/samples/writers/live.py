"""A process that writes to the legacy files as the old application does, and keeps a log of it.

`python -m stillme.demo.samples.writers.live DIRECTORY --seconds 5 --log acknowledged.jsonl`

A line of the log is written after its transaction was committed, and holds the touched rows as they
stood: an independent witness of what change capture must not lose.

After a refused write the process behaves like the worst of the old ones: the connection stays open,
Python's collector is off, and with `--idle` nothing else is called for some seconds.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import signal
import sqlite3
import sys
import threading
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from stillme.demo.samples.writers.legacy_classes import LegacyWriter
from stillme.demo.samples.writers.mix import Mix
from stillme.demo.samples.writers.transactions import Acknowledged, Key
from stillme.transfer.plumbing.interrupts import Stop, StopSignal

__all__ = ["LegacyWriter", "WriterResult", "expected_state", "read_log", "run_writer"]

State = dict[tuple[str, Key], dict[str, Any] | None]


@dataclass(frozen=True)
class WriterResult:
    """How many transactions were committed, how many failed, in which time."""

    acknowledged: int
    failed: int
    seconds: float


class AckLog:
    """Appends one JSON line per committed transaction, whole or not at all."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        self.lines = 0

    def __call__(self, done: Acknowledged) -> None:
        """Write one transaction down."""
        self.lines += 1
        line = json.dumps({"n": self.lines, "pid": os.getpid(), **asdict(done)})
        os.write(self._file, line.encode() + b"\n")

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)


def run_writer(
    directory: Path,
    *,
    ack_log: Path,
    seconds: float | None = None,
    count: int | None = None,
    rate: float | None = None,
    seed: int = 7,
    synchronous: bool = True,
    idle: float = 0.0,
    pathologies: bool = True,
    stop: Stop | None = None,
) -> WriterResult:
    """Write for some seconds or a number of writes, at most `rate` a second, keeping the log.

    Ends early, between two writes, once `stop` is set. Without `pathologies` no value is odd.

    A write that finds its file locked or closed to writing is counted as failed and not repeated,
    as in the old application. Its connection stays open until the end, and nothing is written for
    the next `idle` seconds.
    """
    if seconds is None and count is None:
        raise ValueError("Say for how many seconds or how many writes the writer is to run.")
    log = AckLog(ack_log)
    writer = LegacyWriter(directory, log, synchronous=synchronous)
    mix = Mix(writer, seed, pathologies=pathologies)
    stop = stop or threading.Event()
    start, failed, done = time.monotonic(), 0, 0
    while (
        not stop.is_set()
        and (count is None or done < count)
        and (seconds is None or time.monotonic() - start < seconds)
    ):
        try:
            mix.step()
        except (sqlite3.OperationalError, sqlite3.IntegrityError):
            failed += 1
            stop.wait(idle)
        done += 1
        if rate:
            time.sleep(max(0.0, start + done / rate - time.monotonic()))
    writer.let_go()
    log.close()
    return WriterResult(log.lines, failed, time.monotonic() - start)


def read_log(path: Path) -> list[dict[str, Any]]:
    """The lines of one log; a last line cut off by a kill was never acknowledged."""
    lines = path.read_bytes().split(b"\n")
    return [json.loads(line) for line in lines[:-1]]


def expected_state(logs: Iterable[Path]) -> State:
    """Of every row that was touched, how it must stand now; None for one that was deleted."""
    state: State = {}
    entries = sorted((entry for path in logs for entry in read_log(path)), key=lambda e: e["at"])
    for entry in entries:
        for touched in entry["touched"]:
            state[touched["table"], touched["key"]] = touched["row"]
    return state


def main(arguments: list[str] | None = None) -> int:
    """The command line. SIGTERM ends it between two writes: what was committed is in the log."""
    parser = argparse.ArgumentParser(prog="stillme.demo.samples.writers.live", description=__doc__)
    parser.add_argument("directory", type=Path)
    parser.add_argument("--log", type=Path, required=True, help="the log of acknowledged writes")
    parser.add_argument("--seconds", type=float)
    parser.add_argument("--count", type=int)
    parser.add_argument("--rate", type=float, help="writes per second at most")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--no-sync", action="store_true", help="do not wait for the disk")
    parser.add_argument("--idle", type=float, default=0.0, help="seconds after a refused write")
    parser.add_argument("--plain", action="store_true", help="no odd values")
    given = parser.parse_args(arguments)
    if given.seconds is None and given.count is None:
        parser.error("give --seconds or --count")
    import resource  # there is none on Windows, where the rest of this module works

    gc.disable()
    # Every refused write keeps its connection, and with it an open file.
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    stop = StopSignal()
    before = signal.signal(signal.SIGTERM, stop.on_signal)
    try:
        result = run_writer(
            given.directory,
            ack_log=given.log,
            seconds=given.seconds,
            count=given.count,
            rate=given.rate,
            seed=given.seed,
            synchronous=not given.no_sync,
            idle=given.idle,
            pathologies=not given.plain,
            stop=stop,
        )
    finally:
        signal.signal(signal.SIGTERM, before)
        stop.close()
        gc.enable()
    sys.stdout.write(json.dumps(asdict(result)) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
