"""Django's entry for the pages."""

from django.apps import AppConfig


class PagesConfig(AppConfig):
    """App `pages`: the admin's pages of large tables, and the filters that a person has saved."""

    name = "stillme.pages"
    label = "pages"
    verbose_name = "Pages"
