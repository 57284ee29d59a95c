"""The admin's sidebar: what an operator looks at first, then the target tables, then accounts."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.urls import reverse

from stillme.transfer.models import Proof, QuarantinedRow, Run

ENGINE, ACCOUNTS = "transfer", "auth"
_FIRST = [
    ("Quarantine", "rule", QuarantinedRow),
    ("Runs", "history", Run),
    ("Proofs", "verified", Proof),
]
_ICONS = {"User": "person", "Group": "group"}


def navigation(request: HttpRequest) -> list[dict[str, Any]]:
    """Groups of links for unfold; Django's own list of apps decides what is allowed."""
    apps = sorted(admin.site.get_app_list(request), key=lambda app: app["app_label"] == ACCOUNTS)
    groups: list[dict[str, Any]] = [{"items": _first(request)}]
    for app in apps:
        links = [
            {
                "title": str(model["name"]),
                "icon": _ICONS.get(model["object_name"], "table_rows"),
                "link": model["admin_url"],
            }
            for model in app["models"]
            if model["admin_url"] and app["app_label"] != ENGINE
        ]
        if links:
            name = "Accounts" if app["app_label"] == ACCOUNTS else str(app["name"])
            groups.append({"title": name, "collapsible": False, "items": links})
    return groups


def _first(request: HttpRequest) -> list[dict[str, Any]]:
    wanted = [("Dashboard", "monitoring", "transfer-dashboard", "transfer.view_run")]
    for title, icon, model in _FIRST:
        name = model._meta.model_name
        permission = f"{ENGINE}.view_{name}"
        wanted.append((title, icon, f"admin:{ENGINE}_{name}_changelist", permission))
    return [
        {"title": title, "icon": icon, "link": reverse(name)}
        for title, icon, name, permission in wanted
        if request.user.has_perm(permission)
    ]
