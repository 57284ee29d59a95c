"""Django's entry for the engine."""

from django.apps import AppConfig


class TransferConfig(AppConfig):
    """App `transfer`; its own tables live in the schema `transfer`."""

    name = "stillme.transfer"
    label = "transfer"
    verbose_name = "Transfer"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Register the system checks."""
        from stillme.transfer import checks  # noqa: F401
