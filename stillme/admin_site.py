"""The admin's site, whose pages are imported when somebody asks for them.

Whoever touches the registry (the addresses of the pages, the system checks, a test) has every
`admin.py` imported first, so nobody ever sees a site without its pages.
"""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from unfold.sites import UnfoldAdminSite


class Site(UnfoldAdminSite):  # type: ignore[misc]  # the package has no types
    """Unfold's, with a registry that fills itself."""

    _discovered = False
    _pages: dict[Any, Any]

    @property
    def _registry(self) -> dict[Any, Any]:
        if not self._discovered:
            self._discovered = True
            try:
                admin.autodiscover()
            except BaseException:
                # Or the next one to ask would find half a site, and no reason why.
                self._discovered = False
                raise
        return self._pages

    @_registry.setter
    def _registry(self, pages: dict[Any, Any]) -> None:
        self._pages = pages
