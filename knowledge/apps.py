"""Django's entry for the domain `knowledge`."""

from django.apps import AppConfig


class KnowledgeConfig(AppConfig):
    """App `knowledge`; its tables live in the schema of the same name."""

    name = "knowledge"
    verbose_name = "Knowledge"
    default_auto_field = "django.db.models.BigAutoField"
