"""The admin of the engine: runs and proofs to read, a panel on the rows of every target table.

The quarantine desk is in `console.desk`.
"""

from __future__ import annotations

import json
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.html import format_html

from stillme.pages.figures import column
from stillme.pages.once import once
from stillme.pages.panels import add_panel
from stillme.transfer.console.desk.page import QuarantinedRowAdmin as QuarantinedRowAdmin
from stillme.transfer.console.findings_table import findings_table
from stillme.transfer.console.read_only import ReadOnlyAdmin
from stillme.transfer.console.row.legacy_panel import legacy_html
from stillme.transfer.models import Proof, Run

LONGEST = 200_000

add_panel("legacy_row", "legacy row as stored", legacy_html)


@admin.register(Run)
class RunAdmin(ReadOnlyAdmin):
    """The history of runs."""

    list_display = (
        "id",
        "command",
        "status",
        column(Run._meta.get_field("started_at")),
        column(Run._meta.get_field("finished_at")),
    )
    list_filter = ("status",)
    fields = ("command", "status", "started_at", "finished_at", "message", "details")
    readonly_fields = ("details",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Run]:
        """What a run keeps besides is read for a single run only."""
        rows: QuerySet[Run] = super().get_queryset(request)
        return rows.defer("options", "versions", "summary")

    @admin.display(description="options, versions, summary")
    def details(self, run: Run) -> str:
        """Indented and foldable."""
        return folded({"options": run.options, "versions": run.versions, "summary": run.summary})


@admin.register(Proof)
class ProofAdmin(ReadOnlyAdmin):
    """Verdicts with their reports."""

    list_display = (
        "id",
        "verdict",
        "level",
        column(Proof._meta.get_field("findings")),
        column(Proof._meta.get_field("created_at")),
    )
    fields = (
        "run",
        "verdict",
        "level",
        "exit_status",
        "created_at",
        "findings_table",
        "report_text",
    )
    readonly_fields = ("findings_table", "report_text")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Proof]:
        """Reports may be long: read for a single proof only."""
        rows: QuerySet[Proof] = super().get_queryset(request)
        return rows.defer("report")

    @admin.display(description="findings")
    def findings_table(self, proof: Proof) -> str:
        """Each with the way to its row."""
        shown: str = once(proof, "findings", lambda: findings_table(proof))
        return shown

    @admin.display(description="report")
    def report_text(self, proof: Proof) -> str:
        """Indented and foldable."""
        return folded(proof.report)


def folded(value: Any) -> str:
    """JSON behind a click, its beginning where it is long."""
    text = json.dumps(value, indent=2, ensure_ascii=False)
    return format_html(
        '<details class="console"><summary>Show</summary><pre tabindex="0">{}</pre></details>',
        text[:LONGEST],
    )
