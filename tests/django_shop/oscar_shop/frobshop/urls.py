"""Oscar's own addresses: its pages are not asked for, its signals need them."""

from django.apps import apps
from django.urls import include, path

urlpatterns = [path("", include(apps.get_app_config("oscar").urls[0]))]
