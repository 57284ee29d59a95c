"""What the dashboard shows, as plain data; every query is limited."""

from __future__ import annotations

from typing import Any

from django.db.models import Count, Sum
from django.db.models.functions import Coalesce
from django.utils import timezone

from stillme.transfer.models import Chunk, Proof, QuarantinedRow, Run, RunTable
from stillme.transfer.steps.status import overview

NOT_STARTED = "not started"


def figures(alias: str) -> dict[str, Any]:
    """Files, the running import, quarantine by reason, the last proof and runs."""
    return {
        "overview": overview(alias).as_dict(),
        "progress": progress(alias),
        "quarantine": _quarantine(alias),
        "proof": _proof(alias),
        "runs": _runs(alias),
    }


def progress(alias: str) -> dict[str, Any]:
    """Rows done, rate and time left of the import that runs now."""
    imports = Run.objects.using(alias).filter(command__startswith="import")
    run = imports.filter(status=Run.Status.RUNNING).order_by("-id").first()
    if run is None:
        return {"state": "no import is running" if imports.exists() else NOT_STARTED}
    written = Chunk.objects.using(alias).filter(run=run)
    done = written.aggregate(rows=Coalesce(Sum("legacy_rows"), 0))["rows"]
    known = RunTable.objects.using(alias).filter(run=run)
    total = known.aggregate(rows=Coalesce(Sum("legacy_rows"), 0))["rows"]
    seconds = max((timezone.now() - run.started_at).total_seconds(), 0.001)
    rate = done / seconds
    left = round((total - done) / rate) if rate and total > done else None
    return {
        "state": "running",
        "run": run.pk,
        "rows": done,
        "total": total,
        "rate": round(rate),
        "seconds_left": left,
    }


def _quarantine(alias: str) -> list[dict[str, Any]]:
    rows = QuarantinedRow.objects.using(alias).filter(status=QuarantinedRow.Status.OPEN)
    counted = rows.values("reason").annotate(rows=Count("id")).order_by("-rows")[:20]
    return [dict(line) for line in counted]


def _proof(alias: str) -> dict[str, Any] | None:
    proof = Proof.objects.using(alias).defer("report").order_by("-id").first()
    if proof is None:
        return None
    minutes = int((timezone.now() - proof.created_at).total_seconds() // 60)
    return {
        "id": proof.pk,
        "verdict": proof.verdict,
        "level": proof.level,
        "findings": proof.findings,
        "age_minutes": minutes,
    }


def _runs(alias: str) -> list[dict[str, Any]]:
    names = ("id", "command", "status", "started_at", "finished_at")
    found = Run.objects.using(alias).order_by("-id").values(*names)[:15]
    return [dict(line) for line in found]
