"""How fast import_sqlite is, against the limit of the machine, in one run.

    python benchmarks/import_speed.py --rows 1000000 --jobs 2 --repeat 3

Makes `knowledge_items` rows in the real shapes, imports them with the real command, and lets the
server copy the same rows from a file into an identical table (`COPY FROM`, primary key live, the
same secondary indexes built after it). Prints a Markdown table; `--json FILE` writes the figures.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "stillme.settings")
RELATION = '"knowledge"."knowledge_items"'


def main() -> None:
    arguments = parse()
    with tempfile.TemporaryDirectory(prefix="stillme-bench-", dir="/var/tmp") as name:
        folder = Path(name)
        folder.chmod(0o777)
        os.environ["LEGACY_DATA_DIR"] = name
        import django

        django.setup()
        from django.core.management import call_command

        from stillme.demo.samples import make_bulk

        call_command("migrate", verbosity=0)
        made = make_bulk(folder, "knowledge_items", arguments.rows)
        figures = [measure(folder, arguments) for _ in range(arguments.repeat)]
        report(arguments, sum(made.bytes.values()), figures)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--jobs", type=int, default=0)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--json", type=Path)
    return parser.parse_args()


def query(sql: str) -> list[Any]:
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute(sql)
        return list(cursor.fetchall()) if cursor.description else []


def empty() -> None:
    names = query(
        "SELECT format('%I.%I', schemaname, tablename) FROM pg_tables "
        "WHERE schemaname IN ('knowledge', 'transfer')"
    )
    query(f"TRUNCATE {', '.join(n for (n,) in names)} RESTART IDENTITY CASCADE")
    query("CHECKPOINT")


def measure(folder: Path, arguments: argparse.Namespace) -> dict[str, float]:
    empty()
    imported, memory = run_command("import_sqlite", arguments.jobs)
    again, _ = run_command("import_sqlite", arguments.jobs)
    verified, verify_memory = run_command("verify_migration", arguments.jobs)
    return {
        "import": imported,
        "import again": again,
        "verify": verified,
        "limit": limit(folder),
        "import MB": memory,
        "verify MB": verify_memory,
    }


def run_command(name: str, jobs: int) -> tuple[float, float]:
    """(seconds as the command itself says, peak MB of the largest of its processes)."""
    command = [sys.executable, str(ROOT / "manage.py"), name, "--table", "knowledge_items"]
    command += ["--jobs", str(jobs), "--format", "json"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    peak = 0.0
    while process.poll() is None:
        peak = max(peak, largest(process.pid))
        time.sleep(0.05)
    assert process.stdout is not None
    answer = json.loads(process.stdout.read())
    if process.returncode != 0:
        raise SystemExit(f"{name} ended with status {process.returncode}")
    return float(answer["seconds"]), peak


def largest(pid: int) -> float:
    """Peak resident memory, in MB, of the largest process of a tree."""
    children = Path(f"/proc/{pid}/task/{pid}/children")
    sizes = [0.0]
    try:
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmHWM"):
                sizes.append(int(line.split()[1]) / 1024)
        sizes += [largest(int(child)) for child in children.read_text().split()]
    except (FileNotFoundError, ProcessLookupError):
        pass
    return max(sizes)


def limit(folder: Path) -> float:
    """Seconds of server-side COPY FROM of the same rows, then the same indexes."""
    rows = folder / "rows.txt"
    copy_out(rows)
    query("DROP TABLE IF EXISTS public.limit_of_copy")
    query(
        f"CREATE TABLE public.limit_of_copy (LIKE {RELATION} "
        "INCLUDING DEFAULTS INCLUDING CONSTRAINTS)"
    )
    query("ALTER TABLE public.limit_of_copy ADD PRIMARY KEY (id)")
    query("CHECKPOINT")
    secondary = query(
        "SELECT pg_get_indexdef(indexrelid) FROM pg_index "
        f"WHERE indrelid = '{RELATION}'::regclass AND NOT indisprimary"
    )
    started = time.monotonic()
    query(f"COPY public.limit_of_copy FROM '{rows}'")
    for (definition,) in secondary:
        _, _, form = definition.partition(" USING ")
        query(f"CREATE INDEX ON public.limit_of_copy USING {form}")
    seconds = time.monotonic() - started
    query("DROP TABLE public.limit_of_copy")
    rows.unlink()
    return seconds


def copy_out(path: Path) -> None:
    from django.db import connection

    with (
        connection.cursor() as cursor,
        path.open("wb") as stream,
        cursor.copy(f"COPY {RELATION} TO STDOUT") as copy,
    ):
        for block in copy:
            stream.write(block)
    path.chmod(0o644)


def report(arguments: argparse.Namespace, size: int, figures: list[dict[str, float]]) -> None:
    median = {name: statistics.median(run[name] for run in figures) for name in figures[0]}
    print(f"{arguments.rows:,} rows, {size / 1e6:,.0f} MB, jobs {arguments.jobs or 'default'}")
    print(f"PostgreSQL {query('SHOW server_version')[0][0]}, {os.cpu_count()} cores, ", end="")
    print(f"median of {arguments.repeat} runs\n\n| what | figure |\n|---|---|")
    for name in ("import", "import again", "verify", "limit"):
        speed = arguments.rows / median[name]
        print(f"| {name} | {median[name]:.2f} s, {speed:,.0f} rows/s |")
    print(f"| import / limit | {median['limit'] / median['import']:.2f} of its speed |")
    print(f"| verify / import | {median['verify'] / median['import']:.2f} of its time |")
    print(f"| import again / verify | {median['import again'] / median['verify']:.2f} |")
    print(f"| peak memory, largest process | {median['import MB']:.0f} MB import, ", end="")
    print(f"{median['verify MB']:.0f} MB verify |")
    if arguments.json:
        arguments.json.write_text(json.dumps({"median": median, "runs": figures}, indent=2))


if __name__ == "__main__":
    main()
