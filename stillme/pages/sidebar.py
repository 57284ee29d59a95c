"""The admin's sidebar: search and charts, the apps' tables, then accounts."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.urls import reverse

from stillme.pages.glance.views import seen_charts
from stillme.pages.search.tables import seen_tables

ACCOUNTS = "auth"
_ICONS = {"User": "person", "Group": "group"}


def navigation(request: HttpRequest) -> list[dict[str, Any]]:
    """Groups of links for unfold; Django's own list of apps decides what is allowed."""
    apps = sorted(admin.site.get_app_list(request), key=lambda app: app["app_label"] == ACCOUNTS)
    tables = [group for app in apps if (group := _group(app))["items"]]
    return [*_overviews(request), *tables]


def _overviews(request: HttpRequest) -> list[dict[str, Any]]:
    """The search and the charts, for whoever may see a table or a chart."""
    links = []
    if seen_tables(request):
        links.append({"title": "Search", "icon": "search", "link": reverse("search")})
    if next(seen_charts(request), None) is not None:
        place = reverse("glance")
        links.append({"title": "Knowledge at a glance", "icon": "insights", "link": place})
    if request.user.is_superuser:
        links.append({"title": "SQL, read-only", "icon": "terminal", "link": reverse("sql")})
    return [{"items": links, "app": "overviews"}] if links else []


def _group(app: dict[str, Any]) -> dict[str, Any]:
    links = [
        {
            "title": str(model["name"]),
            "icon": _ICONS.get(model["object_name"], "table_rows"),
            "link": model["admin_url"],
        }
        for model in app["models"]
        if model["admin_url"]
    ]
    title = "Accounts" if app["app_label"] == ACCOUNTS else str(app["name"])
    return {"title": title, "collapsible": False, "items": links, "app": app["app_label"]}
