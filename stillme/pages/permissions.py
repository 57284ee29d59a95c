"""Permissions that were given by name, to a person or to one of their groups."""

from __future__ import annotations

from django.contrib.auth.models import AbstractBaseUser, AnonymousUser, Permission
from django.db.models import Q
from django.http import HttpRequest


def named_permissions(request: HttpRequest) -> set[str]:
    """The permissions given to the user or a group of theirs by name; asked once per request."""
    known = getattr(request, "_named_permissions", None)
    if known is None:
        known = set(_granted(request.user))
        request._named_permissions = known  # type: ignore[attr-defined]
    return known


def _granted(user: AbstractBaseUser | AnonymousUser) -> list[str]:
    if not (user.is_authenticated and user.is_active):
        return []
    given = Permission.objects.filter(Q(user=user.pk) | Q(group__user=user.pk))
    rows = given.values_list("content_type__app_label", "codename").distinct()
    return [f"{label}.{codename}" for label, codename in rows]
