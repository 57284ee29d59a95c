"""Django's entry for the engine."""

from django.apps import AppConfig
from django.utils.module_loading import autodiscover_modules


class TransferConfig(AppConfig):
    """App `transfer`; its own tables live in the schema `transfer`."""

    name = "stillme.transfer"
    label = "transfer"
    verbose_name = "Transfer"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Register the system checks, and the legacy models of every app (its module `legacy`)."""
        from stillme.transfer import checks  # noqa: F401

        autodiscover_modules("legacy")
