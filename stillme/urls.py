"""The pages of the project: the admin, and the way to it."""

from django.apps import apps
from django.contrib import admin
from django.urls import URLPattern, URLResolver, include, path
from django.views.generic import RedirectView


def _engine_pages() -> list[URLPattern | URLResolver]:
    """The dashboard, which is the admin's first page while the migration lasts."""
    if not apps.is_installed("stillme.transfer"):
        return []
    from stillme.transfer.console.dashboard.views import start

    return [
        path("admin/transfer/", include("stillme.transfer.console.urls")),
        path("admin/", admin.site.admin_view(start)),
    ]


urlpatterns: list[URLPattern | URLResolver] = [
    path("", RedirectView.as_view(pattern_name="admin:index")),
    *_engine_pages(),
    path("admin/glance/", include("stillme.pages.glance.urls")),
    path("admin/saved/", include("stillme.pages.lists.saved")),
    path("admin/sql/", include("stillme.pages.sql")),
    path("admin/search/", include("stillme.pages.search.urls")),
    path("admin/", admin.site.urls),
    path("", include("stillme.ops.urls")),
]
