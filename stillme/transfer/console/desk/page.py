"""The quarantine desk: look at a row as stored, mend a cell, retry, or accept with a reason."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import F, QuerySet
from django.db.models.functions import Left
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import path, reverse
from django.utils.html import format_html
from django.utils.http import urlencode

from stillme.pages.figures import column
from stillme.pages.lists.frequent import FrequentValuesFilter
from stillme.pages.once import once
from stillme.transfer.console.desk.bulk import accept_page, put_through, retry_one
from stillme.transfer.console.desk.form import DeskForm
from stillme.transfer.console.desk.nul import repair, repair_page
from stillme.transfer.console.desk.open_first import OpenFirst
from stillme.transfer.console.desk.row import stored_row
from stillme.transfer.console.read_only import ReadOnlyAdmin
from stillme.transfer.errors import TransferError
from stillme.transfer.models import QuarantinedRow
from stillme.transfer.plumbing.stored_cells import cell_bytes, unpack_anything
from stillme.transfer.quarantine import decisions
from stillme.transfer.quarantine.reasons import in_words

Status = QuarantinedRow.Status
_MARKS = {Status.OPEN: "✗ open", Status.REPAIRED: "✓ repaired", Status.ACCEPTED: "– accepted"}
# Of a text that a list shows, the beginning is cut off by the database.
KEY, SENTENCE = 60, 1000
WHOLE = 4000


@admin.register(QuarantinedRow)
class QuarantinedRowAdmin(ReadOnlyAdmin):
    """Who may change quarantined rows decides, who may view them looks."""

    form = DeskForm
    list_display = (
        "id",
        "file",
        column(QuarantinedRow._meta.get_field("table")),
        "key_start",
        "reason",
        column(QuarantinedRow._meta.get_field("column")),
        "sentence_start",
        "state",
    )
    list_filter = (
        "status",
        ("reason", FrequentValuesFilter),
        ("file", FrequentValuesFilter),
        ("table", FrequentValuesFilter),
    )
    search_fields = ("key__exact",)
    search_help_text = "A legacy key, exactly"
    ordering = ("-id",)
    actions = ("retry_rows", "replace_nul", "accept_rows")
    shown = (
        "file",
        "table",
        "key_start",
        "reason_words",
        "wrong",
        "state",
        "raw_row",
        "decided",
        "same_fault",
    )
    asked = ("cell", "storage", "value", "came_with", "decision", "reason_given")

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Operators may decide."""
        return request.user.has_perm("transfer.change_quarantinedrow")

    def get_queryset(self, request: HttpRequest) -> QuerySet[QuarantinedRow]:
        """A list reads no cells, which may be as long as a document."""
        rows: QuerySet[QuarantinedRow] = super().get_queryset(request)
        match = request.resolver_match
        if match is None or not str(match.url_name).endswith("_changelist"):
            return rows
        cut = {"_key": Left(F("key"), KEY + 1), "_sentence": Left(F("sentence"), SENTENCE + 1)}
        return rows.annotate(**cut).defer("cells", "repairs", "key", "sentence", "note")

    def get_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        """A viewer is asked nothing; nor is anybody about a row that is in the target."""
        return self.shown + self.asked if self._open(request, obj) else self.shown

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        """The record itself is never edited."""
        return self.shown

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[OpenFirst]:
        """What waits for a decision comes first."""
        return OpenFirst

    def get_form(
        self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any
    ) -> type[DeskForm]:
        """The form comes with the content of the cell that the address names."""
        form: type[DeskForm] = super().get_form(request, obj, change=change, **kwargs)
        form.chosen = request.GET.get("cell", "")
        return form

    def get_urls(self) -> list[Any]:
        """Beside Django's pages: the bytes of a cell."""
        cell = self.admin_site.admin_view(self.cell_view)
        name = "transfer_quarantinedrow_cell"
        return [path("<int:pk>/cell/", cell, name=name), *super().get_urls()]

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> Any:
        """Who may only look posts nothing."""
        if request.method == "POST" and not self.has_change_permission(request):
            raise PermissionDenied
        return super().changelist_view(request, extra_context)

    def changeform_view(
        self, request: HttpRequest, object_id: Any = None, form_url: str = "", extra: Any = None
    ) -> Any:
        """One button: a decision leads back to its row in any case."""
        shown = {**(extra or {}), "show_save_and_continue": False}
        return super().changeform_view(request, object_id, form_url, shown)

    def cell_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """All bytes of a text or blob as the legacy file holds them, to be saved."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        row = QuarantinedRow.objects.filter(pk=pk).first()
        packed = row.cells.get(request.GET.get("column", "")) if row else None
        kept = cell_bytes(*unpack_anything(packed)) if packed else None
        if kept is None:
            raise Http404
        answer = HttpResponse(kept, content_type="application/octet-stream")
        answer["Content-Disposition"] = f'attachment; filename="row-{pk}.bin"'
        answer["X-Content-Type-Options"] = "nosniff"
        return answer

    def _open(self, request: HttpRequest, row: QuarantinedRow | None) -> bool:
        repaired = row is not None and row.status == Status.REPAIRED
        return self.has_change_permission(request) and not repaired

    @admin.display(description="key")
    def key_start(self, row: QuarantinedRow) -> str:
        """A legacy key may be long."""
        key = (row._key if hasattr(row, "_key") else row.key) or ""
        return key if len(key) <= KEY else f"{key[:KEY]}…"

    @admin.display(description="what is wrong")
    def sentence_start(self, row: QuarantinedRow) -> str:
        """One sentence, clipped."""
        said: str = row._sentence if hasattr(row, "_sentence") else row.sentence
        return said if len(said) <= SENTENCE else f"{said[:SENTENCE]}…"

    @admin.display(description="reason")
    def reason_words(self, row: QuarantinedRow) -> str:
        """In words, with the code that commands and filters take."""
        return f"{in_words(row.reason)} ({row.reason})"

    @admin.display(description="what is wrong")
    def wrong(self, row: QuarantinedRow) -> str:
        """The sentence, whole as long as it is one."""
        return row.sentence if len(row.sentence) <= WHOLE else f"{row.sentence[:WHOLE]}…"

    @admin.display(description="status", ordering="status")
    def state(self, row: QuarantinedRow) -> str:
        """A mark and a word."""
        return _MARKS[Status(row.status)]

    @admin.display(description="row as stored")
    def raw_row(self, row: QuarantinedRow) -> str:
        """Cell by cell."""
        shown: str = once(row, "raw_row", lambda: stored_row(row))
        return shown

    @admin.display(description="decided")
    def decided(self, row: QuarantinedRow) -> str:
        """By whom, when, and why."""
        if row.decided_at is None:
            return "not yet"
        if row.status == Status.OPEN:
            return f"not yet; edited by {row.decided_by}, {row.decided_at:%Y-%m-%d %H:%M} UTC"
        return f"{row.decided_by}, {row.decided_at:%Y-%m-%d %H:%M} UTC: {row.note}"

    @admin.display(description="the same fault")
    def same_fault(self, row: QuarantinedRow) -> str:
        """The way to the other open rows of this table and reason, to be decided at once."""
        asked = {
            "status__exact": "open",
            "reason": row.reason,
            "file": row.file,
            "table": row.table,
        }
        address = reverse("admin:transfer_quarantinedrow_changelist")
        said = "Open rows of this table with this reason"
        link = '<span class="console"><a href="{}?{}">{}</a></span>'
        return format_html(link, address, urlencode(asked), said)

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        """Edit, then retry or accept; the outcome is said at once and kept in the history."""
        if not self._open(request, obj):
            raise PermissionDenied
        try:
            self._decide(request, obj, form)
        except TransferError as error:
            form.outcome.append(f"Refused: {error}"[:1000])
            self.message_user(request, str(error), messages.ERROR)

    def _decide(self, request: HttpRequest, row: QuarantinedRow, form: DeskForm) -> None:
        given, who = form.cleaned_data, request.user.get_username()
        if edits := form.edits:
            column = given["cell"]
            decisions.edit("default", row, column, given["value"], given["storage"], who)
            form.outcome.append(f"Edited {column} ({given['storage']}).")
        if given.get("decision") == "accept":
            decisions.accept("default", [row], given["reason_given"], who)
            self._say(request, form, f"Accepted as left out: {given['reason_given'].strip()}")
        elif given.get("decision") in ("retry", "nul"):
            retry = repair if given["decision"] == "nul" else retry_one
            retried = retry(row, who)
            if retried.loaded:
                self._say(request, form, "1 loaded: the row is in the target now.")
            for _, sentence in retried.still:
                self._say(request, form, f"Still set aside: {sentence}", messages.WARNING)
        elif edits:
            self._say(request, form, "The cell is saved; the row is not in the target yet.")

    def _say(
        self, request: HttpRequest, form: DeskForm, said: str, level: int = messages.SUCCESS
    ) -> None:
        form.outcome.append(said[:1000])
        self.message_user(request, said[:1000], level)

    def construct_change_message(
        self, request: HttpRequest, form: Any, formsets: Any, add: bool = False
    ) -> Any:
        """The history says what was decided and what came of it."""
        return " ".join(form.outcome) or "Nothing decided."

    def response_change(self, request: HttpRequest, obj: Any) -> HttpResponse:
        """Back to the row, where the outcome is."""
        return HttpResponseRedirect(request.get_full_path())

    @admin.action(description="Retry", permissions=["change"])
    def retry_rows(self, request: HttpRequest, rows: QuerySet[QuarantinedRow]) -> None:
        """Retry what is selected, as many as a page may wait for."""
        put_through(self, request, rows, retry_one)

    @admin.action(description="Replace NUL by U+FFFD, then retry", permissions=["change"])
    def replace_nul(
        self, request: HttpRequest, rows: QuerySet[QuarantinedRow]
    ) -> HttpResponse | None:
        """Show what would become of the texts, then do it."""
        return repair_page(self, request, rows)

    @admin.action(description="Accept as left out, with a reason", permissions=["change"])
    def accept_rows(
        self, request: HttpRequest, rows: QuerySet[QuarantinedRow]
    ) -> HttpResponse | None:
        """Ask for the reason once, then accept what is selected, or all of the same fault."""
        return accept_page(self, request, rows)
