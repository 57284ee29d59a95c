"""What a `kill -9` in the middle of an import costs, and how much memory import and verify take.

    python benchmarks/resume_cost.py --rows 10000000

Makes `knowledge_items` rows in the real shapes, kills the importer and its workers when half of
the rows are committed, imports again, verifies. Prints how many rows had to be loaded twice (at
most one chunk per worker) and the peak memory of the largest process of each command.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "stillme.settings")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--jobs", type=int, default=2)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="stillme-bench-", dir="/var/tmp") as name:
        folder = Path(name)
        folder.chmod(0o777)
        os.environ["LEGACY_DATA_DIR"] = os.environ["TMPDIR"] = name
        import django

        django.setup()
        from django.core.management import call_command

        from benchmarks.import_speed import empty
        from stillme.demo.samples import make_bulk

        call_command("migrate", verbosity=0)
        empty()
        make_bulk(folder, "knowledge_items", arguments.rows)
        report(arguments.rows, measure(arguments))
        empty()


def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    from benchmarks.import_speed import run_command

    seconds, committed = kill_half_way(arguments)
    resumed, import_memory = run_command("import_sqlite", arguments.jobs)
    before = chunk_rows(before_run=last_run())
    verified, verify_memory = run_command("verify_migration", arguments.jobs)
    return {
        "committed": committed,
        "kept": before,
        "killed after": seconds,
        "resumed in": resumed,
        "verified in": verified,
        "import MB": import_memory,
        "verify MB": verify_memory,
    }


def kill_half_way(arguments: argparse.Namespace) -> tuple[float, int]:
    command = [sys.executable, str(ROOT / "manage.py"), "import_sqlite"]
    command += ["--table", "knowledge_items", "--jobs", str(arguments.jobs)]
    started = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, start_new_session=True)
    while (committed := chunk_rows()) < arguments.rows // 2:
        if process.poll() is not None:
            raise SystemExit("The import ended before it could be killed: give more --rows.")
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    return time.monotonic() - started, committed


def chunk_rows(before_run: int | None = None) -> int:
    """Legacy rows in committed chunks; only those of earlier runs than `before_run`."""
    from benchmarks.import_speed import query

    test = "" if before_run is None else f"WHERE run_id < {before_run}"
    return int(query(f"SELECT coalesce(sum(legacy_rows), 0) FROM transfer.chunk {test}")[0][0])


def last_run() -> int:
    from benchmarks.import_speed import query

    return int(query("SELECT max(id) FROM transfer.run WHERE command = 'import_sqlite'")[0][0])


def report(rows: int, found: dict[str, Any]) -> None:
    print(f"{rows:,} rows\n\n| what | figure |\n|---|---|")
    print(
        f"| killed after | {found['killed after']:.1f} s, {found['committed']:,} rows committed |"
    )
    print(f"| the next run kept | {found['kept']:,} rows |")
    print(f"| and ended in | {found['resumed in']:.1f} s |")
    print(f"| verified in | {found['verified in']:.1f} s |")
    print(f"| peak memory, largest process | {found['import MB']:.0f} MB import, ", end="")
    print(f"{found['verify MB']:.0f} MB verify |")


if __name__ == "__main__":
    main()
