"""Choices of a list's filters that a person has saved: links above the list, each person's own."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import BadRequest, PermissionDenied
from django.db import models
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, QueryDict
from django.shortcuts import get_object_or_404
from django.urls import path, reverse
from django.views.decorators.http import require_POST

from stillme.pages.models import SavedFilter

MOST = 30
LONGEST_NAME, LONGEST_QUERY = 60, 2_000
# Places in a list, which are no choice: page, key to go on below, a wrong filter.
_PLACES = ("p", "before", "e", "all")


def saved_filters(request: HttpRequest, model: type[models.Model]) -> list[SavedFilter]:
    """The person's own of this list, by name."""
    mine = SavedFilter.objects.filter(user=request.user.pk, list=model._meta.label_lower)
    return list(mine.order_by("name")[:MOST])


def chosen(query: str) -> str:
    """What of an address chooses rows: filters, search and order."""
    given = QueryDict(query.removeprefix("?"), mutable=True)
    for name in _PLACES:
        given.pop(name, None)
    return given.urlencode()


@require_POST
def save(request: HttpRequest) -> HttpResponse:
    """Keep the choice under a name; the name's earlier choice gives way."""
    model, address = _list(request, request.POST.get("list", ""))
    name = " ".join(request.POST.get("name", "").split())[:LONGEST_NAME]
    query = chosen(request.POST.get("query", ""))
    if not name or not query or len(query) > LONGEST_QUERY:
        messages.error(request, "Not saved: choose something first, and give it a name.")
    elif len(saved_filters(request, model)) >= MOST:
        messages.error(request, f"Not saved: you have {MOST} here already; remove one first.")
    else:
        key: dict[str, Any] = {
            "user_id": request.user.pk,
            "list": model._meta.label_lower,
            "name": name,
        }
        SavedFilter.objects.update_or_create(**key, defaults={"query": query})
    return HttpResponseRedirect(f"{address}?{query}" if query else address)


@require_POST
def remove(request: HttpRequest, key: int) -> HttpResponse:
    """Forget one of one's own."""
    kept = get_object_or_404(SavedFilter, pk=key, user=request.user.pk)
    _, address = _list(request, kept.list)
    kept.delete()
    return HttpResponseRedirect(address)


def _list(request: HttpRequest, label: str) -> tuple[type[models.Model], str]:
    """The model of that name and its list. Raises BadRequest and PermissionDenied."""
    known: dict[str, Any] = {m._meta.label_lower: m for m in admin.site._registry}
    if label not in known:
        raise BadRequest("There is no such list.")
    model = known[label]
    if not admin.site.get_model_admin(model).has_view_permission(request):
        raise PermissionDenied
    place = f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist"
    return model, reverse(place)


urlpatterns = [
    path("", admin.site.admin_view(save), name="save-filter"),
    path("<int:key>/remove/", admin.site.admin_view(remove), name="remove-filter"),
]
