"""The base of the admin pages of the engine's own records."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest

from stillme.pages.lists.checked_list import CheckedAdmin
from stillme.pages.lists.paginator import EstimatingPaginator
from stillme.pages.looks import ModelAdmin


class ReadOnlyAdmin(CheckedAdmin, ModelAdmin):  # type: ignore[misc]
    """Records of the engine: nobody writes them by hand."""

    paginator = EstimatingPaginator
    show_full_result_count = False
    list_per_page = 50
    actions: Any = None

    class Media:
        """The console's looks."""

        css = {"all": ["console/console.css"]}

    def has_add_permission(self, request: HttpRequest) -> bool:
        """The engine writes them."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Never."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Never."""
        return False
