"""Django's entry for the domain `vector`."""

from django.apps import AppConfig


class VectorConfig(AppConfig):
    """App `vector`; its tables live in the schema of the same name."""

    name = "vector"
    verbose_name = "Vectors"
    default_auto_field = "django.db.models.BigAutoField"
