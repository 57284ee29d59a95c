"""How import and verification grow with the rows; figures as JSON, and a picture.

    python benchmarks/growth.py --rows 10000 100000 1000000 3000000

Each size gets a fresh database. Seconds are those of whole processes, from start to end; memory is
that of all processes of a command together, pages they share counted once. Writes
docs/images/growth.svg and docs/images/growth.json; `--keep` adds to the figures that are there.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "stillme.settings")
IMAGES = ROOT / "docs" / "images"

from benchmarks.contest.ground import TABLE, Ground, make_clean  # noqa: E402
from benchmarks.contest.plot import Line, plot  # noqa: E402
from benchmarks.contest.process import run  # noqa: E402
from benchmarks.contest.server import Server  # noqa: E402

COMMANDS = {"import": "import_sqlite", "verify": "verify_migration"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--keep", action="store_true", help="add to the figures of earlier runs")
    parser.add_argument("--into", type=Path, default=IMAGES, help="where JSON and picture go")
    arguments = parser.parse_args()
    path = arguments.into / "growth.json"
    found: dict[str, Any] = json.loads(path.read_text()) if arguments.keep else {}
    import django

    django.setup()
    server = Server()
    try:
        for rows in arguments.rows:
            found[str(rows)] = measure(server, rows)
    finally:
        server.close()
    found = dict(sorted(found.items(), key=lambda item: int(item[0])))
    arguments.into.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(found, indent=2) + "\n")
    (arguments.into / "growth.svg").write_text(picture(found))
    report(found)


def measure(server: Server, rows: int) -> dict[str, Any]:
    """One import and one full verification of `rows` rows."""
    with tempfile.TemporaryDirectory(prefix="stillme-bench-", dir="/var/tmp") as name:
        ground = Ground(server, make_clean(Path(name), rows), rows)
        server.fresh()
        figures: dict[str, Any] = {"bytes": ground.size}
        for what, command in COMMANDS.items():
            line = [sys.executable, str(ROOT / "manage.py"), command, "--table", TABLE]
            ended = run([*line, "--format", "json"], ground.environment, limit=3600)
            if ended.status != 0:
                raise SystemExit(f"{command}: {ended.note}\n{ended.errors}")
            figures[what] = round(ended.seconds, 2)
            figures[f"{what}_mb"] = round(ended.peak_mb)
            figures[f"{what}_largest_mb"] = round(ended.largest_mb)
        print(f"{rows:,}: {figures}", file=sys.stderr, flush=True)
        return figures


def picture(found: dict[str, Any]) -> str:
    """Rows a second over rows, both commands."""
    lines = [
        Line(what, [(int(rows), int(rows) / each[what]) for rows, each in found.items()])
        for what in COMMANDS
    ]
    return plot("Rows a second, by rows in the table (whole process, start to end)", lines)


def report(found: dict[str, Any]) -> None:
    """The figures as Markdown."""
    print("| rows | MB | import s | rows/s | largest process MB | verify s | rows/s | ", end="")
    print("largest process MB |\n" + "|---" * 8 + "|")
    for rows, each in found.items():
        cells = [f"{int(rows):,}", f"{each['bytes'] / 1e6:,.0f}"]
        for what in COMMANDS:
            cells += [f"{each[what]:.2f}", f"{int(rows) / each[what]:,.0f}"]
            cells.append(str(each[f"{what}_largest_mb"]))
        print(f"| {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
