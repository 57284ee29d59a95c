"""The admin of the engine: runs and proofs to read, and the desk for quarantined rows."""

from __future__ import annotations

import json
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.html import format_html, format_html_join
from unfold.admin import ModelAdmin
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextareaWidget

from stillme.transfer import quarantine
from stillme.transfer.admin_support import EstimatingPaginator
from stillme.transfer.errors import TransferError
from stillme.transfer.models import Proof, QuarantinedRow, Run
from stillme.transfer.raw_cells import show_cell, unpack_cell

# A bulk retry holds its request for as long as it takes; the rest waits for the next click.
BULK = 500
STORAGES = [(name, name) for name in ("text", "integer", "real", "null")]
DECISIONS = [("", "only save the cell"), ("retry", "retry"), ("accept", "accept as left out")]


class ReadOnlyAdmin(ModelAdmin):  # type: ignore[misc]
    """Records of the engine: nobody writes them by hand."""

    paginator = EstimatingPaginator
    show_full_result_count = False
    list_per_page = 50
    actions: Any = None

    def has_add_permission(self, request: HttpRequest) -> bool:
        """The engine writes them."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Never."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Never."""
        return False


@admin.register(Run)
class RunAdmin(ReadOnlyAdmin):
    """The history of runs."""

    list_display = ("id", "command", "status", "started_at", "finished_at")
    list_filter = ("status",)


@admin.register(Proof)
class ProofAdmin(ReadOnlyAdmin):
    """Verdicts with their reports."""

    list_display = ("id", "verdict", "level", "findings", "created_at")
    fields = ("run", "verdict", "level", "exit_status", "findings", "created_at", "report_text")
    readonly_fields = ("report_text",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Proof]:
        """Reports may be long: read for a single proof only."""
        rows: QuerySet[Proof] = super().get_queryset(request)
        return rows.defer("report")

    @admin.display(description="report")
    def report_text(self, proof: Proof) -> str:
        """Indented and foldable."""
        text = json.dumps(proof.report, indent=2, ensure_ascii=False)
        return format_html(
            "<details><summary>Show</summary><pre>{}</pre></details>", text[:200_000]
        )


class DeskForm(forms.ModelForm):  # type: ignore[type-arg]
    """Edit one cell, then decide."""

    cell = forms.ChoiceField(required=False, widget=UnfoldAdminSelectWidget)
    storage = forms.ChoiceField(choices=STORAGES, required=False, widget=UnfoldAdminSelectWidget)
    value = forms.CharField(required=False, strip=False, widget=UnfoldAdminTextareaWidget)
    decision = forms.ChoiceField(choices=DECISIONS, required=False, widget=UnfoldAdminSelectWidget)
    reason_given = forms.CharField(required=False, widget=UnfoldAdminTextareaWidget)

    class Meta:
        model = QuarantinedRow
        fields: tuple[str, ...] = ()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "cell" in self.fields:
            names = [(name, name) for name in self.instance.cells or {}]
            self.fields["cell"].choices = [("", "no cell"), *names]  # type: ignore[attr-defined]

    def clean(self) -> dict[str, Any]:
        """Accepting needs a reason."""
        given: dict[str, Any] = super().clean() or {}
        if given.get("decision") == "accept" and not given.get("reason_given", "").strip():
            self.add_error("reason_given", "Say why the row is left out.")
        return given


@admin.register(QuarantinedRow)
class QuarantinedRowAdmin(ReadOnlyAdmin):
    """The quarantine desk."""

    form = DeskForm
    list_display = ("id", "table", "key_start", "reason", "column", "sentence_start", "status")
    list_filter = ("status", "reason", "table")
    ordering = ("-id",)
    actions = ("retry_rows",)
    shown = ("table", "reason", "column", "sentence", "status", "raw_row", "note", "decided_by")
    asked = ("cell", "storage", "value", "decision", "reason_given")

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Operators may decide."""
        return request.user.has_perm("transfer.change_quarantinedrow")

    def get_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        """A viewer is asked nothing; nor is anybody about a row that is in the target."""
        return self.shown + self.asked if self._open(request, obj) else self.shown

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        """The record itself is never edited."""
        return self.shown

    def _open(self, request: HttpRequest, row: QuarantinedRow | None) -> bool:
        repaired = row is not None and row.status == QuarantinedRow.Status.REPAIRED
        return self.has_change_permission(request) and not repaired

    @admin.display(description="key")
    def key_start(self, row: QuarantinedRow) -> str:
        """A legacy key may be long."""
        return (row.key or "")[:60]

    @admin.display(description="what is wrong")
    def sentence_start(self, row: QuarantinedRow) -> str:
        """One sentence, clipped."""
        return row.sentence[:160]

    @admin.display(description="row as stored")
    def raw_row(self, row: QuarantinedRow) -> str:
        """Cell by cell with storage class; an edit beside its original."""
        lines = []
        for name, packed in row.cells.items():
            edit = row.repairs.get(name)
            shown = f" → {show_cell(*unpack_cell(edit), width=300)}" if edit else ""
            text = show_cell(*unpack_cell(packed), width=300)
            lines.append((name, packed[0], text, shown))
        cells = format_html_join("", "<li><b>{}</b> <i>{}</i> <code>{}</code>{}</li>", lines)
        return format_html("<ul>{}</ul>", cells)

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        """Edit, then retry or accept; the outcome is said at once."""
        if not self._open(request, obj):
            return
        given, who = form.cleaned_data, request.user.get_username()
        try:
            if given.get("cell"):
                storage = given["storage"]
                quarantine.edit("default", obj, given["cell"], given["value"], storage)
            if given.get("decision") == "accept":
                quarantine.accept("default", [obj], given["reason_given"], who)
            elif given.get("decision") == "retry":
                self._tell(request, quarantine.retry("default", [obj], who))
        except TransferError as error:
            self.message_user(request, str(error), messages.ERROR)

    @admin.action(description="Retry", permissions=["change"])
    def retry_rows(self, request: HttpRequest, rows: QuerySet[QuarantinedRow]) -> None:
        """Retry what is selected, at most `BULK` rows at a time."""
        batch = list(rows.filter(status=QuarantinedRow.Status.OPEN)[:BULK])
        try:
            self._tell(request, quarantine.retry("default", batch, request.user.get_username()))
        except TransferError as error:
            self.message_user(request, str(error), messages.ERROR)

    def _tell(self, request: HttpRequest, outcome: quarantine.Retried) -> None:
        self.message_user(request, f"{len(outcome.loaded)} loaded, {len(outcome.still)} set aside.")
        for key, sentence in outcome.still[:5]:
            self.message_user(request, f"Row {key}: {sentence}"[:300], messages.WARNING)
