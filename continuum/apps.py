"""Django's entry for the domain `continuum`."""

from django.apps import AppConfig


class ContinuumConfig(AppConfig):
    """App `continuum`; its tables live in the schema of the same name."""

    name = "continuum"
    verbose_name = "Continuum"
    default_auto_field = "django.db.models.BigAutoField"
