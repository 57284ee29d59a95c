"""Django's entry for operations."""

from django.apps import AppConfig


class OpsConfig(AppConfig):
    """App `ops`: no models; health pages, metrics, commands and checks."""

    name = "stillme.ops"
    label = "ops"
    verbose_name = "Operations"

    def ready(self) -> None:
        """Register the system checks and the collector of the pools' figures."""
        from stillme.ops import checks, metrics

        assert checks
        metrics.register_pools()
