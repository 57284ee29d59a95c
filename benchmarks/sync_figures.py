"""Figures of following, cut-over and rollback on large files, in a scratch database.

    python benchmarks/sync_figures.py [--rows 1000000] [--seconds 20] [--rate 500]

Prints: replay rate, what a sweep costs, lag at a steady rate of writes, how long a cut-over locks
writers out (with the changes drained before the freeze, inside it, and while the application writes
on), and how long a rollback takes.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from unittest import mock

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "stillme.settings")

import django

django.setup()

import sqlite3  # noqa: E402

from django.core.management import call_command  # noqa: E402
from django.db import connection  # noqa: E402

from rss.models import FetchItem  # noqa: E402
from stillme.demo.samples.bulk import make_bulk  # noqa: E402
from stillme.transfer.findings import Event  # noqa: E402
from stillme.transfer.inventory.selection import Selection  # noqa: E402
from stillme.transfer.postgresql.scratch_database import scratch_database  # noqa: E402
from stillme.transfer.steps.cutover import CutoverOptions, cut_over  # noqa: E402
from stillme.transfer.steps.follow import FollowOptions, follow  # noqa: E402
from stillme.transfer.steps.install_capture import install_capture  # noqa: E402
from stillme.transfer.steps.load import ImportOptions, import_files  # noqa: E402
from stillme.transfer.steps.readiness.go_no_go import OVERRIDES  # noqa: E402
from stillme.transfer.steps.rehearse import other_files  # noqa: E402
from stillme.transfer.steps.rollback import roll_back  # noqa: E402
from stillme.transfer.steps.switching.to_target import ToTarget  # noqa: E402
from stillme.transfer.verify.tables.live_rows import TailJudge  # noqa: E402

ONCE, SWEEP = FollowOptions(once=True), FollowOptions(once=True, sweep=True)
# What sync_sqlite --follow does if --sweep-every is not given.
SWEEP_EVERY = 300


def options() -> CutoverOptions:
    """Those of a cut-over that nothing but the limit refuses."""
    risks = dict.fromkeys(OVERRIDES, "a benchmark")
    return CutoverOptions(freeze_limit=60, overrides=risks)


def touch(directory: Path, rows: int) -> None:
    """That many changes, on the largest table."""
    connection = sqlite3.connect(directory / "rss_fetch_history.db")
    connection.execute(
        "UPDATE rss_fetch_items SET summary = summary || '.' WHERE id IN "
        "(SELECT id FROM rss_fetch_items ORDER BY id DESC LIMIT ?)",
        (rows,),
    )
    connection.commit()
    connection.close()


def timed(work: object) -> tuple[float, object]:
    """(seconds, result)"""
    assert callable(work)
    start = time.perf_counter()
    result = work()
    return time.perf_counter() - start, result


def replay_rate(directory: Path) -> None:
    """Changes a second, updates and inserts."""
    for rows in (1_000, 20_000, 100_000):
        touch(directory, rows)
        cpu = time.process_time()
        seconds, result = timed(lambda: follow(ONCE))
        cpu = time.process_time() - cpu
        done = next(f for f in result.files if f.file == "rss")  # type: ignore[attr-defined]
        print(
            f"replay of {rows:,} updates: {done.busy:.2f} s, {done.changes / done.busy:,.0f}/s "
            f"(with opening the files {seconds:.2f} s, {cpu:.2f} s of it on the processor)"
        )


def sweep_cost() -> None:
    """What a sweep costs: every row is compared, however often that was done before."""
    before = processor_seconds()
    seconds, result = timed(lambda: follow(SWEEP))
    here, there = (now - then for now, then in zip(processor_seconds(), before, strict=True))
    assert not result.bypassed  # type: ignore[attr-defined]
    print(
        f"sweep: {seconds:.2f} s; on the processors {here:.2f} s here and {there:.2f} s in the "
        f"server: {(here + there) / SWEEP_EVERY:.1%} of one core at a sweep every {SWEEP_EVERY} s"
    )


def processor_seconds() -> tuple[float, float]:
    """(of this process, of this session in the server, which must be on this machine)"""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        process = Path("/proc") / str(cursor.fetchone()[0]) / "stat"
    ticks = process.read_text().rpartition(")")[2].split()[11:13]
    return time.process_time(), sum(map(int, ticks)) / os.sysconf("SC_CLK_TCK")


def lag(directory: Path, seconds: float, rate: float) -> None:
    """The lag at a steady rate of the old application's writes on all files."""
    log = directory / "ack.jsonl"
    arguments = [str(directory), "--seconds", str(seconds), "--rate", str(rate), "--no-sync"]
    # Other keys than the warm-up's: a write that breaks a constraint keeps its file locked.
    arguments += ["--seed", "8"]
    # The old clean-up deletes thousands of rows when it first runs; that is not a steady rate.
    warm_up = [str(directory), "--count", "4000", "--no-sync", "--log", str(log)]
    environment = {**os.environ, "TZ": "Asia/Ho_Chi_Minh"}
    writer_module = [sys.executable, "-m", "stillme.demo.samples.writers.live"]
    subprocess.run(
        [*writer_module, *warm_up], check=True, stdout=subprocess.DEVNULL, env=environment
    )
    seconds_to_drain, result = timed(lambda: follow(ONCE))
    changes = sum(f.changes for f in result.files)  # type: ignore[attr-defined]
    print(f"warm-up: {changes:,} changes (a clean-up among them) in {seconds_to_drain:.1f} s")
    stop = threading.Event()
    writers: list[subprocess.Popen[str]] = []

    def start_when_following(event: Event) -> None:
        if event.name != "lag" or writers:
            return
        writers.append(
            subprocess.Popen(
                [*writer_module, *arguments, "--log", str(log)],
                stdout=subprocess.PIPE,
                text=True,
                # The local clock of the files: another one would make times be judged anew.
                env=environment,
            )
        )
        threading.Timer(seconds + 3, stop.set).start()

    result = follow(FollowOptions(), start_when_following, stop)
    writer = writers[0]
    print("writer:", (writer.communicate()[0] or "").strip())
    for file in result.files:
        ordered = sorted(file.lags)
        middle = ordered[len(ordered) // 2] if ordered else 0.0
        print(
            f"lag {file.file}: {file.changes:,} changes in {file.rounds} rounds, "
            f"p50 {middle:.3f} s, p99 {file.lag_p99:.3f} s"
        )


def switch(directory: Path, *, drain_inside: bool) -> None:
    """One cut-over with a lag of 1,000 changes, and the way back after 10,000 writes."""
    touch(directory, 1_000)
    if drain_inside:
        with mock.patch.object(ToTarget, "_drain_open"):
            result = cut_over(options(), TailJudge("default"))
    else:
        result = cut_over(options(), TailJudge("default"))
    where = "inside" if drain_inside else "before"
    steps = ", ".join(f"{name} {seconds:.2f}" for name, seconds in result.steps.items())
    print(
        f"cut-over, 1,000 changes drained {where} the freeze: {result.frozen_seconds:.2f} s frozen"
    )
    print(f"  ({steps})")
    keys = list(FetchItem.objects.order_by("-pk").values_list("pk", flat=True)[:10_000])
    FetchItem.objects.filter(pk__in=keys).update(status_reason="written on PostgreSQL")
    seconds, back = timed(lambda: roll_back("default", TailJudge("default")))
    frozen = back.frozen_seconds  # type: ignore[attr-defined]
    print(f"rollback of {len(keys):,} changed rows: {seconds:.2f} s, {frozen:.2f} s of it frozen")


def switch_under_load(directory: Path, rate: float) -> None:
    """A cut-over while the old application writes to all files: the frozen files are compared."""
    log = directory / "busy.jsonl"
    command = [sys.executable, "-m", "stillme.demo.samples.writers.live", str(directory)]
    command += ["--seconds", "300", "--rate", str(rate), "--no-sync", "--seed", "9", "--plain"]
    writer = subprocess.Popen(
        [*command, "--log", str(log)],
        stdout=subprocess.DEVNULL,
        env={**os.environ, "TZ": "Asia/Ho_Chi_Minh"},
    )
    try:
        time.sleep(3)
        result = cut_over(options(), TailJudge("default"))
    finally:
        writer.terminate()
        writer.wait()
    print(
        f"cut-over under {rate:g} writes a second: {result.frozen_seconds:.2f} s frozen, "
        f"{result.verified:,} rows of the tail proven"
    )
    print("  (" + ", ".join(f"{name} {took:.2f}" for name, took in result.steps.items()) + ")")


def main() -> None:
    """Everything, one figure per line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--rate", type=float, default=500)
    parser.add_argument("--only-lag", action="store_true")
    given = parser.parse_args()
    print(f"{os.cpu_count()} cores, load before {os.getloadavg()[0]:.1f}")
    with tempfile.TemporaryDirectory(prefix="stillme-figures-") as folder:
        directory = Path(folder)
        make_bulk(directory, rows=given.rows)
        with scratch_database("default"), other_files(directory):
            call_command("migrate", verbosity=0)
            seconds, _ = timed(lambda: install_capture("default", Selection()))
            print(f"probes and triggers, {given.rows:,} rows: {seconds:.2f} s")
            seconds, _ = timed(lambda: import_files(ImportOptions()))
            print(f"import: {seconds:.2f} s")
            follow(ONCE)
            if given.only_lag:
                lag(directory, given.seconds, given.rate)
                return
            replay_rate(directory)
            for _ in range(2):
                sweep_cost()
            lag(directory, given.seconds, given.rate)
            switch(directory, drain_inside=False)
            follow(ONCE)
            switch(directory, drain_inside=True)
            follow(ONCE)
            switch_under_load(directory, given.rate)


if __name__ == "__main__":
    main()
