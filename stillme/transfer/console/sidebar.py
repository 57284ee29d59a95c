"""The admin's sidebar: the dashboard and the desk first, then every list the person may open."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.urls import reverse


def navigation(request: HttpRequest) -> list[dict[str, Any]]:
    """Groups of links for unfold; Django's own list of apps decides what is allowed."""
    groups: list[dict[str, Any]] = [{"items": _first(request)}]
    for app in admin.site.get_app_list(request):
        links = [
            {"title": str(model["name"]), "icon": "table_rows", "link": model["admin_url"]}
            for model in app["models"]
            if model["admin_url"] and model["object_name"] != "QuarantinedRow"
        ]
        if links:
            groups.append({"title": str(app["name"]), "collapsible": False, "items": links})
    return groups


def _first(request: HttpRequest) -> list[dict[str, Any]]:
    wanted = [
        ("Dashboard", "monitoring", "transfer-dashboard", "transfer.view_run"),
        (
            "Quarantine",
            "rule",
            "admin:transfer_quarantinedrow_changelist",
            "transfer.view_quarantinedrow",
        ),
    ]
    return [
        {"title": title, "icon": icon, "link": reverse(name)}
        for title, icon, name, permission in wanted
        if request.user.has_perm(permission)
    ]
