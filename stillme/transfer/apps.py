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
        """Read TRANSFER, register the system checks, import the module `legacy` of every app."""
        from stillme.transfer import checks  # noqa: F401
        from stillme.transfer.conf import conf

        conf()

        autodiscover_modules("legacy")
