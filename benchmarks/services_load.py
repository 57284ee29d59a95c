"""16 threads with the calls the application makes: services on PostgreSQL against the old shape.

    python benchmarks/services_load.py --rows 100000 1000000 --seconds 5

Makes a scratch database on the configured server and SQLite files in a temporary folder, both
filled with the same number of rows, and drops them. The threads are divided between two processes
as gunicorn would (stillme/ops/gunicorn_conf.py). Measures writes alone with 16 writers over
all three files and to one of them (calls per second, "database is locked"), the mixed calls at full
load, and their latency at half load.
Loopback only; bounded by --seconds per measurement. SQLite and PostgreSQL take turns, --rounds
times; printed are medians. With --output they are written as JSON beside the versions.
"""

from __future__ import annotations

import argparse
import itertools
import json
import multiprocessing
import os
import platform
import random
import sqlite3
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
THREADS = 16
PROCESSES = 2
CYCLES = 16
os.environ.setdefault("DB_POOL_MAX_SIZE", str(THREADS // PROCESSES))
os.environ.setdefault("DB_POOL_MIN_SIZE", str(THREADS // PROCESSES))

import stillme  # noqa: E402

stillme.setup()

from django.db import connections  # noqa: E402

from benchmarks.legacy_shape import LegacyShape  # noqa: E402
from benchmarks.services_shape import Services, in_scratch_database  # noqa: E402
from stillme.postgresql.forks import close_pools  # noqa: E402

Call = Callable[[], object]


def writes(side: Services | LegacyShape, number: int) -> list[Call]:
    """What a chat answer and a fetched entry write."""
    cycle = 1 + number % CYCLES
    return [
        side.record_learning_session,
        side.score_response,
        lambda: side.add_fetch_item(cycle),
        side.add_knowledge,
    ]


def one_file(side: Services | LegacyShape, number: int) -> list[Call]:
    """Writes that meet in one legacy file."""
    return [side.record_learning_session, side.add_knowledge]


def mixed(side: Services | LegacyShape, number: int) -> list[Call]:
    """Writes and reads, half and half."""
    cycle = 1 + number % CYCLES
    reads: list[Call] = [
        side.get_retained_knowledge,
        side.get_all_fetch_items,
        lambda: side.get_fetch_stats(cycle),
        lambda: side.get_fetch_stats(cycle + 1),
    ]
    return [*writes(side, number), *reads]


def full_load(
    calls: Callable[[int], list[Call]], seconds: float, errors: Callable[[], int]
) -> tuple[float, list[float], int]:
    """Calls per second of threads that never pause, each call's seconds, and errors."""
    return _run(calls, seconds, 0.0, errors)


def paced(calls: Callable[[int], list[Call]], seconds: float, rate: float) -> list[float]:
    """Each call's seconds, from when it was due, at `rate` calls a second, evenly spaced."""
    return _run(calls, seconds, THREADS / rate, lambda: 0)[1]


def _run(
    calls: Callable[[int], list[Call]], seconds: float, pause: float, errors: Callable[[], int]
) -> tuple[float, list[float], int]:
    """All threads, divided among processes as gunicorn does."""
    fork = multiprocessing.get_context("fork")
    results = []
    for first in range(PROCESSES):
        ours, theirs = fork.Pipe(duplex=False)
        numbers = range(first, THREADS, PROCESSES)
        process = fork.Process(target=_share, args=(theirs, numbers, calls, seconds, pause, errors))
        process.start()
        results.append((process, ours))
    found = [(process, pipe.recv()) for process, pipe in results]
    for process, _ in found:
        process.join()
    elapsed = max(lasted for _, (_, _, lasted) in found)
    flat = sorted(itertools.chain.from_iterable(taken for _, (taken, _, _) in found))
    return len(flat) / elapsed, flat, sum(count for _, (_, count, _) in found)


def _share(
    pipe: Connection,
    numbers: range,
    calls: Callable[[int], list[Call]],
    seconds: float,
    pause: float,
    errors: Callable[[], int],
) -> None:
    """The threads of one process; the clock starts when each has done every call once."""
    taken: list[float] = []
    clock: list[float] = []
    warm = threading.Barrier(len(numbers), lambda: clock.append(time.perf_counter()))

    def work(number: int) -> None:
        order = random.Random(number)
        turns = list(calls(number))
        order.shuffle(turns)
        for call in turns:
            call()
        warm.wait()
        started = clock[0]
        due = started + (number / THREADS) * pause
        for call in itertools.cycle(turns):
            if pause:
                due += pause
                time.sleep(max(0.0, due - time.perf_counter()))
            # A call that could not begin when it was due has waited, and that counts.
            begun = due if pause else time.perf_counter()
            if begun - started > seconds:
                return
            call()
            taken.append(time.perf_counter() - begun)

    threads = [threading.Thread(target=work, args=(number,)) for number in numbers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    pipe.send((taken, errors(), time.perf_counter() - clock[0]))
    connections.close_all()
    close_pools()


def measure(rows: int, seconds: float, rounds: int) -> list[dict[str, object]]:
    """All measurements at one size, a record each; SQLite and PostgreSQL take turns."""
    found: list[dict[str, object]] = []
    shape = f"{THREADS} threads in {PROCESSES} processes"
    print(f"\n{rows:,} rows a table, {shape}, {rounds} times {seconds:.0f} s each", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        legacy, services = LegacyShape(Path(folder), rows), Services()
        for what, calls in (("writes", writes), ("one file", one_file), ("mixed", mixed)):
            old, new = Runs(), Runs()
            for _ in range(rounds):
                old.add(full_load(lambda n, c=calls: c(legacy, n), seconds, lambda: legacy.locked))  # type: ignore[misc]
                new.add(full_load(lambda n, c=calls: c(services, n), seconds, lambda: 0))  # type: ignore[misc]
            say(f"{what}, SQLite", old, f", {old.errors} locked")
            say(f"{what}, PostgreSQL", new, f", {new.rate / old.rate:.1f} times SQLite's")
            found += [old.record(rows, what, "SQLite"), new.record(rows, what, "PostgreSQL")]
        half = Runs()
        for _ in range(rounds):
            taken = paced(lambda n: mixed(services, n), seconds, new.rate / 2)
            half.add((new.rate / 2, taken, 0))
        say("mixed, half load", half)
        found.append(half.record(rows, "mixed, half load", "PostgreSQL"))
    return found


class Runs:
    """Several runs of one measurement."""

    def __init__(self) -> None:
        self.rates: list[float] = []
        self.taken: list[list[float]] = []
        self.errors = 0

    def add(self, found: tuple[float, list[float], int]) -> None:
        """One more run."""
        self.rates.append(found[0])
        self.taken.append(found[1])
        self.errors += found[2]

    @property
    def rate(self) -> float:
        """The median."""
        return statistics.median(self.rates)

    def percentile(self, part: float) -> float:
        """The median of the runs' percentiles, in milliseconds."""
        places = [
            ordered[min(int(len(ordered) * part), len(ordered) - 1)] for ordered in self.taken
        ]
        return statistics.median(places) * 1000

    def record(self, rows: int, what: str, side: str) -> dict[str, object]:
        """For the JSON file: calls per second, and milliseconds."""
        return {
            "rows": rows,
            "calls": what,
            "side": side,
            "per_second": round(self.rate),
            "rates": [round(rate) for rate in self.rates],
            "p50_ms": round(self.percentile(0.5), 2),
            "p99_ms": round(self.percentile(0.99), 2),
            "locked": self.errors,
        }


def say(what: str, runs: Runs, more: str = "") -> None:
    """One line of the result."""
    spread = f"({min(runs.rates):,.0f} to {max(runs.rates):,.0f})"
    times = f"p50 {runs.percentile(0.5):.1f} ms, p99 {runs.percentile(0.99):.1f} ms"
    print(f"  {what:<22}{runs.rate:7,.0f}/s {spread:<18} {times}{more}", flush=True)


def main() -> None:
    """Parse and measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, nargs="+", default=[100_000, 1_000_000])
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--output", type=Path, help="a JSON file for the figures")
    options = parser.parse_args()
    found: list[dict[str, object]] = []
    for rows in options.rows:
        in_scratch_database(
            rows,
            lambda rows=rows: found.extend(measure(rows, options.seconds, options.rounds)),  # type: ignore[misc]
        )
    if options.output:
        about = {
            "threads": THREADS,
            "processes": PROCESSES,
            "cores": os.cpu_count(),
            "seconds": options.seconds,
            "rounds": options.rounds,
            "postgresql": server_version(),
            "sqlite": sqlite3.sqlite_version,
            "python": platform.python_version(),
        }
        options.output.write_text(json.dumps({"about": about, "results": found}, indent=1) + "\n")


def server_version() -> str:
    """The server's version, as "18.4"."""
    with connections["default"].cursor() as cursor:
        cursor.execute("SELECT split_part(version(), ' ', 2)")
        return str(cursor.fetchone()[0])


if __name__ == "__main__":
    main()
