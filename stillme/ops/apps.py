"""Django's entry for operations."""

from django.apps import AppConfig, apps


class OpsConfig(AppConfig):
    """App `ops`: no models; health pages, metrics, commands and checks."""

    name = "stillme.ops"
    label = "ops"
    verbose_name = "Operations"

    def ready(self) -> None:
        """Register the system checks, and the runs' ids in log lines."""
        from stillme.ops import checks, context

        assert checks
        if apps.is_installed("stillme.transfer"):
            context.follow_runs()
