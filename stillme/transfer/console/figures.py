"""What the dashboard shows, as plain data; every query is limited, none writes."""

from __future__ import annotations

from typing import Any

from django.db import connections
from django.utils import timezone

from stillme.transfer.console.progress import duration, progress
from stillme.transfer.console.storage import storage
from stillme.transfer.models import QuarantinedRow, Run, RunTable
from stillme.transfer.proofs import Standing, files_to_prove, standing_proof
from stillme.transfer.reasons import in_words
from stillme.transfer.steps.status import FileStatus, overview
from stillme.transfer.steps.syncing.lag_history import lag_plot
from stillme.transfer.stores import Store, stores

REASONS = 20
RUNS = 15
TABLES = 100
# Of the rows in quarantine as many are counted; one of the reasons may be that of a whole table.
COUNTED = 100_000
_SET_ASIDE = """
SELECT "table", reason, status, count(*)
FROM (SELECT "table", reason, status FROM transfer.quarantined_row LIMIT %s) counted
GROUP BY 1, 2, 3 ORDER BY status = 'accepted', 4 DESC, 1, 2
"""
STATES = [
    ("absent", "no capture installed; a file that is still written needs it to be followed"),
    ("captured", "writes are captured"),
    ("loaded", "rows are loaded"),
    ("following", "writes are replayed"),
    ("live", "PostgreSQL is in charge"),
    ("rolled back", "the file is in charge again"),
]
_MARKS = {"completed": "✓", "failed": "✗", "running": "…"}


def live_figures(alias: str) -> dict[str, Any]:
    """What the page's script asks again and again: a handful of queries, no legacy file read."""
    return {
        "progress": progress(alias),
        "lag": lag_plot(alias),
    }


def page_figures(alias: str) -> dict[str, Any]:
    """Everything the page shows at once."""
    found = overview(alias, COUNTED)
    return {
        "files": [_file(status) for status in found.files],
        "stores": [_store(alias, store) for store in stores()],
        "overview": found,
        "moved": _moved(alias),
        "quarantine": _set_aside(alias),
        "proof": _proof(alias),
        "runs": _runs(alias),
        "storage": storage(alias),
        **live_figures(alias),
    }


def _file(status: FileStatus) -> dict[str, Any]:
    before, command, after = split_command(status.next_step)
    return {
        "status": status,
        "open": _up_to(status.quarantine_open),
        "written": _up_to(status.written_since_cutover),
        "steps": _steps(status.state),
        "before": before,
        "command": command,
        "after": after,
    }


def _up_to(number: int) -> str:
    """A count that was not carried on beyond `COUNTED`."""
    return f"{number:,} or more" if number >= COUNTED else f"{number:,}"


def _store(alias: str, store: Store) -> dict[str, Any]:
    """A store has no states: it is moved whole, with its writers stopped."""
    tables = RunTable.objects.using(alias).filter(file=store.name)
    last = tables.order_by("-run_id").values_list("run_id", flat=True).first()
    found = list(tables.filter(run_id=last)[:TABLES]) if last else []
    rows = QuarantinedRow.objects.using(alias).filter(file=store.name)
    return {
        "name": store.name,
        "path": store.path(),
        "present": store.is_present(),
        "moved": bool(found),
        "loaded": sum(table.loaded for table in found),
        "repaired": sum(table.repaired for table in found),
        "open": rows.filter(status=QuarantinedRow.Status.OPEN)[:COUNTED].count(),
    }


def _steps(present: str) -> list[dict[str, Any]]:
    at = [name for name, _ in STATES].index(present)
    return [
        {"name": name, "meaning": meaning, "now": place == at, "done": 0 < place < at}
        for place, (name, meaning) in enumerate(STATES)
    ]


def split_command(sentence: str) -> tuple[str, str, str]:
    """What is before, in and after the command that a sentence names."""
    start = sentence.find("manage.py")
    if start < 0:
        return sentence, "", ""
    end = sentence.find(" (", start)
    end = len(sentence) if end < 0 else end
    return sentence[:start], sentence[start:end], sentence[end:]


def _moved(alias: str) -> dict[str, Any] | None:
    """What became of every legacy row, by the last import that finished each table."""
    tables = (
        RunTable.objects.using(alias)
        .filter(run__command="import_sqlite")
        .order_by("table", "-run_id")
        .distinct("table")[:TABLES]
    )
    names = ("legacy_rows", "loaded", "repaired", "quarantined")
    found = list(tables)
    if not found:
        return None
    sums = {name: sum(getattr(table, name) for table in found) for name in names}
    accounted = sums["legacy_rows"] == sums["loaded"] + sums["repaired"] + sums["quarantined"]
    in_target = sums["loaded"] + sums["repaired"]
    return {"tables": found, **sums, "in_target": in_target, "accounted": accounted}


def _set_aside(alias: str) -> dict[str, Any]:
    """Which rows are not in the target and why, and what was decided about them."""
    with connections[alias].cursor() as cursor:
        cursor.execute(_SET_ASIDE, [COUNTED])
        found = cursor.fetchall()
    decided = dict.fromkeys(QuarantinedRow.Status.values, 0)
    for *_, status, rows in found:
        decided[status] += rows
    left_out = [line for line in found if line[2] != QuarantinedRow.Status.REPAIRED]
    names = ("table", "reason", "status", "rows")
    lines = [dict(zip(names, line, strict=True)) for line in left_out[:REASONS]]
    return {
        "lines": [{**line, "words": in_words(line["reason"])} for line in lines],
        "decided": decided,
        "more": len(left_out) - len(lines),
        "only_first": COUNTED if sum(decided.values()) == COUNTED else 0,
    }


def _proof(alias: str) -> dict[str, Any] | None:
    standing = standing_proof(alias, files_to_prove(alias))
    proof = standing.proof
    if proof is None:
        return None
    return {
        "why": standing.why,
        "id": proof.pk,
        "verdict": proof.verdict,
        "level": proof.level,
        "findings": proof.findings,
        "as_of": proof.run.started_at,
        "age": duration((timezone.now() - proof.run.started_at).total_seconds()),
        "exit_status": proof.exit_status,
        "look": _colour(standing),
    }


def _colour(standing: Standing) -> str:
    """Status 1 without a finding is rows in quarantine that nobody has decided about."""
    if standing.is_proven:
        return "go"
    assert standing.proof is not None
    return "no-go" if standing.proof.findings else "look"


def _runs(alias: str) -> list[dict[str, Any]]:
    names = ("id", "command", "status", "started_at", "finished_at", "message")
    found = Run.objects.using(alias).order_by("-id").values(*names)[:RUNS]
    return [{**run, "mark": _MARKS[run["status"]], "took": _took(run)} for run in found]


def _took(run: dict[str, Any]) -> str:
    if run["finished_at"] is None:
        return ""
    return duration((run["finished_at"] - run["started_at"]).total_seconds())
