"""Django's entry for the backend's management commands and what it does at forks."""

from django.apps import AppConfig


class PostgresqlConfig(AppConfig):
    """App `postgresql`: no models, only commands."""

    name = "stillme.postgresql"
    label = "postgresql"
    verbose_name = "PostgreSQL"

    def ready(self) -> None:
        """Make forks safe for pools and sessions."""
        from stillme.postgresql import forks

        forks.install()
