"""16 threads with the calls the application makes: services on PostgreSQL against the old shape.

    python benchmarks/services_load.py --rows 100000 1000000 --seconds 5

Makes a scratch database on the configured server and SQLite files in a temporary folder, both
filled with the same number of rows, and drops them. The threads are divided between two processes
as gunicorn would (stillme/ops/gunicorn_conf.py). Measures writes alone with 16 writers over
all three files and to one of them (calls per second, "database is locked"), the mixed calls at full
load, and their latency at half load. At the end every write that was acknowledged is looked for in
the tables and in the counters of the cycles; where PostgreSQL lost one or failed a call, it ends 1.
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
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
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

from django.db import DatabaseError, connections  # noqa: E402

from benchmarks.legacy_shape import LegacyShape  # noqa: E402
from benchmarks.services_shape import Services, in_scratch_database  # noqa: E402
from stillme.postgresql.forks import close_pools  # noqa: E402

# The table that a call adds a row to ("" for a read), and the call.
Call = tuple[str, Callable[[], object]]
READ = ""


def writes(side: Services | LegacyShape, number: int) -> list[Call]:
    """What a chat answer and a fetched entry write."""
    cycle = 1 + number % CYCLES
    return [
        ("sessions", side.record_learning_session),
        ("scores", side.score_response),
        ("fetched", lambda: side.add_fetch_item(cycle)),
        ("items", side.add_knowledge),
    ]


def one_file(side: Services | LegacyShape, number: int) -> list[Call]:
    """Writes that meet in one legacy file."""
    return [("sessions", side.record_learning_session), ("items", side.add_knowledge)]


def mixed(side: Services | LegacyShape, number: int) -> list[Call]:
    """Writes and reads, half and half."""
    cycle = 1 + number % CYCLES
    reads: list[Call] = [
        (READ, side.get_retained_knowledge),
        (READ, side.get_all_fetch_items),
        (READ, lambda: side.get_fetch_stats(cycle)),
        (READ, lambda: side.get_fetch_stats(cycle + 1)),
    ]
    return [*writes(side, number), *reads]


@dataclass
class Done:
    """One run: calls per second, each call's seconds in order, calls that failed, rows written."""

    rate: float
    taken: list[float]
    failed: int
    written: Counter[str]


def full_load(calls: Callable[[int], list[Call]], seconds: float) -> Done:
    """Threads that never pause."""
    return _run(calls, seconds, 0.0)


def paced(calls: Callable[[int], list[Call]], seconds: float, rate: float) -> Done:
    """Each call's seconds, from when it was due, at `rate` calls a second, evenly spaced."""
    return _run(calls, seconds, THREADS / rate)


def _run(calls: Callable[[int], list[Call]], seconds: float, pause: float) -> Done:
    """All threads, divided among processes as gunicorn does."""
    fork = multiprocessing.get_context("fork")
    results = []
    for first in range(PROCESSES):
        ours, theirs = fork.Pipe(duplex=False)
        numbers = range(first, THREADS, PROCESSES)
        process = fork.Process(target=_share, args=(theirs, numbers, calls, seconds, pause))
        process.start()
        results.append((process, ours))
    found = [(process, pipe.recv()) for process, pipe in results]
    for process, _ in found:
        process.join()
    shares = [share for _, share in found]
    flat = sorted(itertools.chain.from_iterable(taken for taken, _, _, _ in shares))
    elapsed = max(lasted for _, _, _, lasted in shares)
    written = sum((counted for _, _, counted, _ in shares), Counter())
    return Done(len(flat) / elapsed, flat, sum(failed for _, failed, _, _ in shares), written)


def _share(
    pipe: Connection,
    numbers: range,
    calls: Callable[[int], list[Call]],
    seconds: float,
    pause: float,
) -> None:
    """The threads of one process; the clock starts when each has done every call once."""
    taken: list[float] = []
    clock: list[float] = []
    failures: list[str] = []
    written: list[str] = []
    warm = threading.Barrier(len(numbers), lambda: clock.append(time.perf_counter()))

    def make(table: str, call: Callable[[], object]) -> None:
        try:
            call()
        except (AssertionError, sqlite3.Error, DatabaseError) as error:
            failures.append(repr(error))
        else:
            written.append(table)

    def work(number: int) -> None:
        order = random.Random(number)
        turns = list(calls(number))
        order.shuffle(turns)
        for turn in turns:
            make(*turn)
        warm.wait()
        started = clock[0]
        due = started + (number / THREADS) * pause
        for turn in itertools.cycle(turns):
            if pause:
                due += pause
                time.sleep(max(0.0, due - time.perf_counter()))
            # A call that could not begin when it was due has waited, and that counts.
            begun = due if pause else time.perf_counter()
            if begun - started > seconds:
                return
            make(*turn)
            taken.append(time.perf_counter() - begun)

    threads = [threading.Thread(target=work, args=(number,)) for number in numbers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    lasted = time.perf_counter() - clock[0]
    for failure in sorted(set(failures))[:3]:
        print(f"  {failures.count(failure)} calls failed: {failure}", flush=True)
    pipe.send((taken, len(failures), Counter(written), lasted))
    connections.close_all()
    close_pools()


def measure(rows: int, seconds: float, rounds: int) -> list[dict[str, object]]:
    """All measurements at one size, a record each; SQLite and PostgreSQL take turns."""
    found: list[dict[str, object]] = []
    shape = f"{THREADS} threads in {PROCESSES} processes"
    print(f"\n{rows:,} rows a table, {shape}, {rounds} times {seconds:.0f} s each", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        legacy, services = LegacyShape(Path(folder), rows), Services()
        sides = {"SQLite": Accounts(legacy.rows), "PostgreSQL": Accounts(services.rows)}
        for what, calls in (("writes", writes), ("one file", one_file), ("mixed", mixed)):
            old, new = Runs(), Runs()
            for _ in range(rounds):
                for runs, side in ((old, legacy), (new, services)):
                    done = full_load(lambda n, c=calls, s=side: c(s, n), seconds)  # type: ignore[misc]
                    runs.add(done)
                    sides["SQLite" if side is legacy else "PostgreSQL"].add(done)
            say(f"{what}, SQLite", old, f", {old.errors} locked")
            say(f"{what}, PostgreSQL", new, f", {new.rate / old.rate:.1f} times SQLite's")
            found += [old.record(rows, what, "SQLite"), new.record(rows, what, "PostgreSQL")]
        half = Runs()
        for _ in range(rounds):
            half.add(paced(lambda n: mixed(services, n), seconds, new.rate / 2))
            sides["PostgreSQL"].add(half.last)
        say("mixed, half load", half)
        found.append(half.record(rows, "mixed, half load", "PostgreSQL"))
        found += [account.settle(rows, side) for side, account in sides.items()]
    return found


class Accounts:
    """What was acknowledged on one side, against what its tables hold in the end."""

    def __init__(self, count: Callable[[], dict[str, int]]) -> None:
        self._count, self._before = count, count()
        self.written: Counter[str] = Counter()
        self.failed = 0

    def add(self, done: Done) -> None:
        """One more run."""
        self.written += done.written
        self.failed += done.failed

    def settle(self, rows: int, side: str) -> dict[str, object]:
        """Count and say it; "counters" are the sums that the cycles keep of their items."""
        expected = {**self.written, "counters": self.written["fetched"]}
        now = self._count()
        lost = {
            name: number - (now[name] - self._before[name])
            for name, number in expected.items()
            if name != READ and number != now[name] - self._before[name]
        }
        total = sum(number for name, number in self.written.items() if name != READ)
        print(
            f"  {side}: {total:,} writes acknowledged, {self.failed} failed, lost: {lost or 'none'}"
        )
        return {
            "rows": rows,
            "calls": "writes acknowledged",
            "side": side,
            "writes": total,
            "failed": self.failed,
            "lost": lost,
        }


class Runs:
    """Several runs of one measurement."""

    def __init__(self) -> None:
        self.rates: list[float] = []
        self.taken: list[list[float]] = []
        self.errors = 0
        self.last = Done(0.0, [], 0, Counter())

    def add(self, done: Done) -> None:
        """One more run."""
        self.last = done
        self.rates.append(done.rate)
        self.taken.append(done.taken)
        self.errors += done.failed

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
            "failed": self.errors,
        }


def say(what: str, runs: Runs, more: str = "") -> None:
    """One line of the result."""
    spread = f"({min(runs.rates):,.0f} to {max(runs.rates):,.0f})"
    times = f"p50 {runs.percentile(0.5):.1f} ms, p99 {runs.percentile(0.99):.1f} ms"
    print(f"  {what:<22}{runs.rate:7,.0f}/s {spread:<18} {times}{more}", flush=True)


def main() -> int:
    """Parse and measure; 1 where PostgreSQL lost a write or failed a call."""
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
    ours = [each for each in found if each["side"] == "PostgreSQL"]
    return int(any(each["failed"] or each.get("lost") for each in ours))


def server_version() -> str:
    """The server's version, as "18.4"."""
    with connections["default"].cursor() as cursor:
        cursor.execute("SELECT split_part(version(), ' ', 2)")
        return str(cursor.fetchone()[0])


if __name__ == "__main__":
    sys.exit(main())
