"""The admin's site, whose pages are imported when somebody asks for them.

Whoever touches the registry (the addresses of the pages, the system checks, a test) has every
`admin.py` imported first, so nobody ever sees a site without its pages.
"""

from __future__ import annotations

from typing import Any

from django.apps import apps
from django.contrib import admin

Base: Any = admin.AdminSite
if apps.is_installed("unfold"):
    import unfold.sites

    Base = unfold.sites.UnfoldAdminSite


class Site(Base):  # type: ignore[misc]  # unfold has no types
    """Unfold's where it is installed, else Django's, with a registry that fills itself."""

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
