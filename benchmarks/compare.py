"""This project beside the limit of the machine and beside other tools, in one run.

    apt-get install pgloader
    pip install -r benchmarks/requirements.txt
    python benchmarks/compare.py --rows 1000000 --repeat 3 --json figures.json --markdown figures.md

Every tool loads the same legacy file of `knowledge_items` rows in the real shapes into the same
migrated table (primary key and the two named indexes) of a fresh database on the same server; an
attempt is timed from the start of its process until the last index stands. Tools that do not take
the secondary indexes away themselves find them dropped, and their rebuilding is in their time. The
limit is the server alone: `COPY FROM` a file of the same rows in PostgreSQL's own formats.

Correctness beside it, by `verify_migration` on the tool's table: rows lost and cells changed, for
the clean file and for a small one with what the application's own code really leaves behind
(U+0000, NaN and lone surrogates in JSON, texts of 100 kB). The file of the speed runs is clean, so
that no tool is slow only because it stumbles.

`--tools ours,limit,pgloader` runs some of them (`ours` and `limit` always run, so that every ratio
is within one run); `--merge A.json B.json` prints several runs as one table.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "stillme.settings")

from benchmarks.contest.ground import Attempt, Ground, Tool, make_clean, make_dirty  # noqa: E402
from benchmarks.contest.home import Limit, Ours, write_copies  # noqa: E402
from benchmarks.contest.judge import Judged, judge  # noqa: E402
from benchmarks.contest.orm import BulkCreate, LoadData  # noqa: E402
from benchmarks.contest.process import wait_for_quiet  # noqa: E402
from benchmarks.contest.report import circumstances, merged, table, write_json  # noqa: E402
from benchmarks.contest.rivals import TUNED, DuckDB, Pgloader  # noqa: E402
from benchmarks.contest.server import Server  # noqa: E402

ALWAYS: list[Tool] = [
    Ours(),
    Limit("text"),
    Limit("binary"),
    Limit("text", key_too=True),
]
RIVALS: dict[str, list[Tool]] = {
    "pgloader": [Pgloader("pgloader, default"), Pgloader("pgloader, tuned", TUNED)],
    "duckdb": [DuckDB()],
    "loaddata": [LoadData()],
    "bulk_create": [BulkCreate()],
}


def main() -> None:
    arguments = parse()
    if arguments.merge:
        print(merged(arguments.merge))
        return
    with tempfile.TemporaryDirectory(prefix="stillme-contest-", dir="/var/tmp") as name:
        folder = Path(name)
        folder.chmod(0o755)
        os.environ["TMPDIR"] = name  # snapshots belong beside the file, not in a memory disk
        import django

        django.setup()
        server = Server()
        try:
            result = contest(server, folder, arguments)
        finally:
            server.close()
    print(table([result]))
    if arguments.markdown:
        arguments.markdown.write_text(table([result]) + "\n")
    if arguments.json:
        write_json(arguments.json, result)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--tools", default=",".join(RIVALS), help=f"some of {','.join(RIVALS)}")
    parser.add_argument("--json", type=Path, help="write the figures")
    parser.add_argument("--markdown", type=Path, help="write the table that is printed")
    parser.add_argument("--merge", type=Path, nargs="+", help="print files of earlier runs")
    arguments = parser.parse_args()
    unknown = set(arguments.tools.split(",")) - {"ours", "limit", *RIVALS}
    if unknown:
        parser.error(f"There is no tool {unknown.pop()}; they are {', '.join(RIVALS)}.")
    return arguments


def contest(server: Server, folder: Path, arguments: argparse.Namespace) -> dict[str, Any]:
    """Make the files, let every tool load them in turn, let the judge look."""
    grounds = {arguments.rows: Ground(server, make_clean(folder / "rows", arguments.rows), 0)}
    tools = ALWAYS + [t for name in arguments.tools.split(",") for t in RIVALS.get(name, [])]
    present = [tool for tool in tools if tool.missing() is None]
    attempts: dict[str, list[Attempt]] = {tool.name: [] for tool in tools}
    verdicts: dict[str, dict[str, Judged]] = {tool.name: {} for tool in tools}
    for number in range(arguments.repeat):
        for tool in present:
            rows = min(arguments.rows, tool.most_rows or arguments.rows)
            if rows not in grounds:
                grounds[rows] = Ground(server, make_clean(folder / f"rows-{rows}", rows), 0)
            attempts[tool.name].append(attempt(tool, grounds[rows]))
            if isinstance(tool, Ours) and number == 0:
                write_copies(grounds[rows])
            if tool.judged and number == 0:
                verdicts[tool.name]["clean"] = judge(grounds[rows])
    dirty = Ground(server, *make_dirty(folder / "dirty"))
    ended: dict[str, str] = {}
    for tool in present:
        if tool.judged:
            ended[tool.name] = attempt(tool, dirty).note
            verdicts[tool.name]["dirty"] = judge(dirty)
    return {
        **circumstances(server, grounds[arguments.rows], arguments),
        "dirty_rows": dirty.rows,
        "tools": [
            figures(tool, attempts[tool.name], verdicts[tool.name], grounds, arguments.rows)
            | {"dirty_note": ended.get(tool.name, "")}
            for tool in tools
        ],
    }


def attempt(tool: Tool, ground: Ground) -> Attempt:
    """One tool, once, into a fresh database."""
    ground.server.fresh()
    wait_for_quiet()
    done = tool.load(ground)
    words = f", {done.note}" if done.note else ""
    print(f"{tool.name}: {done.seconds:.2f} s{words}", file=sys.stderr, flush=True)
    return done


def figures(
    tool: Tool,
    attempts: list[Attempt],
    verdicts: dict[str, Judged],
    grounds: dict[int, Ground],
    all_rows: int,
) -> dict[str, Any]:
    """What is written down about one tool."""
    if not attempts:
        return {"tool": tool.name, "note": tool.missing()}
    rows = min(all_rows, tool.most_rows or all_rows)
    median = statistics.median(each.seconds for each in attempts)
    peaks = [each.peak_mb for each in attempts if each.peak_mb is not None]
    return {
        "tool": tool.name,
        "rows": rows,
        "seconds": [round(each.seconds, 3) for each in attempts],
        "median": round(median, 3),
        "rows_per_second": round(rows / median),
        "mb_per_second": round(grounds[rows].size / 1e6 / median, 1),
        "peak_mb": round(max(peaks)) if peaks else None,
        "note": next((each.note for each in attempts if each.note), ""),
        "judged": {name: vars_of(found) for name, found in verdicts.items()},
    }


def vars_of(found: Judged) -> dict[str, Any]:
    """A verdict as plain data."""
    return {
        "rows": found.rows,
        "lost": found.lost,
        "changed": found.changed,
        "set_aside": found.set_aside,
        "other_findings": found.others,
    }


if __name__ == "__main__":
    main()
