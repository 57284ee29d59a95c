"""`empty_target`: delete every loaded row, and everything that the engine recorded.

For people who tried it on samples, or begin again and may not make a database. The legacy files are
not touched.
"""

from __future__ import annotations

from dataclasses import dataclass

from django.apps import apps
from django.db import transaction
from django.db.models import Model

from stillme.transfer.errors import StateError
from stillme.transfer.inventory.stores import stores
from stillme.transfer.mapping import split_table
from stillme.transfer.postgresql import capture as reverse
from stillme.transfer.postgresql.copy import execute, fetch_all
from stillme.transfer.postgresql.locks import exclusive
from stillme.transfer.registry import legacy_files, legacy_models
from stillme.transfer.steps.syncing import file_states
from stillme.transfer.steps.syncing.file_states import State
from stillme.visible import counted

_REFERRING = (
    "SELECT DISTINCT conrelid::regclass::text FROM pg_constraint WHERE contype = 'f' "
    "AND confrelid = ANY(%s::regclass[]) AND conrelid <> ALL(%s::regclass[]) ORDER BY 1"
)


@dataclass(frozen=True, slots=True)
class Emptying:
    """What goes: the database's name, and the rows of each target table that has some."""

    database: str
    rows: dict[str, int]

    @property
    def total(self) -> int:
        """All rows."""
        return sum(self.rows.values())


def plan_emptying(alias: str) -> Emptying:
    """What would go. Raises StateError while a file is captured or PostgreSQL is in charge."""
    file_states.refuse_other_files(alias, anywhere=True)
    for file in legacy_files():
        stand = file_states.standing(alias, file.name)
        if stand.state in file_states.TARGET_IN_CHARGE:
            raise StateError(
                f"{file.name} is {stand.state}: PostgreSQL holds the only copy of what was written "
                f"since the cut-over. Next: {stand.next_step}."
            )
        if stand.state != State.ABSENT:
            raise StateError(
                f"{file.name} is {stand.state}: take its triggers out first, with "
                "manage.py sync_sqlite --remove."
            )
    relations = [_relation(model.target_model()) for model in legacy_models()]
    counts = {
        relation.replace('"', ""): int(fetch_all(alias, f"SELECT count(*) FROM {relation}")[0][0])
        for relation in relations
    }
    for store in stores():
        counts |= store.target_rows(alias)
    database = str(fetch_all(alias, "SELECT current_database()")[0][0])
    return Emptying(database, {table: rows for table, rows in counts.items() if rows})


def empty_target(alias: str) -> None:
    """Delete all of it in one transaction; ids begin at 1 again. Raises as `plan_emptying`."""
    with exclusive(alias), transaction.atomic(using=alias):
        plan_emptying(alias)
        reverse.unfreeze_target(alias, reverse.every_target_table())
        for store in stores():
            store.empty(alias)
        loaded = [model.target_model() for model in legacy_models()]
        own = apps.get_app_config("transfer").get_models()
        relations = [_relation(model) for model in [*loaded, *own]]
        names = ", ".join([*relations, *_referring(alias, relations)])
        execute(alias, f"TRUNCATE {names} RESTART IDENTITY")


def _referring(alias: str, relations: list[str]) -> list[str]:
    """Empty tables that refer to these: they must be named with them, or PostgreSQL refuses.

    Such is the table of a model that is left out. Raises StateError where one has rows.
    """
    found: list[str] = []
    while True:
        known = [*relations, *found]
        rows = fetch_all(alias, _REFERRING, [known, known])
        if not rows:
            return found
        for (name,) in rows:
            count = fetch_all(alias, f"SELECT count(*) FROM {name}")[0][0]
            if count:
                raise StateError(
                    f"{name} is not carried, and refers to tables that are: delete "
                    f"{counted(count, 'row')} of it first."
                )
            found.append(name)


def _relation(model: type[Model]) -> str:
    return '"{}"."{}"'.format(*split_table(model._meta.db_table))
