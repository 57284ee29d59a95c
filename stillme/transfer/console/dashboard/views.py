"""The dashboard, and the JSON it polls. Both are for staff who may view runs."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET

from stillme.transfer.console.dashboard.figures import live_figures, page_figures
from stillme.transfer.errors import TransferError
from stillme.transfer.steps.cutover import CutoverOptions, check_cutover
from stillme.transfer.steps.readiness.lines import RED, YELLOW
from stillme.transfer.steps.syncing.file_states import State
from stillme.transfer.verify.tables.live_rows import TailJudge


def _check(request: HttpRequest) -> None:
    if not request.user.has_perm("transfer.view_run"):
        raise PermissionDenied


def start(request: HttpRequest) -> HttpResponse:
    """The admin's first page is the dashboard for whoever may see it."""
    if request.user.has_perm("transfer.view_run"):
        return redirect("transfer-dashboard")
    return admin.site.index(request)


@require_GET
def dashboard(request: HttpRequest) -> HttpResponse:
    """Where each file stands. The go/no-go checks read the files, so only when asked for."""
    _check(request)
    context: dict[str, Any] = {**admin.site.each_context(request), "title": "Transfer dashboard"}
    context |= page_figures("default")
    states = {file["status"].state for file in context["files"]}
    context["switched"] = bool(states) and states <= {State.LIVE, State.FINISHED}
    if "checks" in request.GET and not context["switched"]:
        context |= _checks()
    return render(request, "console/dashboard.html", context)


def _checks() -> dict[str, Any]:
    try:
        lines = check_cutover(CutoverOptions(), TailJudge("default"))
    except TransferError as error:
        return {"checks_problem": str(error)}
    colours = [line.colour for line in lines]
    return {"checks": lines, "refusals": colours.count(RED), "looks": colours.count(YELLOW)}


@require_GET
def dashboard_json(request: HttpRequest) -> JsonResponse:
    """What changes while one looks, for the page's script; reads a few rows of the ledger."""
    _check(request)
    return JsonResponse(live_figures("default"))
