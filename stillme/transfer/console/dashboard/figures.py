"""What the dashboard shows, as plain data; every query is limited, none writes."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.db import connections
from django.utils import timezone

from stillme.transfer.console.dashboard.progress import duration, progress
from stillme.transfer.console.dashboard.states import dead_follower, state_of, steps
from stillme.transfer.console.dashboard.storage import storage
from stillme.transfer.inventory.stores import Store, stores
from stillme.transfer.models import QuarantinedRow, Run
from stillme.transfer.quarantine.reasons import in_words
from stillme.transfer.records.proofs import Standing, files_to_prove, standing_proof
from stillme.transfer.records.totals import Totals, added_up, table_totals
from stillme.transfer.steps.status import FileStatus, StoreStatus, overview
from stillme.transfer.steps.syncing.lag_history import lag_plot

REASONS = 20
RUNS = 15
TABLES = 100
# Of the rows in quarantine as many are counted; one of the reasons may be that of a whole table.
COUNTED = 100_000
_SET_ASIDE = """
SELECT file, "table", reason, status, count(*)
FROM (SELECT file, "table", reason, status FROM transfer.quarantined_row LIMIT %s) counted
GROUP BY 1, 2, 3, 4 ORDER BY status = 'accepted', 5 DESC, 1, 2, 3
"""
_MARKS = {"completed": "✓", "failed": "✗", "running": "…"}


def live_figures(alias: str) -> dict[str, Any]:
    """What the page's script asks again and again: a handful of queries, no legacy file read."""
    return {
        "progress": progress(alias),
        "lag": lag_plot(alias),
        "dead": dead_follower(alias),
    }


def page_figures(alias: str) -> dict[str, Any]:
    """Everything the page shows at once."""
    found = overview(alias, COUNTED)
    tables = table_totals(alias, COUNTED)
    return {
        "files": [_file(status) for status in found.files],
        "stores": [_store(*pair) for pair in zip(stores(), found.stores, strict=True)],
        "overview": found,
        "now": timezone.now(),
        "moved": _moved(tables),
        "quarantine": _set_aside(alias, tables),
        "proof": _proof(alias),
        "runs": _runs(alias),
        "storage": storage(alias),
        **live_figures(alias),
    }


def _file(status: FileStatus) -> dict[str, Any]:
    before, command, after = split_command(status.next_step)
    word, meaning = state_of(status)
    as_of = datetime.fromisoformat(status.as_of) if status.as_of else None
    return {
        "status": status,
        "open": _up_to(status.quarantine_open),
        "written": _up_to(status.written_since_cutover),
        "steps": steps(status.state),
        "word": word,
        "meaning": meaning,
        "as_of": as_of,
        "before": before,
        "command": command,
        "after": after,
    }


def _up_to(number: int) -> str:
    """A count that was not carried on beyond `COUNTED`."""
    return f"{number:,} or more" if number >= COUNTED else f"{number:,}"


def _store(store: Store, status: StoreStatus) -> dict[str, Any]:
    """A store has no states: it is moved whole, with its writers stopped."""
    return {
        "name": store.name,
        "path": store.path(),
        "present": store.is_present(),
        "moved": bool(status.tables),
        "loaded": status.loaded,
        "repaired": status.repaired,
        "open": status.quarantine_open,
        "problem": status.problem,
    }


def split_command(sentence: str) -> tuple[str, str, str]:
    """What is before, in and after the command that a sentence names."""
    start = sentence.find("manage.py")
    if start < 0:
        return sentence, "", ""
    end = sentence.find(" (", start)
    end = len(sentence) if end < 0 else end
    return sentence[:start], sentence[start:end], sentence[end:]


def _moved(tables: list[Totals]) -> dict[str, Any] | None:
    """What became of every legacy row of each table's last import; set aside is as of now.

    The totals are the sums of the lines, so that they agree with them. A table that no import
    names has a line if rows of it are set aside.
    """
    if not any(table.as_of for table in tables):
        return None
    found = [table for table in tables if table.as_of or table.set_aside][:TABLES]
    # A quarantine beyond what a page counts: as the import left it.
    now = added_up(tables)
    beyond = now.set_aside + now.mended >= COUNTED
    lines = [_line(table, table.quarantined if beyond else table.set_aside) for table in found]
    names = ("legacy_rows", "loaded", "repaired", "aside")
    totals = {name: sum(line[name] for line in lines) for name in names}
    whole = added_up(found)
    return {
        "tables": lines,
        **totals,
        "in_target": max(0, totals["legacy_rows"] - totals["aside"]),
        "as_of": whole.as_of,
        "accounted": whole.accounted,
        "aside_as_of": "as the import left it" if beyond else "as of now",
    }


def _line(table: Totals, aside: int) -> dict[str, Any]:
    """Legacy rows are those in the target and those set aside."""
    return {
        "table": table.table,
        "legacy_rows": table.legacy_rows,
        "loaded": table.loaded,
        "repaired": table.repaired,
        "aside": aside,
        "in_target": max(0, table.legacy_rows - aside),
        "target": table.target,
        "as_of": table.as_of,
    }


def _set_aside(alias: str, tables: list[Totals]) -> dict[str, Any]:
    """Which rows are not in the target and why, and what was decided about them."""
    with connections[alias].cursor() as cursor:
        cursor.execute(_SET_ASIDE, [COUNTED])
        found = cursor.fetchall()
    whole = added_up(tables)
    decided = {"open": whole.open, "accepted": whole.accepted, "repaired": whole.mended}
    left_out = [line for line in found if line[3] != QuarantinedRow.Status.REPAIRED]
    names = ("file", "table", "reason", "status", "rows")
    lines = [dict(zip(names, line, strict=True)) for line in left_out[:REASONS]]
    return {
        "lines": [{**line, "words": in_words(line["reason"])} for line in lines],
        "decided": decided,
        "more": len(left_out) - len(lines),
        "only_first": COUNTED if sum(line[4] for line in found) == COUNTED else 0,
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
