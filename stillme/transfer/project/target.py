"""The database that the engine fills, and keeps its records in: PostgreSQL."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandError
from django.db import connections

from stillme.transfer.conf import conf
from stillme.transfer.project.files import TARGET

ENGINE = "transfer"
_THERE = ": name that database there"


def no_postgresql(alias: str = TARGET) -> str:
    """Why the engine cannot work with a database, and what to do; "" where it can."""
    connection = connections[alias]
    if connection.vendor == "postgresql":
        return ""
    return (
        f'DATABASES["{alias}"] has the ENGINE {connection.settings_dict["ENGINE"]}, and '
        f"stillme.transfer needs PostgreSQL{_THERE if alias == TARGET else ''}. To work with "
        "SQLite, take stillme.transfer and TRANSFER out of the settings"
    )


def refuse_migrations(using: str, plan: Any = (), **_: Any) -> None:
    """Before `migrate` begins, which would end in the middle. Raises CommandError.

    Of a legacy file its first write is refused, by another sentence.
    """
    if using in {file.alias for file in conf().files.values()}:
        return
    if any(migration.app_label == ENGINE for migration, _ in plan) and (
        said := no_postgresql(using)
    ):
        raise CommandError(f"{said}. Nothing was migrated.", returncode=2)
