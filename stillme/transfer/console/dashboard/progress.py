"""How far the running import is: rows, rate, time left. Cheap enough to be asked every seconds."""

from __future__ import annotations

from typing import Any

from django.db.models import Sum
from django.utils import timezone

from stillme.transfer.models import Chunk, Run, RunTable
from stillme.transfer.postgresql.locks import is_held
from stillme.visible import counted

NOT_STARTED = "not started"
BROKEN_OFF = "broken off"


def progress(alias: str) -> dict[str, Any]:
    """Of the newest import; `state` is not started, running, broken off, completed or failed."""
    imports = Run.objects.using(alias).filter(command="import_sqlite")
    run = imports.order_by("-id").first()
    if run is None:
        return {"state": NOT_STARTED, "said": "No import was started yet."}
    if run.status != Run.Status.RUNNING:
        return {"state": run.status, "run": run.pk, "said": _ended(run)}
    if not is_held(alias):
        # The lock ends with its process; the record of a killed one still says running.
        said = (
            "The import was broken off; what was committed stays. manage.py import_sqlite goes on."
        )
        return {"state": BROKEN_OFF, "run": run.pk, "said": said}
    return _running(alias, run)


def _ended(run: Run) -> str:
    if run.status == Run.Status.COMPLETED:
        return "No import is running; the last one completed."
    return f"No import is running; the last one failed. {run.message}".strip()


def _running(alias: str, run: Run) -> dict[str, Any]:
    total = sum(run.summary.get("planned", {}).values())
    done = _rows_done(alias, run)
    seconds = max((timezone.now() - run.started_at).total_seconds(), 0.001)
    rate = done / seconds
    left = round((total - done) / rate) if done and total > done else None
    return {
        "state": "running",
        "run": run.pk,
        "rows": done,
        "total": total,
        "rate": round(rate),
        "seconds": round(seconds),
        "seconds_left": left,
        "said": _said(done, total, rate, left),
    }


def _rows_done(alias: str, run: Run) -> int:
    """Rows of finished tables, and of the committed chunks of the others.

    A chunk that had not changed keeps the record of an earlier run: its rows count when its
    table is finished.
    """
    chunks = Chunk.objects.using(alias).filter(run=run).values_list("file", "table")
    counted = chunks.annotate(rows=Sum("legacy_rows"))
    done = {(file, table): int(rows) for file, table, rows in counted}
    finished = RunTable.objects.using(alias).filter(run=run)
    found = finished.values_list("file", "table", "legacy_rows")
    done |= {(file, table): rows for file, table, rows in found}
    return sum(done.values())


def _said(done: int, total: int, rate: float, left: int | None) -> str:
    if not total:
        return "Taking snapshots of the files."
    said = f"{done:,} of {counted(total, 'row')}, {rate:,.0f} rows/s"
    if done >= total:
        return f"{said}; finishing: indexes, sequences."
    return said if left is None else f"{said}, {duration(left)} left"


def duration(seconds: float) -> str:
    """``75`` -> ``1 min 15 s``."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours < 48 else f"{hours // 24} days"
