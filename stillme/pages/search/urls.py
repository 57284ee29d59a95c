"""The address of the search, below the admin's."""

from django.contrib import admin
from django.urls import path

from stillme.pages.search.views import search

urlpatterns = [path("", admin.site.admin_view(search), name="search")]
