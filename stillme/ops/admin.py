"""Accounts and groups, with unfold's forms: Django's own have no visible fields in its pages."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin as DjangosGroupAdmin
from django.contrib.auth.admin import UserAdmin as DjangosUserAdmin
from django.contrib.auth.models import Group, User
from django.http import HttpRequest
from unfold.admin import ModelAdmin
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm

from stillme.pages.lists.checked_list import CheckedAdmin

admin.site.unregister(User)
admin.site.unregister(Group)


@admin.register(User)
class UserAdmin(CheckedAdmin, DjangosUserAdmin, ModelAdmin):  # type: ignore[misc, type-arg]
    """Accounts are switched off, not deleted: with one, the history of its decisions would go."""

    form = UserChangeForm
    add_form = UserCreationForm
    change_password_form = AdminPasswordChangeForm
    actions = None
    list_per_page = 50
    list_max_show_all = 200

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Never: the field *active* is for that."""
        return False


@admin.register(Group)
class GroupAdmin(CheckedAdmin, DjangosGroupAdmin, ModelAdmin):  # type: ignore[misc]
    """The groups that `migrate` makes, and others."""

    list_per_page = 50
    list_max_show_all = 200
