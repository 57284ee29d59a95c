"""What a verification leaves: an HTML page and a manifest where asked, the console's report always.

The page is one file that loads nothing, to be filed away, printed, mailed. It is made from the same
plain data as the JSON report, so the two cannot disagree.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from django.template import Context, Engine
from rich.console import Console

from stillme.transfer.errors import TransferError
from stillme.transfer.models import Run
from stillme.transfer.plumbing.private_file import write_private
from stillme.transfer.reports.advice import advice, states_of
from stillme.transfer.reports.json_text import json_text, or_json
from stillme.transfer.reports.terminal.proof import as_dict
from stillme.transfer.reports.terminal.tables import marked, say
from stillme.transfer.verify.manifest import ManifestCheck, make_manifest
from stillme.transfer.verify.result import VerifyResult
from stillme.visible import in_one_line

# A project that moves may have no templates of its own, and no setting for them.
_TEMPLATES = Engine(dirs=[str(Path(__file__).parents[1] / "templates")])
_OF_TABLE = (
    "legacy_rows", "target_rows", "repaired", "mended", "written_since", "undecided", "accepted",
    "cells", "findings",
)  # fmt: skip
# Title, heads, rows.
Grid = tuple[str, Sequence[str], Sequence[Sequence[Any]]]


def write_files(result: VerifyResult, html: Path | None, manifest: Path | None) -> None:
    """Write what was asked for. Raises TransferError where that fails."""
    report = as_dict(result)
    texts: list[tuple[Path, str]] = []
    if html is not None:
        texts.append((html, html_page(report)))
    if manifest is not None:
        texts.append((manifest, json_text(make_manifest(report))))
    for path, text in texts:
        try:
            write_private(path, text)
        except OSError as error:
            raise TransferError(f"{path} cannot be written: {error.strerror}.") from error


def keep_report(alias: str, result: VerifyResult) -> None:
    """Record what the HTML page is made of with the run, for the console.

    The findings are recorded there already, the first of them; fingerprints of key ranges are left
    out. What jsonb cannot hold (U+0000, half of a surrogate pair) is spelled out.
    """
    report = as_dict(result)
    report["findings"] = []
    for table in report["tables"]:
        del table["ranges"]
    assert result.run_id is not None
    run = Run.objects.using(alias).get(pk=result.run_id)
    run.summary["report"] = _storable(json.loads(json_text(report)))
    run.save(using=alias, update_fields=["summary"])


def kept_page(run: Run) -> str | None:
    """The HTML page of a run whose report was kept, with the findings that were recorded."""
    report = run.summary.get("report")
    if report is None:
        return None
    return html_page({**report, "findings": run.summary.get("findings", [])})


def _storable(value: Any) -> Any:
    if isinstance(value, dict):
        return {in_one_line(name): _storable(member) for name, member in value.items()}
    if isinstance(value, list):
        return [_storable(member) for member in value]
    return in_one_line(value) if isinstance(value, str) else value


def html_page(report: dict[str, Any]) -> str:
    """The whole page for a report as `terminal.proof.as_dict` makes it."""
    counts = report["findings_by_kind"]
    helpful = advice(counts, states_of(report["files"]))
    context = {
        "report": report,
        "run": str(report["run"] or ""),
        "grids": [
            (title, heads, [list(map(_cell, row)) for row in rows])
            for title, heads, rows in _grids(report)
        ],
        "left_out": f"{left:,}" if (left := sum(counts.values()) - len(report["findings"])) else "",
        "helps": [f"{kinds}: {sentence}" for kinds, sentence in helpful],
    }
    return _TEMPLATES.get_template("transfer_proof.html").render(Context(context))


def _grids(report: dict[str, Any]) -> Iterable[Grid]:
    versions = ", ".join(f"{name} {number}" for name, number in report["versions"].items())
    done = [
        ("run", str(report["run"] or "")),
        ("finished", report["finished_at"]),
        ("level", report["level"]),
        ("what the level is worth", report["confidence"]),
        ("seconds", str(report["seconds"])),
        ("versions", versions),
    ]
    yield "What was done", ("", ""), [row for row in done if row[1]]
    files = [
        (name, file.get("path"), file.get("size"), file.get("sha256"))
        for name, file in report["files"].items()
    ]
    yield "Legacy files", ("file", "path", "bytes", "SHA-256 of snapshot"), files
    heads: tuple[str, ...] = (
        "target table",
        *(name.replace("_", " ") for name in _OF_TABLE),
        "rows/s",
    )
    tables = [
        (
            table["target"],
            *(table[name] for name in _OF_TABLE),
            round(table["legacy_rows"] / table["seconds"]) if table["seconds"] else 0,
        )
        for table in report["tables"]
    ]
    yield "Tables compared", heads, tables
    if back := [_back(table) for table in report["tables"] if table["round_trip"] is not None]:
        heads = ("target table", "cells", "findings", "JSON spelled otherwise (the same document)")
        yield "Round trip: legacy files rebuilt", heads, back
    yield _listed("Quarantine", report["quarantine"], ("table", "reason", "status", "rows"))
    names: tuple[str, ...] = ("file", "name", "rows", "fate", "target", "why", "who", "when")
    yield _listed("Inventory: everything that holds data", report["inventory"], names)
    total = sum(report["findings_by_kind"].values())
    names = ("kind", "where", "key", "expected", "found", "note")
    yield _listed(f"Findings: {total:,}", report["findings"], names)


def _back(table: dict[str, Any]) -> Sequence[Any]:
    back = table["round_trip"]
    spelled = ", ".join(f"{name} {n:,}" for name, n in back["spelled_otherwise"].items())
    same = "bit-identical" if not spelled and not back["findings"] else ""
    return table["target"], back["cells"], back["findings"], spelled or same


def _listed(title: str, lines: Sequence[dict[str, Any]], names: Sequence[str]) -> Grid:
    return title, names, [[line[name] for name in names] for line in lines]


def _cell(value: Any) -> tuple[str, bool]:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return f"{value:,}", True
    return "" if value is None else str(value), False


@or_json(lambda check: {**asdict(check), "exit_status": check.exit_status})
def render_manifest(console: Console, check: ManifestCheck) -> None:
    """What a later look at a manifest found."""
    say(console, "same", check.same, "green")
    say(console, "differs", check.differences, "red")
    console.print(f"The verdict then: {check.verdict}", soft_wrap=True)
    if check.status_then:
        console.print(marked("red", "It was not proven then", ": this manifest proves nothing."))
