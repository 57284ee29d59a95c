"""The console's addresses, below the admin's."""

from django.contrib import admin
from django.urls import path

from stillme.transfer.console.dashboard.views import dashboard, dashboard_json
from stillme.transfer.console.work.views import work, work_json

urlpatterns = [
    path("dashboard/", admin.site.admin_view(dashboard), name="transfer-dashboard"),
    path("dashboard.json", admin.site.admin_view(dashboard_json), name="transfer-dashboard-json"),
    path("work/", admin.site.admin_view(work), name="transfer-work"),
    path("work.json", admin.site.admin_view(work_json), name="transfer-work-json"),
]
