"""All four files at once: default jobs beside `--jobs 1`, and what repeating an import costs.

    python benchmarks/all_files.py --rows 2000000 --repeat 3

Rows are mixed over eleven tables as in real installations. For each import: seconds, and how much
of the machine's processor time went to this project's processes and how much to everything else,
which on a quiet machine is PostgreSQL (and the kernel's work for it). Then an import with nothing
changed, one with 1 % of the rows of every table changed, and a full verification for comparison.
Beside them the limit: the server alone copies the same rows from files of its own format, with one
session and with two; and the import with the server and everything else on one core, which tells
what a second core is worth: one job already keeps the command and the server busy side by side.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import sqlite3
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "stillme.settings")

from benchmarks.contest.ground import Ground  # noqa: E402
from benchmarks.contest.limit_all import copy_all, write_all  # noqa: E402
from benchmarks.contest.process import run, wait_for_quiet  # noqa: E402
from benchmarks.contest.server import Server  # noqa: E402

TOUCHED = {
    "knowledge_items": "access_count = access_count + 1",
    "learning_sessions": "content_learned = content_learned || '.'",
    "knowledge_relationships": "relationship_type = relationship_type || '.'",
    "accuracy_scores": "question = question || '.'",
    "performance_trends": "metric_name = metric_name || '.'",
    "learning_objectives": "objective_name = objective_name || '.'",
    "tier_audit": "reason = reason || '.'",
    "forgetting_metrics": "regression_query = regression_query || '.'",
    "rss_fetch_items": "title = title || '.'",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=2_000_000)
    parser.add_argument("--repeat", type=int, default=3, help="rounds, of which medians are told")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="stillme-bench-", dir="/var/tmp") as name:
        Path(name).chmod(0o755)
        import django

        django.setup()
        from stillme.demo.samples import make_bulk

        made = make_bulk(Path(name), None, arguments.rows)
        server = Server()
        try:
            figures = measure(Ground(server, Path(name), made.total), arguments.repeat)
        finally:
            server.close()
    report(made.total, sum(made.bytes.values()), arguments.repeat, figures)
    if arguments.json:
        arguments.json.write_text(
            json.dumps(
                {"rows": made.total, "repeat": arguments.repeat, "figures": figures}, indent=2
            )
        )


def measure(ground: Ground, repeat: int) -> dict[str, dict[str, float]]:
    """Every command in turn, so many rounds; of each the run with the median of the seconds.

    The last import of a round is the one that is repeated.
    """
    rounds = [one_round(ground) for _ in range(repeat)]
    return {
        name: sorted((each[name] for each in rounds), key=lambda run: run["seconds"])[repeat // 2]
        for name in rounds[0]
    }


def one_round(ground: Ground) -> dict[str, dict[str, float]]:
    """Every command once."""
    found = {}
    with one_core(ground):
        ground.server.fresh()
        found["import, all on one core"] = command(ground, "import_sqlite")
    ground.server.fresh()
    found["import --jobs 1"] = command(ground, "import_sqlite", "--jobs", "1")
    tables = write_all(ground)
    for sessions in (1, 2):
        ground.server.fresh()
        found[f"limit, sessions: {sessions}"] = limit(ground, tables, sessions)
    ground.server.fresh()
    found["import"] = command(ground, "import_sqlite")
    found["verify"] = command(ground, "verify_migration")
    found["import, nothing changed"] = command(ground, "import_sqlite")
    change(ground.folder)
    found["import, 1 % changed"] = command(ground, "import_sqlite")
    found["verify after it"] = command(ground, "verify_migration")
    return found


def command(ground: Ground, *arguments: str) -> dict[str, float]:
    """Seconds of the whole process, and the processor's seconds: here, elsewhere, idle."""
    wait_for_quiet()
    before, own = psutil.cpu_times(), own_seconds()
    line = [sys.executable, str(ROOT / "manage.py"), *arguments, "--format", "json"]
    ended = run(line, ground.environment)
    if ended.status != 0:
        raise SystemExit(f"{arguments[0]}: {ended.note}\n{ended.errors or ended.output[-2000:]}")
    after = psutil.cpu_times()
    here = own_seconds() - own
    busy = sum(busy_seconds(after)) - sum(busy_seconds(before))
    total = ended.seconds * (os.cpu_count() or 1)
    print(f"{' '.join(arguments)}: {ended.seconds:.1f} s", file=sys.stderr, flush=True)
    return {
        "seconds": round(ended.seconds, 2),
        "here": round(here / total, 2),
        "elsewhere": round((busy - here) / total, 2),
        "waiting": round((after.iowait - before.iowait) / total, 2),
        "peak_mb": round(ended.largest_mb),
    }


@contextmanager
def one_core(ground: Ground) -> Iterator[None]:
    """Keep this process, what it starts and the whole server on one core, then free them again."""
    every = os.sched_getaffinity(0)
    try:
        _allow(ground, {min(every)})
        yield
    finally:
        _allow(ground, every)


def _allow(ground: Ground, cores: set[int]) -> None:
    server = ground.server.process
    for each in (psutil.Process(), server, *server.children(recursive=True)):
        # A session may have ended meanwhile.
        with suppress(psutil.NoSuchProcess):
            each.cpu_affinity(sorted(cores))


def limit(ground: Ground, tables: list[str], sessions: int) -> dict[str, float]:
    """The server alone, in the words of `command`; this process only waits."""
    wait_for_quiet()
    before = psutil.cpu_times()
    seconds = copy_all(ground, tables, sessions)
    after = psutil.cpu_times()
    total = seconds * (os.cpu_count() or 1)
    print(f"limit, sessions: {sessions}: {seconds:.1f} s", file=sys.stderr, flush=True)
    busy = sum(busy_seconds(after)) - sum(busy_seconds(before))
    return {
        "seconds": round(seconds, 2),
        "here": 0.0,
        "elsewhere": round(busy / total, 2),
        "waiting": round((after.iowait - before.iowait) / total, 2),
        "peak_mb": 0,
    }


def own_seconds() -> float:
    """Processor time of everything this process started and has seen end."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def busy_seconds(times: Any) -> tuple[float, ...]:
    """What counts as work."""
    return times.user, times.nice, times.system, times.irq, times.softirq


def change(folder: Path) -> int:
    """Change every hundredth row of every table that has a text to change, spread evenly."""
    changed = 0
    for path in sorted(folder.glob("*.db")):
        with closing(sqlite3.connect(path)) as legacy, legacy:
            for table, assignment in TOUCHED.items():
                asked = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?"
                if legacy.execute(asked, (table,)).fetchone():
                    statement = f"UPDATE {table} SET {assignment} WHERE rowid % 100 = 0"
                    changed += legacy.execute(statement).rowcount
    return changed


def report(rows: int, size: int, repeat: int, figures: dict[str, dict[str, float]]) -> None:
    """The figures as Markdown, and the ratios that matter."""
    print(f"{rows:,} rows in four files, {size / 1e6:,.0f} MB, {os.cpu_count()} cores,", end=" ")
    print(f"medians of {repeat}\n")
    print("| what | seconds | rows/s | CPU here | CPU elsewhere | waiting | largest process MB |")
    print("|---" * 7 + "|")
    for name, each in figures.items():
        print(
            f"| {name} | {each['seconds']:.2f} | {rows / each['seconds']:,.0f} | "
            f"{each['here']:.0%} | {each['elsewhere']:.0%} | {each['waiting']:.0%} | "
            f"{each['peak_mb']} |"
        )
    verify = figures["verify"]["seconds"]
    single, default = figures["import --jobs 1"]["seconds"], figures["import"]["seconds"]
    print(f"\nDefault jobs: {single / default:.2f} times the speed of one.")
    alone = figures["import, all on one core"]["seconds"]
    print(f"All cores: {alone / default:.2f} times the speed of one core.")
    alone, both = (figures[f"limit, sessions: {n}"]["seconds"] for n in (1, 2))
    print(f"The server alone: two sessions {alone / both:.2f} times the speed of one;", end=" ")
    print(f"default jobs at {both / default:.2f} of the speed of two sessions.")
    for name in ("import, nothing changed", "import, 1 % changed"):
        print(f"{name}: {figures[name]['seconds'] / verify:.2f} of a verification's time.")


if __name__ == "__main__":
    main()
