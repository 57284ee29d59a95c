"""The loader's choices beside what it could have chosen instead, at the same rows in one run.

    python benchmarks/alternatives.py --rows 300000 --repeat 3

Reading the legacy file: the loader's own query through sqlite3 and through APSW. Sending rows:
ready lines, rows that psycopg prints, rows that psycopg packs in binary, a file that the server
reads in text, in CSV as the loader quotes it, in binary, and frozen. Committing: synchronous or
not, a chunk of 50,000 rows each. Building: indexes live, after the load, and an UNLOGGED table
that is made LOGGED at the end. And `--jobs`.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "stillme.settings")

from benchmarks.contest.ground import TABLE, Ground, make_clean  # noqa: E402
from benchmarks.contest.home import Limit, Ours, write_copies  # noqa: E402
from benchmarks.contest.process import run  # noqa: E402
from benchmarks.contest.server import (  # noqa: E402
    COLUMNS,
    RELATION,
    Server,
    build,
    without_indexes,
)

TYPES = [
    "int8",
    "text",
    "text",
    "text",
    "float8",
    "float8",
    "int4",
    "timestamptz",
    "timestamptz",
    "jsonb",
]
Measure = Callable[[Ground], float]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=300_000)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="stillme-bench-", dir="/var/tmp") as name:
        os.environ["LEGACY_DATA_DIR"] = f"{name}/rows"
        Path(name).chmod(0o755)
        import django

        django.setup()
        ground = Ground(Server(), make_clean(Path(name) / "rows", arguments.rows), arguments.rows)
        try:
            ground.server.fresh()
            Ours().load(ground)
            write_copies(ground)
            figures = measure_all(ground, arguments.repeat)
        finally:
            ground.server.close()
    report(arguments, figures)


def measure_all(ground: Ground, repeat: int) -> dict[str, float]:
    """Median seconds of everything, every round in the same order."""
    found: dict[str, list[float]] = {name: [] for name in CHOICES}
    for _ in range(repeat):
        for name, measure in CHOICES.items():
            ground.server.fresh()
            found[name].append(measure(ground))
            print(f"{name}: {found[name][-1]:.2f} s", file=sys.stderr, flush=True)
    return {name: statistics.median(seconds) for name, seconds in found.items()}


def read(ground: Ground, *, with_apsw: bool) -> float:
    """The loader's stream of the whole table, sent nowhere."""
    from stillme.transfer.findings import ignore_event
    from stillme.transfer.inventory.selection import Selection
    from stillme.transfer.sqlite.reading.key_ranges import KeyRange
    from stillme.transfer.steps.loading.plan import make_plan
    from stillme.transfer.steps.rows.stream import CommonStream
    from stillme.transfer.steps.rows.table_source import TableSource

    with tempfile.TemporaryDirectory(dir=ground.folder) as name:
        plan = make_plan(Selection((), (TABLE,)), Path(name), None, ignore_event)
        job = plan.tables[0].job
        connection = None if with_apsw else job.snapshot.open()
        with closing(TableSource(job, connection)) as ready:
            stream = CommonStream(ready.stream, job.mapping, ready.common, KeyRange(0))
            started = time.monotonic()
            for _ in stream:
                pass
            seconds = time.monotonic() - started
    if stream.rows != ground.rows:
        raise SystemExit(f"Only {stream.rows:,} rows were read.")
    return seconds


def send(ground: Ground, form: str) -> float:
    """COPY FROM STDIN of rows that are in memory already as this form takes them."""
    rows: Any = parsed_rows(ground) if form != "lines" else blocks(ground)
    with without_indexes(ground.server), ground.server.connect() as target:
        started = time.monotonic()
        suffix = "(FORMAT binary)" if form == "binary" else ""
        with (
            target.cursor() as cursor,
            cursor.copy(f"COPY {RELATION} ({COLUMNS}) FROM STDIN {suffix}") as copy,
        ):
            if form == "lines":
                for block in rows:
                    copy.write(block)
            else:
                copy.set_types(TYPES)
                for row in rows:
                    copy.write_row(row)
        return time.monotonic() - started


def blocks(ground: Ground) -> Iterator[bytes]:
    """Lines of COPY's text format, as many to a block as the loader sends."""
    columns = len(TYPES)
    with (ground.folder / "rows.text").open("rb") as stream:
        while lines := list(islice(stream, 500)):
            # The file has one column more, which only the target has.
            yield b"".join(b"\t".join(line.split(b"\t")[:columns]) + b"\n" for line in lines)


def parsed_rows(ground: Ground) -> list[tuple[Any, ...]]:
    """The rows as Python holds them; made before the clock starts."""
    from psycopg.types.json import Jsonb

    with ground.server.connect() as target:
        target.execute(f"COPY {RELATION} FROM '{ground.folder / 'rows.text'}'")
        rows = target.execute(f"SELECT {COLUMNS} FROM {RELATION}").fetchall()
        target.execute(f"TRUNCATE {RELATION} CASCADE")
    return [(*row[:-1], Jsonb(row[-1])) for row in rows]


def commit(ground: Ground, mode: str) -> float:
    """A chunk a transaction, as the loader does, with the server's commits in this mode."""
    chunk = 50_000
    with without_indexes(ground.server), ground.server.connect() as target:
        target.execute(f"SET synchronous_commit = {mode}")
        found = blocks(ground)
        started = time.monotonic()
        while part := list(islice(found, chunk // 500)):
            with (
                target.cursor() as cursor,
                cursor.copy(f"COPY {RELATION} ({COLUMNS}) FROM STDIN") as copy,
            ):
                for block in part:
                    copy.write(block)
        return time.monotonic() - started


def server_copy(ground: Ground, form: str) -> float:
    """The server alone, secondary indexes after it."""
    return Limit(form).load(ground).seconds


def frozen(ground: Ground) -> float:
    """The server alone, rows frozen as they come, which wants the table emptied just before."""
    with without_indexes(ground.server) as statements, ground.server.connect() as target:
        started = time.monotonic()
        with target.transaction():
            target.execute(f"TRUNCATE {RELATION} CASCADE")
            target.execute(f"COPY {RELATION} FROM '{ground.folder / 'rows.text'}' (FREEZE)")
        build(ground.server, statements)
        return time.monotonic() - started


def live_indexes(ground: Ground) -> float:
    """The server alone, every index kept up to date row by row."""
    with ground.server.connect() as target:
        started = time.monotonic()
        target.execute(f"COPY {RELATION} FROM '{ground.folder / 'rows.text'}'")
        return time.monotonic() - started


def unlogged(ground: Ground) -> float:
    """No WAL while loading, all of it at the end."""
    with without_indexes(ground.server) as statements, ground.server.connect() as target:
        target.execute("DROP TABLE knowledge.knowledge_relationships")
        started = time.monotonic()
        target.execute(f"ALTER TABLE {RELATION} SET UNLOGGED")
        target.execute(f"COPY {RELATION} FROM '{ground.folder / 'rows.text'}'")
        build(ground.server, statements)
        target.execute(f"ALTER TABLE {RELATION} SET LOGGED")
        return time.monotonic() - started


def jobs(ground: Ground, number: int) -> float:
    """The whole command."""
    command = [sys.executable, str(ROOT / "manage.py"), "import_sqlite", "--table", TABLE]
    command += ["--jobs", str(number), "--format", "json"]
    return float(json.loads(run(command, ground.environment).output)["seconds"])


CHOICES: dict[str, Measure] = {
    "read: sqlite3": lambda ground: read(ground, with_apsw=False),
    "read: APSW": lambda ground: read(ground, with_apsw=True),
    "send: ready lines": lambda ground: send(ground, "lines"),
    "send: rows, text": lambda ground: send(ground, "text"),
    "send: rows, binary": lambda ground: send(ground, "binary"),
    "server reads a file: text": lambda ground: server_copy(ground, "text"),
    "server reads a file: CSV": lambda ground: server_copy(ground, "csv"),
    "server reads a file: text, frozen": frozen,
    "server reads a file: binary": lambda ground: server_copy(ground, "binary"),
    "chunks: synchronous_commit on": lambda ground: commit(ground, "on"),
    "chunks: synchronous_commit off": lambda ground: commit(ground, "off"),
    "indexes after the load": lambda ground: server_copy(ground, "text"),
    "indexes live": live_indexes,
    "UNLOGGED, then LOGGED": unlogged,
    "import_sqlite --jobs 1": lambda ground: jobs(ground, 1),
    "import_sqlite --jobs 2": lambda ground: jobs(ground, 2),
    "import_sqlite --jobs 4": lambda ground: jobs(ground, 4),
}


def report(arguments: argparse.Namespace, figures: dict[str, float]) -> None:
    """Markdown, and JSON where asked."""
    print(f"{arguments.rows:,} rows, {os.cpu_count()} cores, medians of {arguments.repeat}\n")
    print("| what | seconds | rows/s |\n|---|---|---|")
    for name, seconds in figures.items():
        print(f"| {name} | {seconds:.2f} | {arguments.rows / seconds:,.0f} |")
    if arguments.json:
        arguments.json.write_text(json.dumps({"rows": arguments.rows, "seconds": figures}) + "\n")


if __name__ == "__main__":
    main()
