"""The repair of U+0000, which PostgreSQL's texts cannot hold: U+FFFD in its place, then a retry.

What is decided is what was previewed: the same function makes both. The original cells stay in the
record, the new text next to them.
"""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.contrib.admin import helpers
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse

from stillme.transfer.console.desk.bulk import RETRIED, open_ids, put_through
from stillme.transfer.console.desk.form import NUL_IN_TEXT
from stillme.transfer.errors import TransferError
from stillme.transfer.models import QuarantinedRow
from stillme.transfer.plumbing.stored_cells import unpack_record
from stillme.transfer.quarantine import decisions
from stillme.visible import in_one_line

NUL, INSTEAD = "\0", "\ufffd"
# Rows of a preview, and the characters on both sides of a cell's first NUL.
PREVIEWED, AROUND = 20, 40


def without_nul(row: QuarantinedRow) -> dict[str, tuple[str, str]]:
    """Column -> its text and the repaired one, of every text of the row that has a NUL.

    A text that is not UTF-8 is left out: what it says is for a person to find out.
    """
    found = {}
    for name, (storage, raw) in unpack_record({**row.cells, **row.repairs}).items():
        if storage != "text" or not isinstance(raw, bytes) or b"\0" not in raw:
            continue
        try:
            text = raw.decode()
        except UnicodeDecodeError:
            continue
        found[name] = (text, text.replace(NUL, INSTEAD))
    return found


def repair(row: QuarantinedRow, who: str) -> decisions.Retried:
    """Put U+FFFD in the place of every NUL and retry the row. Raises TransferError."""
    found = without_nul(row)
    if not found and not row.repairs:
        raise TransferError(f"Row {row.pk} has no UTF-8 text with U+0000: edit its cell.")
    with transaction.atomic():
        for column, (_, mended) in found.items():
            decisions.edit("default", row, column, mended, "text", who)
    return decisions.retry("default", [row], who)


def repair_page(
    page: Any, request: HttpRequest, rows: QuerySet[QuarantinedRow]
) -> HttpResponse | None:
    """The page that shows what would become of the selected rows; None when it is done."""
    chosen = rows.filter(reason=NUL_IN_TEXT)
    ids = open_ids(chosen, RETRIED)
    if not ids:
        said = "None of the selected rows is open because of a NUL in a text."
        page.message_user(request, said, messages.WARNING)
        return None
    if "confirmed" in request.POST:
        put_through(page, request, chosen, repair)
        return None
    context = {
        **page.admin_site.each_context(request),
        "title": "Replace NUL by U+FFFD",
        "opts": page.opts,
        "lines": [line for key in ids[:PREVIEWED] for line in _preview(key)],
        "rows": len(ids),
        "limit": RETRIED,
        "more": max(0, len(ids) - PREVIEWED),
        "ids": request.POST.getlist(helpers.ACTION_CHECKBOX_NAME),
        "across": request.POST.get("select_across", "0"),
        "checkbox": helpers.ACTION_CHECKBOX_NAME,
    }
    return TemplateResponse(request, "console/nul.html", context)


def _preview(key: int) -> list[dict[str, Any]]:
    """One line for each text of a row that would be repaired, or one that says there is none."""
    row = QuarantinedRow.objects.get(pk=key)
    found = without_nul(row)
    named = {"row": key, "table": row.table, "key": in_one_line((row.key or "")[:AROUND])}
    if not found:
        return [{**named, "problem": "no UTF-8 text with U+0000: the row stays open"}]
    return [
        {**named, "column": column, "count": old.count(NUL), "old": _around(old, old),
         "new": _around(old, new)}
        for column, (old, new) in found.items()
    ]  # fmt: skip


def _around(old: str, shown: str) -> str:
    """What stands around the first NUL; both texts have the same length."""
    at = old.index(NUL)
    start, end = max(0, at - AROUND), at + AROUND + 1
    said = in_one_line(shown[start:end])
    return f"{'…' if start else ''}{said}{'…' if end < len(shown) else ''}"
