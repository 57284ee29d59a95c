"""What an import and its proof cost by how the local clock is known.

    python benchmarks/local_clock.py --rows 200000

One file of `rss_fetch_items`, a year of rows with one or two local times each. Its clock has one
offset (+07:00), or that of Berlin with summer time; `LEGACY_TIME_ZONE` names the zone or is auto.
Seconds of whole processes by the clock, and of processor time without the server's (which is what
to compare on a machine that does other things as well).
"""

from __future__ import annotations

import argparse
import os
import resource
import sqlite3
import sys
import tempfile
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "stillme.settings")

from benchmarks.contest.ground import Ground  # noqa: E402
from benchmarks.contest.process import run, wait_for_quiet  # noqa: E402
from benchmarks.contest.server import Server  # noqa: E402

FILE = "rss_fetch_history.db"
YEAR = 365 * 86_400
# The clock that wrote the file, LEGACY_TIME_ZONE.
CASES = (
    ("Asia/Bangkok", "auto"),
    ("Asia/Bangkok", "Asia/Bangkok"),
    ("Europe/Berlin", "Europe/Berlin"),
    ("Europe/Berlin", "auto"),
)


def main() -> None:
    """Make a file for each case, import it, prove it, print a line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--cases", type=int, default=len(CASES), help="only the first so many")
    arguments = parser.parse_args()
    import django

    django.setup()
    server = Server()
    print("| written in | `LEGACY_TIME_ZONE` | import s | processor s | verify s | processor s |")
    print("|---" * 6 + "|")
    try:
        for written, told in CASES[: arguments.cases]:
            with tempfile.TemporaryDirectory(prefix="stillme-bench-", dir="/var/tmp") as folder:
                figures = measure(server, Path(folder), arguments.rows, written, told)
            print(f"| {written} | {told} | {' | '.join(figures)} |", flush=True)
    finally:
        server.close()


def measure(server: Server, folder: Path, rows: int, written: str, told: str) -> list[str]:
    """Seconds of the import and of its proof."""
    from stillme.demo.samples import make_bulk

    folder.chmod(0o755)
    make_bulk(folder, "rss_fetch_items", rows)
    write_stamps(folder / FILE, rows, ZoneInfo(written))
    server.fresh()
    environment = {**Ground(server, folder, rows).environment, "LEGACY_TIME_ZONE": told}
    return [f for name in ("import_sqlite", "verify_migration") for f in command(name, environment)]


def write_stamps(path: Path, rows: int, zone: ZoneInfo) -> None:
    """Spread the rows over a year, the local stamps as a clock of that zone shows them."""

    def local(utc: str) -> str:
        moment = datetime.fromisoformat(utc).replace(tzinfo=UTC).astimezone(zone)
        return f"{moment.replace(tzinfo=None).isoformat()}.123456"

    with closing(sqlite3.connect(path)) as legacy, legacy:
        legacy.create_function("local", 1, local, deterministic=True)
        legacy.execute(
            "UPDATE rss_fetch_items SET created_at = "
            f"datetime('2023-01-01', (id * {YEAR / rows}) || ' seconds')"
        )
        legacy.execute(
            "UPDATE rss_fetch_items SET fetch_timestamp = local(created_at), "
            "added_to_rag_at = iif(added_to_rag_at IS NULL, NULL, local(created_at))"
        )


def command(name: str, environment: dict[str, str]) -> list[str]:
    """Its seconds by the clock, and by the processor."""
    wait_for_quiet()
    before = processor()
    line = [sys.executable, str(ROOT / "manage.py"), name, "--format", "json"]
    ended = run(line, environment)
    if ended.status != 0:
        raise SystemExit(f"{name}: {ended.note}\n{ended.errors or ended.output[-2000:]}")
    return [f"{ended.seconds:.1f}", f"{processor() - before:.1f}"]


def processor() -> float:
    """Seconds of processor time of all children that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    main()
