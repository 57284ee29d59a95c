"""The console's addresses, below the admin's."""

from django.contrib import admin
from django.urls import path

from stillme.transfer.console.dashboard.views import dashboard, dashboard_json

urlpatterns = [
    path("dashboard/", admin.site.admin_view(dashboard), name="transfer-dashboard"),
    path("dashboard.json", admin.site.admin_view(dashboard_json), name="transfer-dashboard-json"),
]
