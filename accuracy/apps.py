"""Django's entry for the domain `accuracy`."""

from django.apps import AppConfig


class AccuracyConfig(AppConfig):
    """App `accuracy`; its tables live in the schema of the same name."""

    name = "accuracy"
    verbose_name = "Accuracy"
    default_auto_field = "django.db.models.BigAutoField"
