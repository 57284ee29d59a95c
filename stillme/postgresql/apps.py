"""Django's entry for the backend's management commands."""

from django.apps import AppConfig


class PostgresqlConfig(AppConfig):
    """App `postgresql`: no models, only commands."""

    name = "stillme.postgresql"
    label = "postgresql"
    verbose_name = "PostgreSQL"
