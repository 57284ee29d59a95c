"""The addresses of Knowledge at a glance, below the admin's."""

from django.contrib import admin
from django.urls import path

from stillme.pages.glance.views import one_chart, overview

urlpatterns = [
    path("", admin.site.admin_view(overview), name="glance"),
    path("<slug:app_label>/<slug:name>/", admin.site.admin_view(one_chart), name="glance-chart"),
]
