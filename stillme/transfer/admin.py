"""The admin of the engine: runs and proofs to read, a panel on the rows of every target table.

The quarantine desk is in `console.desk`.
"""

from __future__ import annotations

import json
from typing import Any

from django.apps import apps
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.db.models.signals import post_migrate
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import path, reverse
from django.utils.html import format_html, format_html_join

from stillme.pages.figures import column
from stillme.pages.once import once
from stillme.pages.panels import add_panel
from stillme.transfer.console.desk.page import QuarantinedRowAdmin as QuarantinedRowAdmin
from stillme.transfer.console.findings_table import findings_table
from stillme.transfer.console.groups import make_after_migrations
from stillme.transfer.console.read_only import ReadOnlyAdmin
from stillme.transfer.console.row.side_by_side import legacy_html
from stillme.transfer.models import Proof, Run
from stillme.transfer.reports.proof_files import kept_page

LONGEST = 200_000

add_panel("legacy_row", "legacy row as stored", legacy_html)
# After accounts: `migrate` says nothing of this app where it carries a file's own content types.
post_migrate.connect(
    make_after_migrations, apps.get_app_config("auth"), dispatch_uid="staff groups"
)


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
    started = column(Run._meta.get_field("started_at"))
    ended = column(Run._meta.get_field("finished_at"))
    fields = ("command", "status", started, ended, "message", "details")
    readonly_fields = (started, ended, "details")

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

    made = column(Proof._meta.get_field("created_at"))
    list_display = (
        "id",
        "verdict",
        "level",
        column(Proof._meta.get_field("findings")),
        column(Proof._meta.get_field("created_at")),
    )
    fields = (
        "run",
        "said",
        "level",
        "exit_status",
        made,
        "findings_table",
        "report_text",
    )
    readonly_fields = ("said", made, "findings_table", "report_text")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Proof]:
        """Reports may be long: read for a single proof only."""
        rows: QuerySet[Proof] = super().get_queryset(request)
        return rows.defer("report")

    def get_urls(self) -> list[Any]:
        """Besides Django's: the report as a page of its own, to be printed or mailed."""
        page = self.admin_site.admin_view(self.report_page)
        return [path("<int:pk>/report/", page, name="transfer_proof_report"), *super().get_urls()]

    def report_page(self, request: HttpRequest, pk: int) -> HttpResponse:
        """What `verify_migration --html` writes, with the findings that were recorded."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        proof = Proof.objects.select_related("run").filter(pk=pk).first()
        page = None if proof is None else kept_page(proof.run)
        if page is None:
            raise Http404
        return HttpResponse(page)

    @admin.display(description="verdict")
    def said(self, proof: Proof) -> str:
        """As a banner, with the ways on: the report, and the rows that wait for a decision."""
        is_good = proof.exit_status == 0
        links = []
        if "report" in proof.run.summary:
            report = reverse("admin:transfer_proof_report", args=[proof.pk])
            links.append((report, "The report as a page"))
        if proof.report.get("open"):
            desk = reverse("admin:transfer_quarantinedrow_changelist")
            links.append((f"{desk}?status__exact=open", "Rows that wait for a decision"))
        return format_html(
            '<div class="console"><div class="card verdict"><p class="headline {}">{} {}</p>'
            "<p>{}</p></div></div>",
            "go" if is_good else "no-go" if proof.findings else "look",
            "✓" if is_good else "✗",
            proof.verdict,
            format_html_join(" · ", '<a href="{}">{}</a>', links),
        )

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
