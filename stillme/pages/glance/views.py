"""The page, and each chart's own answer: a chart is asked for by the page's script, one by one.

So the page is there at once, a slow chart delays no other, and the server works on one statement
at a time for each reader.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

from django.apps import apps
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_GET

from stillme.pages.glance.charts import AnyChart, all_charts
from stillme.pages.glance.figures import figure_of
from stillme.pages.glance.periods import OFFERED, Period, WrongPeriodError, asked_period

# What an address says of the range of dates.
PERIOD = ("days", "from", "to")


def may_see(request: HttpRequest, chart: AnyChart) -> bool:
    """Whether the rows behind the chart may be looked at."""
    site = admin.site
    return site.is_registered(chart.model) and site.get_model_admin(
        chart.model
    ).has_view_permission(request)


def seen_charts(request: HttpRequest) -> Iterator[AnyChart]:
    """Those that the reader may see."""
    return (chart for chart in all_charts().values() if may_see(request, chart))


@require_GET
def overview(request: HttpRequest) -> HttpResponse:
    """A place for each chart, domain by domain, and the choice of a range of dates."""
    asked = {name: request.GET[name] for name in PERIOD if request.GET.get(name)}
    domains: dict[str, list[tuple[str, AnyChart]]] = {}
    for chart in seen_charts(request):
        label = chart.model._meta.app_label
        address = reverse("glance-chart", args=[label, chart.name])
        charts = domains.setdefault(str(apps.get_app_config(label).verbose_name), [])
        charts.append((f"{address}?{urlencode(asked)}", chart))
    if not domains and all_charts():
        raise PermissionDenied
    problem = ""
    period = Period()
    try:
        period = asked_period(request.GET)
    except WrongPeriodError as error:
        problem = str(error)
    context: dict[str, Any] = {
        **admin.site.each_context(request),
        "title": "Knowledge at a glance",
        "domains": domains,
        "problem": problem,
        "period": period,
        "offered": OFFERED,
        "asked": asked,
    }
    return render(request, "console/glance/page.html", context, status=400 if problem else 200)


@require_GET
def one_chart(request: HttpRequest, app_label: str, name: str) -> HttpResponse:
    """The figure of one chart as a piece of the page."""
    chart = all_charts().get((app_label, name))
    if chart is None:
        raise Http404("There is no such chart: open Knowledge at a glance again.")
    if not may_see(request, chart):
        raise PermissionDenied
    try:
        period = asked_period(request.GET)
    except WrongPeriodError as error:
        return HttpResponse(str(error), status=400, content_type="text/plain; charset=utf-8")
    context = {"chart": chart, "figure": figure_of(chart, period)}
    return render(request, "console/glance/chart.html", context)
