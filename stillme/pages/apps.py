"""Django's entry for the pages."""

from django.apps import AppConfig


class PagesConfig(AppConfig):
    """App `pages`: no models; templates, styles and scripts of the admin's pages."""

    name = "stillme.pages"
    label = "pages"
    verbose_name = "Pages"
