"""The proof as one self-contained HTML page: to be filed away, printed, mailed; it loads nothing.

Made from the same plain data as the JSON report, so the two cannot disagree.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import Any

from stillme.transfer.reports.advice import advice, states_of

_STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; margin: 2rem auto; max-width: 72rem; padding: 0 1rem;
       color: #1c2430; background: #fff }
h1 { font-size: 1.5rem } h2 { font-size: 1.1rem; margin-top: 2rem }
table { border-collapse: collapse; width: 100%; font-size: .9rem }
th, td { text-align: left; padding: .3rem .6rem; border-bottom: 1px solid #d8dde5;
         overflow-wrap: anywhere; vertical-align: top }
th { background: #f3f5f8 } .n { text-align: right; font-variant-numeric: tabular-nums }
.verdict { padding: .8rem 1rem; border-left: .5rem solid; font-size: 1.1rem }
.good { border-color: #1a7f37; background: #eaf6ec } .bad { border-color: #b42318;
  background: #fdecea } code { font-size: .85em }
"""


def html_page(report: dict[str, Any]) -> str:
    """The whole page for a report as `terminal_verify.as_dict` makes it."""
    good = "good" if report["exit_status"] == 0 else "bad"
    parts = [
        "<!doctype html><html lang='en'><head><meta charset='utf-8'>",
        "<meta name='viewport' content='width=device-width'>",
        f"<title>Verification {_text(report['run'])}</title><style>{_STYLE}</style></head><body>",
        "<h1>Legacy files against PostgreSQL</h1>",
        f"<p class='verdict {good}'>{_text(report['verdict'])}</p>",
        _circumstances(report),
        _files(report["files"]),
        _tables(report["tables"]),
        _round_trip(report["tables"]),
        _quarantine(report["quarantine"]),
        _inventory(report["inventory"]),
        _findings(report),
        _section("Notices", _list(report["notices"])),
        "</body></html>\n",
    ]
    return "".join(parts)


def _text(value: Any) -> str:
    return escape("" if value is None else str(value))


def _section(title: str, body: str) -> str:
    return f"<h2>{escape(title)}</h2>{body}"


def _list(lines: Sequence[str]) -> str:
    if not lines:
        return "<p>None.</p>"
    return "<ul>" + "".join(f"<li>{_text(line)}</li>" for line in lines) + "</ul>"


def _grid(heads: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    body = "".join(f"<tr>{''.join(map(_cell, row))}</tr>" for row in rows)
    if not body:
        return "<p>None.</p>"
    head = "".join(f"<th>{escape(name)}</th>" for name in heads)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _cell(value: Any) -> str:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return f"<td class='n'>{value:,}</td>"
    return f"<td>{_text(value)}</td>"


def _circumstances(report: dict[str, Any]) -> str:
    versions = ", ".join(f"{name} {number}" for name, number in report["versions"].items())
    rows = [
        ("run", _text(report["run"])),
        ("finished", report["finished_at"]),
        ("level", report["level"]),
        ("what the level is worth", report["confidence"]),
        ("seconds", str(report["seconds"])),
        ("versions", versions),
    ]
    return _section("What was done", _grid(("", ""), rows))


def _files(files: dict[str, dict[str, Any]]) -> str:
    rows = [
        (name, file.get("path"), file.get("size"), file.get("sha256"))
        for name, file in files.items()
    ]
    return _section("Legacy files", _grid(("file", "path", "bytes", "SHA-256 of snapshot"), rows))


def _tables(tables: Sequence[dict[str, Any]]) -> str:
    names = (
        "legacy_rows", "target_rows", "repaired", "mended", "written_since", "undecided",
        "accepted", "cells", "findings",
    )  # fmt: skip
    heads = ("target table", *(name.replace("_", " ") for name in names), "rows/s")
    rows = [
        (
            table["target"],
            *(table[name] for name in names),
            round(table["legacy_rows"] / table["seconds"]) if table["seconds"] else 0,
        )
        for table in tables
    ]
    return _section("Tables compared", _grid(heads, rows))


def _round_trip(tables: Sequence[dict[str, Any]]) -> str:
    rows = []
    for table in tables:
        back = table["round_trip"]
        if back is None:
            continue
        spelled = ", ".join(f"{name} {n:,}" for name, n in back["spelled_otherwise"].items())
        same = "bit-identical" if not spelled and not back["findings"] else ""
        rows.append((table["target"], back["cells"], back["findings"], spelled or same))
    if not rows:
        return ""
    heads = ("target table", "cells", "findings", "JSON spelled otherwise (the same document)")
    return _section("Round trip: legacy files rebuilt", _grid(heads, rows))


def _quarantine(rows: Sequence[dict[str, Any]]) -> str:
    names = ("table", "reason", "status", "rows")
    return _section("Quarantine", _grid(names, ([row[name] for name in names] for row in rows)))


def _inventory(lines: Sequence[dict[str, Any]]) -> str:
    names = ("file", "name", "rows", "fate", "target", "why", "who", "when")
    rows = ([line[name] for name in names] for line in lines)
    return _section("Inventory: everything that holds data", _grid(names, rows))


def _findings(report: dict[str, Any]) -> str:
    names = ("kind", "where", "key", "expected", "found", "note")
    found = report["findings"]
    total = sum(report["findings_by_kind"].values())
    more = "" if total == len(found) else f"<p>{total - len(found):,} more are counted.</p>"
    rows = ([finding[name] for name in names] for finding in found)
    helpful = advice(report["findings_by_kind"], states_of(report["files"]))
    helps = [f"{kinds}: {sentence}" for kinds, sentence in helpful]
    what_helps = f"<p>What helps:</p>{_list(helps)}" if helps else ""
    return _section(f"Findings: {total:,}", _grid(names, rows) + more + what_helps)
