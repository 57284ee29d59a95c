"""Accounts and groups, with unfold's forms in unfold's pages: Django's are invisible there."""

from __future__ import annotations

from typing import Any

from django.apps import apps
from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin as DjangosGroupAdmin
from django.contrib.auth.admin import UserAdmin as DjangosUserAdmin
from django.contrib.auth.models import Group, User
from django.http import HttpRequest

from stillme.pages.lists.checked_list import CheckedAdmin
from stillme.pages.looks import ModelAdmin

if apps.is_installed("unfold"):
    from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm
else:
    from django.contrib.auth.forms import AdminPasswordChangeForm, UserChangeForm
    from django.contrib.auth.forms import AdminUserCreationForm as UserCreationForm

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
