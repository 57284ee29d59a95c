"""What a command costs that has next to nothing to do: its start and its end.

    python benchmarks/start_cost.py --rows 1000 --repeat 10

Imports a file of a few rows once, then runs the commands on it in turn with nothing changed.
Processor seconds are those of the command and its children, the server's not among them.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "stillme.settings")

from benchmarks.contest.server import SCRATCH, Server  # noqa: E402

COMMANDS = {
    "python -c pass": ["-c", "pass"],
    "manage.py version": ["manage.py", "version"],
    "manage.py import_sqlite": ["manage.py", "import_sqlite"],
    "manage.py verify_migration": ["manage.py", "verify_migration"],
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1000)
    parser.add_argument("--repeat", type=int, default=10)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="stillme-bench-", dir="/var/tmp") as name:
        Path(name).chmod(0o755)
        os.environ["LEGACY_DATA_DIR"] = name
        import django

        django.setup()
        from stillme.demo.samples import make_bulk

        make_bulk(Path(name), "knowledge_items", arguments.rows)
        server = Server()
        try:
            server.fresh()
            environment = {**os.environ, "DATABASE_URL": server.url(SCRATCH)}
            for command in COMMANDS.values():
                cost(command, environment)
            report(arguments, measure(arguments.repeat, environment))
        finally:
            server.close()


def measure(repeat: int, environment: dict[str, str]) -> dict[str, list[tuple[float, float]]]:
    """(Processor seconds, seconds) of every command, in turn."""
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in COMMANDS}
    for _ in range(repeat):
        for name, command in COMMANDS.items():
            found[name].append(cost(command, environment))
    return found


def cost(command: list[str], environment: dict[str, str]) -> tuple[float, float]:
    """Run it to the end."""
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    subprocess.run(
        [sys.executable, *command], cwd=ROOT, env=environment, check=True, capture_output=True
    )
    seconds, after = time.monotonic() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, seconds


def report(arguments: argparse.Namespace, figures: dict[str, list[tuple[float, float]]]) -> None:
    """Markdown."""
    print(f"{arguments.rows:,} rows, {os.cpu_count()} cores, {arguments.repeat} runs, s\n")
    print("| command | processor: least | median | clock: least | median |\n|---|---|---|---|---|")
    for name, costs in figures.items():
        cells = [
            f"{choose(column):.2f}"
            for column in zip(*costs, strict=True)
            for choose in (min, statistics.median)
        ]
        print(f"| `{name}` | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
