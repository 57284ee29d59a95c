"""The page from which an operator starts commands, and the JSON by which it is watched."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import BadRequest, PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_http_methods

from stillme.transfer.console.work.start import KINDS, settle, start
from stillme.transfer.errors import TransferError
from stillme.transfer.models import StartedCommand

STARTS = "transfer.add_startedcommand"
SHOWN = 15


@require_http_methods(["GET", "POST"])
def work(request: HttpRequest) -> HttpResponse:
    """What may be started; the newest one with its output; who started the earlier ones."""
    if not request.user.has_perm("transfer.view_run"):
        raise PermissionDenied
    if request.method == "POST":
        return _started(request)
    settle()
    newest = list(StartedCommand.objects.order_by("-pk").defer("output")[:SHOWN])
    context = {
        **admin.site.each_context(request),
        "title": "Run commands",
        "kinds": [(kind, " ".join(argv), says) for kind, (argv, says) in KINDS.items()],
        "may_start": request.user.has_perm(STARTS),
        "newest": _shown(newest[0]) if newest else None,
        "history": [_shown(row) for row in newest[1:]],
    }
    return render(request, "console/work.html", context)


@require_GET
def work_json(request: HttpRequest) -> JsonResponse:
    """The newest one, for the page's script."""
    if not request.user.has_perm("transfer.view_run"):
        raise PermissionDenied
    settle()
    row = StartedCommand.objects.order_by("-pk").first()
    shown = _shown(row) if row else {}
    return JsonResponse(
        {name: shown.get(name) for name in ("said", "is_running")}
        | {"output": row.output if row else ""}
    )


def _started(request: HttpRequest) -> HttpResponse:
    if not request.user.has_perm(STARTS):
        raise PermissionDenied
    kind = request.POST.get("kind", "")
    if kind not in KINDS:
        raise BadRequest("There is no such command.")
    if not request.POST.get("confirmed"):
        messages.error(request, "Not started: tick the box to confirm.")
    else:
        try:
            start(kind, request.user.get_username())
        except TransferError as error:
            messages.error(request, f"Not started: {error}")
    return HttpResponseRedirect(reverse("transfer-work"))


def _shown(row: StartedCommand) -> dict[str, Any]:
    return {"row": row, "said": _said(row), "is_running": bool(row.running)}


def _said(row: StartedCommand) -> str:
    """How it stands, in words."""
    if row.running:
        return "running"
    if row.exit_status is None:
        return "broken off: its process was killed; what was committed stays"
    words = {0: "ended well", 1: "ended: there are differences or open questions"}
    return words.get(row.exit_status, f"could not run (status {row.exit_status})")
