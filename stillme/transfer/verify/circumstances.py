"""When and with which versions a proof was made, and what was in quarantine, for the report."""

from __future__ import annotations

import platform
import sqlite3

import django
import psycopg
from django.db.models import Count
from django.utils import timezone

from stillme.transfer.models import QuarantinedRow
from stillme.transfer.verify.result import VerifyResult
from stillme.transfer.verify.sides.target_table import select


def describe(alias: str, result: VerifyResult) -> None:
    """Set the end, the versions and the quarantine by reason in `result`."""
    result.finished_at = timezone.now().isoformat(timespec="seconds")
    result.versions = {
        "python": platform.python_version(),
        "django": django.get_version(),
        "psycopg": psycopg.__version__,
        "sqlite": sqlite3.sqlite_version,
        "postgresql": str(select(alias, "SHOW server_version")[0][0]),
    }
    rows = QuarantinedRow.objects.using(alias).order_by("file", "table", "reason", "status")
    counted = rows.values("file", "table", "reason", "status").annotate(rows=Count("pk"))
    judged = {(table.file, table.table) for table in result.tables}
    result.quarantine = [dict(line) for line in counted if (line["file"], line["table"]) in judged]
