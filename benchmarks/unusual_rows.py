"""What an import costs whose rows are set aside or repaired instead of loaded as they are.

    python benchmarks/unusual_rows.py --rows 100000

Files of `knowledge_relationships` of which half are orphans; of `knowledge_items` with U+0000 in a
text (all set aside), NaN in the JSON (all repaired, the original kept), a time in another shape, a
time as a number, and nothing unusual. For each: the import, a verification, an import with 1 % of
the rows changed, and one with all of them. Seconds of whole processes by the clock, in brackets by
the processor without the server's, and the largest of them in MB.
"""

from __future__ import annotations

import argparse
import os
import resource
import sqlite3
import sys
import tempfile
from contextlib import closing, suppress
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "stillme.settings")

from benchmarks.contest.ground import FILE, Ground  # noqa: E402
from benchmarks.contest.process import run, wait_for_quiet  # noqa: E402
from benchmarks.contest.server import Server  # noqa: E402

# What, table, how it becomes so, how a row changes without becoming usual.
KINDS = (
    ("half orphans", "knowledge_relationships",
     "source_id = source_id + 1000000000 WHERE id % 2 = 0", "strength = 0.5 - strength"),
    ("all set aside", "knowledge_items",
     "source = source || char(0)", "access_count = access_count + 1"),
    ("all repaired", "knowledge_items",
     "metadata = '{\"a\": NaN, \"id\": ' || id || '}'", "access_count = access_count + 1"),
    ("all usual", "knowledge_items",
     "access_count = access_count", "access_count = access_count + 1"),
    ("all with a time in another shape", "knowledge_items",
     "created_at = replace(created_at, ' ', 'T') || 'Z'", "access_count = access_count + 1"),
    ("all with seconds since 1970", "knowledge_items",
     "created_at = CAST(strftime('%s', created_at) AS INTEGER)", "access_count = access_count + 1"),
)  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--kind", action="append", choices=[kind[0] for kind in KINDS])
    parser.add_argument("--once", action="store_true", help="only the import and its verification")
    parser.add_argument("--busy", action="store_true", help="do not wait for a quiet machine")
    arguments = parser.parse_args()
    import django

    django.setup()
    server = Server()
    print("| rows | import s | MB | verify s | MB | 1 % changed s | MB | all changed s | MB |")
    print("|---" * 9 + "|")
    try:
        for name, table, change, again in KINDS:
            if arguments.kind and name not in arguments.kind:
                continue
            later = None if arguments.once else again
            with tempfile.TemporaryDirectory(prefix="stillme-bench-", dir="/var/tmp") as folder:
                figures = measure(
                    server, Path(folder), table, arguments.rows, change, later, arguments.busy
                )
            print(f"| {name} | {' | '.join(figures)} |", flush=True)
    finally:
        server.close()


def measure(
    server: Server,
    folder: Path,
    table: str,
    rows: int,
    change: str,
    again: str | None,
    is_busy: bool,
) -> list[str]:
    """Seconds and MB of each command in turn."""
    from stillme.demo.samples import make_bulk

    folder.chmod(0o755)
    make_bulk(folder, table, rows)
    ground = Ground(server, folder, rows)
    server.fresh()
    update(folder, f"UPDATE {table} SET {change}")
    figures = command(ground, "import_sqlite", is_busy)
    figures += command(ground, "verify_migration", is_busy)
    for where in (" WHERE id % 100 = 0", "") if again else ():
        update(folder, f"UPDATE {table} SET {again}{where}")
        figures += command(ground, "import_sqlite", is_busy)
    return figures


def update(folder: Path, statement: str) -> None:
    """Change the legacy file."""
    with closing(sqlite3.connect(folder / FILE)) as legacy, legacy:
        legacy.execute(statement)


def command(ground: Ground, name: str, is_busy: bool) -> list[str]:
    """Its seconds and the MB of its largest process. Undecided rows end a verification with 1."""
    if not is_busy:
        wait_for_quiet()
    before, server_before = processor(), of_server(ground.server.process)
    line = [sys.executable, str(ROOT / "manage.py"), name, "--format", "json"]
    ended = run(line, ground.environment)
    if ended.status not in (0, 1):
        raise SystemExit(f"{name}: {ended.note}\n{ended.errors or ended.output[-2000:]}")
    own, server = processor() - before, of_server(ground.server.process) - server_before
    return [f"{ended.seconds:.1f} ({own:.1f} + {server:.1f})", f"{ended.largest_mb:.0f}"]


def processor() -> float:
    """Seconds of processor time of all children that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def of_server(postmaster: psutil.Process) -> float:
    """Seconds of processor time of the server's processes, those that have ended included."""
    seconds = sum(postmaster.cpu_times()[:4])
    for child in postmaster.children():
        with suppress(psutil.NoSuchProcess):
            seconds += sum(child.cpu_times()[:2])
    return float(seconds)


if __name__ == "__main__":
    main()
