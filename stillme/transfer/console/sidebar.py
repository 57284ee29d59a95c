"""The admin's sidebar while the migration lasts: its own pages come before the apps' tables."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest
from django.urls import reverse

from stillme.pages import sidebar
from stillme.transfer.models import Proof, QuarantinedRow, Run

ENGINE = "transfer"
MOST = 1000
_PAGES = [
    ("Quarantine", "rule", QuarantinedRow),
    ("Runs", "history", Run),
    ("Proofs", "verified", Proof),
]


def navigation(request: HttpRequest) -> list[dict[str, Any]]:
    """Groups of links for unfold, the engine's own first."""
    others = [group for group in sidebar.navigation(request) if group["app"] != ENGINE]
    return [{"items": _own(request)}, *others]


def _own(request: HttpRequest) -> list[dict[str, Any]]:
    wanted = [("Dashboard", "monitoring", "transfer-dashboard", "transfer.view_run")]
    wanted.append(("Run commands", "play_arrow", "transfer-work", "transfer.view_run"))
    for title, icon, model in _PAGES:
        name = model._meta.model_name
        permission = f"{ENGINE}.view_{name}"
        wanted.append((title, icon, f"admin:{ENGINE}_{name}_changelist", permission))
    links: list[dict[str, Any]] = [
        {"title": title, "icon": icon, "link": reverse(name)}
        for title, icon, name, permission in wanted
        if request.user.has_perm(permission)
    ]
    for link in links:
        if link["title"] == "Quarantine" and (count := _open()):
            link |= {"badge": f"{count} open", "badge_variant": "danger"}
    return links


def _open() -> str:
    """How many quarantined rows wait for a decision, "" for none; not counted on beyond `MOST`."""
    rows = QuarantinedRow.objects.filter(status=QuarantinedRow.Status.OPEN)
    found = rows.order_by().values("pk")[: MOST + 1].count()
    return f"{MOST:,}+" if found > MOST else f"{found:,}" if found else ""
