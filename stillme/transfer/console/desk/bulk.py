"""Many quarantined rows at once: retried one after the other, accepted with one reason."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from django.contrib import messages
from django.contrib.admin import helpers
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.contenttypes.models import ContentType
from django.db import transaction
from django.db.models import Count, QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse

from stillme.transfer.console.desk.form import AcceptForm
from stillme.transfer.errors import TransferError
from stillme.transfer.models import QuarantinedRow
from stillme.transfer.quarantine import decisions
from stillme.transfer.quarantine.reasons import in_words
from stillme.visible import counted

# A bulk retry holds its request for so long; the rest waits for the next click.
SECONDS = 20.0
RETRIED = 500
ACCEPTED = 10_000
TOLD = 5
# Characters of a sentence that a message has.
SAID = 1000
GROUPS = 10

Rows = QuerySet[QuarantinedRow]
Decision = Callable[[QuarantinedRow, str], decisions.Retried]


def put_through(page: Any, request: HttpRequest, rows: Rows, one: Decision) -> None:
    """Do `one` with open rows until the time or the limit is reached; say what came of it."""
    ids = open_ids(rows, RETRIED)
    started = time.monotonic()
    loaded: list[int] = []
    still: list[tuple[int, str]] = []
    while ids and time.monotonic() - started < SECONDS:
        outcome = _outcome(ids.pop(0), request.user.get_username(), one)
        loaded += outcome.loaded
        still += outcome.still
    _log(
        request, dict.fromkeys(loaded, "Retried: loaded.") | {k: f"Retried: {s}" for k, s in still}
    )
    level = messages.SUCCESS if loaded else messages.WARNING
    page.message_user(request, f"{len(loaded)} loaded, {len(still)} set aside.", level)
    for key, sentence in still[:TOLD]:
        page.message_user(request, f"Row {key}: {sentence}"[:SAID], messages.WARNING)
    if len(still) > TOLD:
        page.message_user(request, f"And {len(still) - TOLD} more.", messages.WARNING)
    if ids:
        said = f"Not tried yet: {counted(len(ids), 'selected row')}. Run the action again."
        page.message_user(request, said, messages.WARNING)


def _outcome(key: int, who: str, one: Decision) -> decisions.Retried:
    """Do `one` with one row; a TransferError becomes its sentence and does not stop the others.

    Rows come one at a time, because their cells may be long.
    """
    try:
        row = QuarantinedRow.objects.filter(pk=key).first()
        if row is None:
            return decisions.Retried((), ((key, "changed or deleted in the file meanwhile."),))
        return one(row, who)
    except TransferError as error:
        return decisions.Retried((), ((key, str(error)),))


def retry_one(row: QuarantinedRow, who: str) -> decisions.Retried:
    """One row as it is, with its edits. Raises TransferError."""
    return decisions.retry("default", [row], who)


def accept_page(page: Any, request: HttpRequest, rows: Rows) -> HttpResponse | None:
    """The page that asks for the reason; None when the rows are accepted."""
    chosen = rows.filter(status=QuarantinedRow.Status.OPEN)
    groups = _groups(chosen)
    if not groups:
        page.message_user(request, "None of the selected rows is open.", messages.WARNING)
        return None
    same = _same(groups)
    asked = "reason_given" in request.POST
    form = AcceptForm(request.POST if asked else None, initial={"scope": AcceptForm.SELECTED})
    if asked and form.is_valid():
        whole = same is not None and form.cleaned_data["scope"] == AcceptForm.SAME
        _accept(
            page, request, same if whole and same else chosen, form.cleaned_data["reason_given"]
        )
        return None
    context = {
        **page.admin_site.each_context(request),
        "title": "Accept as left out",
        "opts": page.opts,
        "form": form,
        "groups": groups,
        "selected": sum(group["rows"] for group in groups),
        "same": None if same is None else _count(same),
        "limit": ACCEPTED,
        "ids": request.POST.getlist(helpers.ACTION_CHECKBOX_NAME),
        "across": request.POST.get("select_across", "0"),
        "checkbox": helpers.ACTION_CHECKBOX_NAME,
    }
    return TemplateResponse(request, "console/accept.html", context)


def _groups(rows: Rows) -> list[dict[str, Any]]:
    found = rows.order_by().values("file", "table", "reason").annotate(rows=Count("pk"))
    groups = found.order_by("-rows", "file", "table", "reason")[:GROUPS]
    return [{**group, "words": in_words(str(group["reason"]))} for group in groups]


def _same(groups: list[dict[str, Any]]) -> Rows | None:
    """All open rows with the table and reason of the selected ones, where these have one."""
    if len(groups) != 1:
        return None
    names = ("file", "table", "reason")
    asked = {name: groups[0][name] for name in names}
    return QuarantinedRow.objects.filter(**asked, status=QuarantinedRow.Status.OPEN)


def _count(rows: Rows) -> int:
    """Exact as far as one decision reaches."""
    return rows.order_by().values("pk")[: ACCEPTED + 1].count()


def _accept(page: Any, request: HttpRequest, rows: Rows, reason: str) -> None:
    ids = open_ids(rows.filter(repairs={}), ACCEPTED)
    with transaction.atomic():
        # The decision and its history commit together.
        done = decisions.accept_ids("default", ids, reason, request.user.get_username())
        _log(request, dict.fromkeys(done, f"Accepted as left out: {reason.strip()}"))
    page.message_user(
        request, f"{counted(len(done), 'row')} accepted as left out.", messages.SUCCESS
    )
    open_rows = rows.filter(status=QuarantinedRow.Status.OPEN)
    if edited := _count(open_rows.exclude(repairs={})):
        said = f"Still open: {counted(edited, 'row')} edited and not retried. Retry first."
        page.message_user(request, said, messages.WARNING)
    if rest := _count(open_rows.filter(repairs={})):
        more = f"more than {ACCEPTED:,} rows" if rest > ACCEPTED else counted(rest, "row")
        page.message_user(request, f"Still open of these: {more}.", messages.WARNING)


def open_ids(rows: Rows, limit: int) -> list[int]:
    """The first open rows of these."""
    chosen = rows.filter(status=QuarantinedRow.Status.OPEN)
    return list(chosen.order_by("pk").values_list("pk", flat=True)[:limit])


def _log(request: HttpRequest, said: dict[int, str]) -> None:
    """An entry in the history of each row."""
    who = request.user.pk
    assert who is not None  # the admin lets nobody else in
    kind = ContentType.objects.get_for_model(QuarantinedRow)
    LogEntry.objects.bulk_create(
        [
            LogEntry(
                user_id=who,
                content_type=kind,
                object_id=str(key),
                object_repr=f"quarantined row {key}",
                action_flag=CHANGE,
                change_message=message[:1000],
            )
            for key, message in said.items()
        ],
        batch_size=1000,
    )
