"""How fast verify_migration is beside import_sqlite, in one run, with the same jobs.

    python benchmarks/verify_speed.py --rows 1000000 --jobs 2 --repeat 3

Makes `knowledge_items` rows in the real shapes, imports them and proves them with the real
commands, and prints a Markdown table: seconds, rows a second, and the peak memory of the largest
of the verification's processes. `--json FILE` writes the figures.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "stillme.settings")

from benchmarks.import_speed import empty, run_command  # noqa: E402


def main() -> None:
    """Make, import, prove, report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="stillme-bench-") as name:
        os.environ["LEGACY_DATA_DIR"] = name
        import django

        django.setup()
        from django.core.management import call_command

        from stillme.demo.samples import make_bulk

        call_command("migrate", verbosity=0)
        make_bulk(Path(name), "knowledge_items", arguments.rows)
        report(arguments, [measure(arguments.jobs) for _ in range(arguments.repeat)])


def measure(jobs: int) -> dict[str, float]:
    """One import into empty tables and one full verification of it."""
    empty()
    imported, _ = run_command("import_sqlite", jobs)
    verified, memory = run_command("verify_migration", jobs)
    return {"import": imported, "verify": verified, "memory": memory}


def report(arguments: argparse.Namespace, figures: list[dict[str, float]]) -> None:
    """Medians as Markdown, and as JSON where asked."""
    median = {name: statistics.median(run[name] for run in figures) for name in figures[0]}
    print(f"{arguments.rows:,} rows, jobs {arguments.jobs}, median of {arguments.repeat} runs\n")
    print("| what | figure |\n|---|---|")
    for name in ("import", "verify"):
        speed = arguments.rows / median[name]
        print(f"| {name} | {median[name]:.2f} s, {speed:,.0f} rows/s |")
    print(f"| verify / import | {median['verify'] / median['import']:.2f} of its time |")
    print(f"| peak memory of verify, largest process | {median['memory']:.0f} MB |")
    if arguments.json:
        arguments.json.write_text(json.dumps({"median": median, "runs": figures}, indent=2))


if __name__ == "__main__":
    main()
