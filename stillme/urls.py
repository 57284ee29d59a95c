"""The pages of the project: the admin, and the way to it."""

from django.contrib import admin
from django.urls import URLPattern, URLResolver, include, path
from django.views.generic import RedirectView

from stillme.transfer.console.views import start

urlpatterns: list[URLPattern | URLResolver] = [
    path("", RedirectView.as_view(pattern_name="admin:index")),
    path("admin/transfer/", include("stillme.transfer.console.urls")),
    path("admin/", admin.site.admin_view(start)),
    path("admin/", admin.site.urls),
    path("", include("stillme.ops.urls")),
]
