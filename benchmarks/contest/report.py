"""One or several runs as one Markdown table."""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import shutil
import statistics
import subprocess
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import argparse
    from pathlib import Path

    from benchmarks.contest.ground import Ground
    from benchmarks.contest.server import Server

HEAD = (
    "| tool | rows | median s | rows/s | MB/s | this project is | peak MB | clean: lost | changed "
    "| dirty: lost | changed | set aside | remarks |"
)
NAMES = {"sequence": "the sequence still hands out ids that are taken"}


def circumstances(server: Server, ground: Ground, arguments: argparse.Namespace) -> dict[str, Any]:
    """Where, when, with what, on how much."""
    return {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "cores": os.cpu_count(),
        "machine": f"{platform.system()} {platform.machine()}",
        "rows": arguments.rows,
        "bytes": ground.size,
        "repeat": arguments.repeat,
        "versions": {"PostgreSQL": server.version, "Python": platform.python_version()}
        | {name: package(name) for name in ("Django", "psycopg", "apsw", "duckdb")}
        | {"pgloader": pgloader()},
    }


def package(name: str) -> str:
    """Its version, or that it is not there."""
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def pgloader() -> str:
    """Debian's version: what the program says of itself is older than what it is."""
    if not shutil.which("pgloader"):
        return "not installed"
    if shutil.which("dpkg-query"):
        asked = ["dpkg-query", "--show", "--showformat", "${Version}", "pgloader"]
        done = subprocess.run(asked, capture_output=True, text=True)
        if done.returncode == 0:
            return done.stdout
    return subprocess.run(["pgloader", "--version"], capture_output=True, text=True).stdout.strip()


def write_json(path: Path, result: dict[str, Any]) -> None:
    """The figures for a later --merge."""
    path.write_text(json.dumps(result, indent=2) + "\n")


def merged(paths: list[Path]) -> str:
    """Earlier runs as one table; every ratio stays one of its own run."""
    return table([json.loads(path.read_text()) for path in paths])


def table(runs: list[dict[str, Any]]) -> str:
    """The whole report."""
    first = runs[0]
    versions = ", ".join(f"{name} {version}" for name, version in first["versions"].items())
    lines = [
        f"{first['rows']:,} rows, {first['bytes'] / 1e6:,.0f} MB; {first['cores']} cores; "
        f"medians of {first['repeat']}; {versions}; the dirty file has {first['dirty_rows']:,} "
        f"rows; {first['at'][:10]}",
        "",
        HEAD,
        "|---" * (HEAD.count("|") - 1) + "|",
    ]
    names = dict.fromkeys(tool["tool"] for run in runs for tool in run["tools"])
    return "\n".join(lines + [line(name, runs) for name in names])


def line(name: str, runs: list[dict[str, Any]]) -> str:
    """One tool: medians over the runs it was in."""
    found = [(run, tool) for run in runs for tool in run["tools"] if tool["tool"] == name]
    done = [(run, tool) for run, tool in found if "seconds" in tool]
    if not done:
        return f"| {name} |" + " |" * 11 + f" {found[0][1]['note']} |"
    tool = done[0][1]
    seconds = statistics.median(s for _, each in done for s in each["seconds"])
    size = tool["mb_per_second"] * tool["median"]
    ratio = statistics.median(ratio_to_ours(run, each) for run, each in done)
    peak = max((each["peak_mb"] or 0 for _, each in done), default=0)
    complete = not tool["note"]
    cells = [
        name,
        f"{tool['rows']:,}",
        f"{seconds:.2f}",
        f"{tool['rows'] / seconds:,.0f}" if complete else "",
        f"{size / seconds:,.0f}" if complete else "",
        f"{ratio:.2f} x as fast" if complete and name != "this project" else "",
        f"{peak:,.0f}" if peak else "",
        *verdict(tool["judged"].get("clean"), "lost", "changed"),
        *verdict(tool["judged"].get("dirty"), "lost", "changed", "set_aside"),
        remarks(tool),
    ]
    return f"| {' | '.join(cells)} |"


def ratio_to_ours(run: dict[str, Any], tool: dict[str, Any]) -> float:
    """How many times as many rows a second this project loaded in the same run."""
    ours = next(each for each in run["tools"] if each["tool"] == "this project")
    return float((ours["rows"] / ours["median"]) / (tool["rows"] / tool["median"]))


def verdict(judged: dict[str, Any] | None, *names: str) -> list[str]:
    """What the judge said, or nothing where it was not asked."""
    return [f"{judged[name]:,}" if judged else "" for name in names]


def remarks(tool: dict[str, Any]) -> str:
    """How it failed, and what else the judge found in the clean file."""
    others = (tool["judged"].get("clean") or {}).get("other_findings", {})
    said = [tool["note"]] if tool["note"] else []
    said += [f"dirty: {tool['dirty_note']}"] if tool["dirty_note"] else []
    wrong = {"missing_row", "count", "conservation"}
    return "; ".join(said + [NAMES.get(name, name) for name in sorted(others) if name not in wrong])
