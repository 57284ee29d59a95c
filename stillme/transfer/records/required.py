"""Whether the engine's records are in the target, and what to do where they are not."""

from __future__ import annotations

from django.db import connections
from django.db.migrations.recorder import MigrationRecorder

from stillme.transfer.errors import TargetError
from stillme.transfer.models import Run

OFF = (
    "set STILLME_MIGRATION=off, or take stillme.transfer out of the installed apps "
    "(docs/howto/finish.md)"
)


def require_records(alias: str) -> None:
    """Raises TargetError where the schema `transfer` was never made, or went into an archive."""
    connection = connections[alias]
    with connection.cursor() as cursor:
        cursor.execute("SELECT to_regclass(%s) IS NOT NULL", [Run._meta.db_table])
        if cursor.fetchone()[0]:
            return
    recorder = MigrationRecorder(connection)
    if recorder.has_table() and recorder.migration_qs.filter(app="transfer").exists():
        raise TargetError(
            "The migration is finished, and its records went into an archive: the application "
            f"alone writes to PostgreSQL. Now {OFF}. To load files again, choose another database."
        )
    raise TargetError("The target is not migrated: run `manage.py migrate` first.")
