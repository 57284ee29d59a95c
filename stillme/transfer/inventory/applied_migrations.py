"""Whether a file of the project's own models was migrated as far as the project is.

Its `django_migrations` is compared with the migrations that the project has. A table of other
migrations has other columns than the models say, so a difference is refused, with both lists.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import closing

from django.db import connections
from django.db.migrations.executor import MigrationExecutor
from django.db.migrations.loader import MigrationLoader

from stillme.transfer.conf import conf
from stillme.transfer.errors import LegacyFileError
from stillme.transfer.project.files import built_files, file_of, is_built
from stillme.transfer.project.models import APPLIED, project_models
from stillme.transfer.sqlite.copying.snapshot import Snapshot

_SHOWN = 8


def refuse_other_migrations(snapshot: Snapshot, *, is_live: bool = False) -> None:
    """Raises LegacyFileError where the file's migrations are not the project's.

    After the cut-over (`is_live`) the project goes on, and the frozen file does not.

    Of apps that have no table in the project, or are left out, nothing is asked; nor of an app
    that is not installed: its tables are open in the inventory.
    """
    file = snapshot.file
    if not is_built(file) or snapshot.schema.table(APPLIED) is None:
        return
    carried = {m._meta.app_label for m in project_models() if file_of(m) == file}
    left = {name.lower() for name in conf().leave_out}
    asked = {label for label in carried if label.lower() not in left}
    with closing(snapshot.open()) as connection:
        rows = connection.execute(f"SELECT app, name FROM {APPLIED}").fetchall()
    applied = {(str(app), str(name)) for app, name in rows if app in asked}
    here, replaced = _of_project(asked, applied)
    missing, unknown = here - applied, applied - here - replaced
    if missing and is_live:
        raise LegacyFileError(
            f"{file}: the project has migrations that came after the cut-over "
            f"({_listed(missing)}), so its models do not describe the file. Verify with the "
            "version of the project that was switched, or give the way back up: "
            "manage.py cutover --finish --despite-proof REASON."
        )
    if missing:
        raise LegacyFileError(
            f"{file}: the file lacks migrations of the project ({_listed(missing)})"
            + (f" and has others ({_listed(unknown)})" if unknown else "")
            + ": run `manage.py migrate` on the SQLite file with the project as it is now."
        )
    if unknown:
        raise LegacyFileError(
            f"{file}: the file has migrations that the project has not ({_listed(unknown)}): "
            "take the version of the project that wrote the file. If you deleted them after "
            f"squashing, run `manage.py migrate {min(unknown)[0]} --prune` on the SQLite file."
        )


def unapplied_migrations(alias: str) -> list[str]:
    """The migrations that the target waits for, where a file has the project's own models."""
    if not built_files():
        return []
    executor = MigrationExecutor(connections[alias])
    plan = executor.migration_plan(executor.loader.graph.leaf_nodes())
    return [f"{migration.app_label}.{migration.name}" for migration, _ in plan]


def _of_project(
    asked: set[str], applied: set[tuple[str, str]]
) -> tuple[set[tuple[str, str]], set[tuple[str, str]]]:
    """The migrations that a file of this project has recorded, and those that it may have besides.

    A squashed migration counts as applied where those that it replaces are, as Django counts it.
    Django records these along with it, and the project may have deleted them since.
    """
    loader = MigrationLoader(None, ignore_no_migrations=True)
    found = {key for key in loader.disk_migrations if key[0] in asked}
    all_replaced: set[tuple[str, str]] = set()
    for key, migration in loader.disk_migrations.items():
        replaced = set(migration.replaces)
        if replaced and key in found:
            found -= {key} if replaced <= applied and key not in applied else replaced - applied
            all_replaced |= replaced
    return found, all_replaced


def _listed(names: Iterable[tuple[str, str]]) -> str:
    listed = [".".join(name) for name in sorted(names)]
    more = f", and {len(listed) - _SHOWN} more" if len(listed) > _SHOWN else ""
    return ", ".join(listed[:_SHOWN]) + more
