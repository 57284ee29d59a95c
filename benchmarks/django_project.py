"""A Django project leaves its `db.sqlite3`: by dumpdata and loaddata, by pgloader, by this project.

    apt-get install pgloader
    pip install -r benchmarks/requirements.txt
    python benchmarks/django_project.py --rows 1000000 --json figures.json

The project `benchmarks/shop` has six tables, which refer to each other, with most of Django's field
types. Each tool brings its file into a fresh database that `migrate` has prepared, with every key,
index and constraint; the clock runs from the start of its process until all of them stand again.
The limit is the server alone: COPY of the same rows from files of its own, in one session and in
two, then keys, indexes and constraints.

After each tool Django's ORM reads every row on both sides and compares the objects. Nothing of this
project takes part in that. `loaddata` takes an hour for a million rows, so it gets a smaller file
(`--loaddata-rows`), and its time is multiplied; the table says so.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "stillme.settings")

from benchmarks.contest.limit_all import copy_all, write_all  # noqa: E402
from benchmarks.contest.process import Ended, run, wait_for_quiet  # noqa: E402
from benchmarks.contest.report import package, pgloader  # noqa: E402
from benchmarks.shop.filling import TABLES  # noqa: E402
from benchmarks.shop.ground import Ground  # noqa: E402

TUNED = ", workers = 4, concurrency = 1, batch rows = 25000, batch size = 20MB"
TUNED += ", prefetch rows = 25000"
# What is promised, and whether a figure keeps it.
LIMITS: dict[str, Callable[[float], bool]] = {
    "times loaddata, at least 50": lambda figure: figure >= 50,
    "times pgloader, at least 2": lambda figure: figure >= 2,
    "of the server's own COPY, at least 0.75": lambda figure: figure >= 0.75,
    "MB at the peak, at most 150": lambda figure: figure <= 150,
}


@dataclass
class Result:
    """What one tool did: seconds of each attempt, its peak, and what the ORM found afterwards."""

    tool: str
    rows: int
    seconds: list[float] = field(default_factory=list)
    peak_mb: float | None = None
    note: str = ""
    compared: dict[str, Any] | None = None

    @property
    def median(self) -> float | None:
        return statistics.median(self.seconds) if self.seconds else None

    def add(self, seconds: float, peak_mb: float | None = None, note: str = "") -> None:
        self.seconds.append(round(seconds, 3))
        self.peak_mb = max(filter(None, (self.peak_mb, peak_mb)), default=None)
        self.note = self.note or note
        print(f"{self.tool}: {seconds:.2f} s {note}", file=sys.stderr, flush=True)


def main() -> None:
    arguments = parse()
    with tempfile.TemporaryDirectory(prefix="stillme-shop-", dir="/var/tmp") as name:
        folder = Path(name)
        folder.chmod(0o755)
        os.environ["TMPDIR"] = name  # snapshots belong beside the file, not in a memory disk
        import django

        django.setup()
        ground = Ground(folder)
        try:
            results = contest(ground, arguments)
        finally:
            ground.close()
    print(table(results, arguments))
    if arguments.json:
        written = {**circumstances(arguments), "tools": [vars(each) for each in results]}
        arguments.json.write_text(json.dumps(written, indent=1) + "\n")


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--loaddata-rows", type=int, default=50_000)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--json", type=Path, help="write the figures")
    arguments = parser.parse_args()
    arguments.loaddata_rows = min(arguments.loaddata_rows, arguments.rows)
    if arguments.rows % 100 or arguments.loaddata_rows % 100:
        parser.error("Rows come by the hundred.")
    return arguments


def contest(ground: Ground, arguments: argparse.Namespace) -> list[Result]:
    """Every tool in turn, as often as asked; the ORM looks at each one's first attempt."""
    whole = ground.make_file(arguments.rows)
    part = ground.make_file(arguments.loaddata_rows)
    ours = Result("this project", arguments.rows)
    limits = [Result(f"COPY, {n} session{'s' * (n > 1)}", arguments.rows) for n in (1, 2)]
    loaders = [Result("pgloader, default", whole.rows), Result("pgloader, tuned", whole.rows)]
    dumped = Result("dumpdata, loaddata", part.rows)
    tables: list[str] = []
    for number in range(arguments.repeat):
        tries: list[tuple[Result, Any, Callable[[], Any]]] = [
            (ours, whole, lambda: ours.add(*of(ground.manage("import_sqlite")))),
            (loaders[0], whole, lambda: load_with_pgloader(ground, loaders[0], "")),
            (loaders[1], whole, lambda: load_with_pgloader(ground, loaders[1], TUNED)),
            (dumped, part, lambda: dump_and_load(ground, dumped)),
        ]
        for result, file, attempt in tries:
            ground.begin(file)
            wait_for_quiet()
            attempt()
            if number == 0 and result.seconds:
                result.compared = ground.compare()
            if result is ours and number == 0:
                tables = write_all(ground, ["public"], TABLES)
                prove(ground, ours)
        for sessions, limit in enumerate(limits, 1):
            ground.begin(whole)
            wait_for_quiet()
            limit.add(copy_all(ground, tables, sessions, ["public"]))
    return [ours, *limits, *loaders, dumped]


def of(ended: Ended) -> tuple[float, float, str]:
    return ended.seconds, ended.peak_mb, ended.note


def prove(ground: Ground, ours: Result) -> None:
    """Its own proof, for its time; the verdict in the table is the ORM's."""
    ended = ground.manage("verify_migration")
    peak = f"{ended.peak_mb:.0f} MB at the peak"
    ours.note = f"verify_migration: {ended.seconds:.1f} s, {peak}" + (ended.note and ", NOT PROVEN")


def load_with_pgloader(ground: Ground, result: Result, options: str) -> None:
    """The six tables into the migrated ones; it takes indexes and constraints away by itself."""
    if shutil.which("pgloader") is None:
        result.note = "not installed: apt-get install pgloader"
        return
    tables = ", ".join(f"'{table}'" for table in TABLES)
    script = ground.folder / "shop.load"
    script.write_text(
        f"LOAD DATABASE FROM sqlite://{ground.file} INTO {ground.pgloader_url}\n"
        f"WITH data only, drop indexes, disable triggers, reset sequences{options}\n"
        f"INCLUDING ONLY TABLE NAMES LIKE {tables};\n"
    )
    ended = run(["pgloader", str(script)], dict(os.environ), limit=3_600)
    said = ended.output + ended.errors
    errors = sum(" ERROR " in line for line in said.splitlines())
    note = ended.note or "exit 0"
    result.add(ended.seconds, ended.peak_mb, f"{note}, {errors} errors" if errors else note)
    if "exhausted" in said:
        result.note += ", heap exhausted"


def dump_and_load(ground: Ground, result: Result) -> None:
    """As Django's users are told to: natural keys, no content types, no permissions."""
    fixture = str(ground.folder / "shop.json")
    left = ("--exclude", "contenttypes", "--exclude", "auth.permission")
    dump = ground.manage(
        *("dumpdata", "--natural-foreign", "--natural-primary", *left, "--output", fixture),
        on_old=True,
    )
    load = ground.manage("loaddata", fixture)
    note = " ".join(filter(None, (dump.note, load.note)))
    result.add(dump.seconds + load.seconds, max(dump.peak_mb, load.peak_mb), note)


def table(results: list[Result], arguments: argparse.Namespace) -> str:
    """Markdown: the tools, then what is promised."""
    ours = results[0]
    lines = [
        f"{arguments.rows:,} rows in six tables, {os.cpu_count()} cores, medians of "
        f"{arguments.repeat}\n",
        "| tool | rows | seconds | rows/s | this project takes | peak MB | rows lost | changed | "
        "remarks |",
        "|---|---|---|---|---|---|---|---|---|",
        *(line(each, ours) for each in results),
        "",
    ]
    for result in results:
        for what, where, old, new in (result.compared or {}).get("examples", []):
            lines.append(f"{result.tool}, {what}: {where}: {old!r} became {new!r}\n")
    lines += [promise(name, figure) for name, figure in promised(results)]
    return "\n".join(lines)


def line(result: Result, ours: Result) -> str:
    median = result.median
    if median is None:
        return f"| {result.tool} | | | | | | | | {result.note} |"
    found = result.compared or {}
    speed = result.rows / median
    times = speed * at_one_speed(ours) if result is not ours else 1.0
    remarks = [result.note] if result.note else []
    if result.rows != ours.rows:
        whole = median * ours.rows / result.rows
        remarks.append(f"{whole:,.0f} s for {ours.rows:,} rows if it goes on like that")
    cells = [
        *(result.tool, f"{result.rows:,}", f"{median:.2f}", f"{speed:,.0f}", f"{times:.2f}"),
        *("" if result.peak_mb is None else f"{result.peak_mb:.0f}",),
        *(f"{found[key]:,}" if key in found else "" for key in ("lost", "changed")),
        "; ".join(remarks),
    ]
    return f"| {' | '.join(cells)} |"


def at_one_speed(ours: Result) -> float:
    """Seconds that this project needs for a row."""
    assert ours.median is not None
    return ours.median / ours.rows


def promised(results: list[Result]) -> list[tuple[str, float]]:
    """The figures of LIMITS, as far as the tools were there."""
    ours, copy, _, *loaders, dumped = results
    one = at_one_speed(ours)
    names = list(LIMITS)
    found = []
    if dumped.median:
        found.append((names[0], dumped.median / dumped.rows / one))
    if fastest := min(filter(None, (each.median for each in loaders)), default=None):
        found.append((names[1], fastest / ours.rows / one))
    if copy.median:
        found.append((names[2], copy.median / ours.rows / one))
    return [*found, (names[3], ours.peak_mb or 0.0)]


def promise(name: str, figure: float) -> str:
    return f"- {figure:.2f} {name}: {'kept' if LIMITS[name](figure) else 'NOT KEPT'}"


def circumstances(arguments: argparse.Namespace) -> dict[str, Any]:
    return {
        "rows": arguments.rows,
        "cores": os.cpu_count(),
        "versions": {name: package(name) for name in ("Django", "psycopg", "apsw")}
        | {"pgloader": pgloader()},
    }


if __name__ == "__main__":
    main()
