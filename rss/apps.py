"""Django's entry for the domain `rss`."""

from django.apps import AppConfig


class RssConfig(AppConfig):
    """App `rss`; its tables live in the schema of the same name."""

    name = "rss"
    verbose_name = "RSS"
    default_auto_field = "django.db.models.BigAutoField"
