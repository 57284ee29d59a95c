"""Django's entry for the admin: its pages are no part of a command's start.

Django would import every `admin.py`, and with them forms, views and the console's desks, whenever
it starts. A command shows no page.
"""

from __future__ import annotations

from collections.abc import Sequence

from django.apps import AppConfig
from django.contrib import admin
from django.contrib.admin.apps import SimpleAdminConfig
from django.contrib.admin.checks import check_dependencies
from django.core import checks


class AdminConfig(SimpleAdminConfig):
    """Django's admin with a site that imports its pages when they are asked for."""

    default_site = "stillme.admin_site.Site"

    def ready(self) -> None:
        """Register Django's own checks; those of the pages import them."""
        checks.register(check_admin, checks.Tags.admin)


def check_admin(
    app_configs: Sequence[AppConfig] | None = None, **options: object
) -> list[checks.CheckMessage]:
    """What Django checks of an admin, in this order: its own list of sites is empty before."""
    found = admin.site.check(app_configs)
    return [*found, *check_dependencies(app_configs=app_configs, **options)]
