"""Legacy models built from the project's own: what Django writes to SQLite, it reads in PostgreSQL.

They are built for the files of TRANSFER["FILES"] of which no app declares a LegacyModel (`files`
says which model is whose): one for each managed model of each installed app and each many-to-many
table that Django makes by itself. `tables` knows the table's name in the file.
"""

from __future__ import annotations

from collections.abc import Collection
from contextlib import suppress
from typing import Any

from django.apps import apps
from django.db import router
from django.db.backends.sqlite3.base import DatabaseWrapper

from stillme.transfer import kinds
from stillme.transfer.conf import conf
from stillme.transfer.errors import TransferError
from stillme.transfer.kinds import Kind
from stillme.transfer.legacy import Column, LegacyModel
from stillme.transfer.project.fields import UnknownField, kind_of
from stillme.transfer.project.files import (
    TARGET,
    Model,
    begin,
    built_files,
    file_of,
    is_built,
    labels,
    problems_of_files,
    unknown_names,
)
from stillme.transfer.project.tables import legacy_table, problems_of_names
from stillme.transfer.registry import circle, registered

# The engine and its pages: their records come to be in PostgreSQL.
OWN = ("stillme.transfer", "stillme.pages")
# Where Django records which migrations were applied.
APPLIED = "django_migrations"
# It is asked for the types that Django gives its columns, and never opened.
_SQLITE = DatabaseWrapper({"NAME": ":memory:", "OPTIONS": {}}, "transfer_types")

# What keeps the mapping from being complete, as sentences: for the system checks and the commands.
problems: list[str] = []

# Django makes these rows in every database that it migrates.
_IN_EVERY_FILE = ("auth.Permission", "contenttypes.ContentType")


def build() -> None:
    """Build the legacy models of the files that nobody declared any for."""
    begin()
    if not built_files():
        return
    carried = carried_models()
    problems.extend(problems_of_files())
    problems.extend(unknown_names('["LEAVE_OUT"]', conf().leave_out))
    problems.extend(_sent_elsewhere(carried))
    for model in carried:
        _build(model, str(file_of(model)))
    problems.extend(_left_parents(carried))
    problems.extend(_named_in_circles(carried))


def decision_about(file: str, table: str) -> str:
    """The project's own reason to leave a table of its file behind; "" where it has none."""
    if not is_built(file):
        return ""
    if table == APPLIED:
        return "Django's record of migrations: the target has its own, and the two were compared"
    found = [m for m in project_models() if legacy_table(m) == table]
    if left := [m for m in found if is_left_out(m)]:
        return f'TRANSFER["LEAVE_OUT"] leaves {left[0]._meta.label} out'
    others = [m for m in found if m._meta.label in _IN_EVERY_FILE and file_of(m) != file]
    if others and not _is_referred_to(others[0], file):
        return "Django makes such rows in every database, and no model of this file refers to them"
    return ""


def _is_referred_to(parent: Model, file: str) -> bool:
    """Whether models of the file hold keys of the parent, with a constraint or without."""
    return any(
        field.related_model is parent
        for model in carried_models()
        if file_of(model) == file
        for field in model._meta.local_concrete_fields
    )


def why_not_carried(file: str, table: str) -> str:
    """Why the model that has the table is not carried from this file; "" where none has it."""
    found = [m for m in apps.get_models(include_auto_created=True) if legacy_table(m) == table]
    for model in found:
        label = model._meta.label
        if not model._meta.managed:
            return f"its model {label} is unmanaged (managed = False)"
        if not is_built(file):
            continue
        if not router.allow_migrate_model(TARGET, model):
            return f"DATABASE_ROUTERS keep its model {label} off the database `{TARGET}`"
        if other := file_of(model):
            return f"its model {label} is carried from the file {other}"
        return f'no file of TRANSFER["FILES"] has its model {label}'
    return ""


def require_complete() -> None:
    """Raises TransferError, with the first sentence, where the mapping has problems."""
    if problems:
        more = f" ({len(problems) - 1} more: `manage.py check`)" if len(problems) > 1 else ""
        raise TransferError(f"{problems[0]}.{more}")


def carried_models() -> list[Model]:
    """The models whose tables are carried from a file."""
    targets = {model.target_model() for model in registered()}
    return [m for m in project_models() if m not in targets and not is_left_out(m) and file_of(m)]


def project_models() -> list[Model]:
    """Every model that `migrate` makes a table for, without the engine's and its pages'."""
    return [
        model
        for model in apps.get_models(include_auto_created=True)
        if model._meta.managed
        and not model._meta.proxy
        and not model._meta.swapped
        and model._meta.app_config.name not in OWN
        and router.allow_migrate_model(TARGET, model)
    ]


def is_left_out(model: Model) -> bool:
    """Whether TRANSFER["LEAVE_OUT"] names the model or its app."""
    return bool(labels(model) & {name.lower() for name in conf().leave_out})


def _build(model: Model, file: str) -> None:
    problems.extend(problems_of_names(model))
    problems.extend(_problems_of_key(model))
    columns: dict[str, Column] = {}
    for field in model._meta.local_concrete_fields:
        if field.generated:
            # PostgreSQL computes it by itself.
            continue
        try:
            columns[_attribute(field, columns)] = Column(
                _key(field) if field in model._meta.pk_fields else _value(field),
                _declaration(field),
                db_column=field.column,
                primary_key=field in model._meta.pk_fields,
            )
        except UnknownField as error:
            problems.append(str(error))
    type(LegacyModel)(
        f"Legacy{model._meta.object_name}",
        (LegacyModel,),
        {
            "__module__": __name__,
            "Meta": type(
                "Meta",
                (LegacyModel.Meta,),  # type: ignore[misc]
                {"db_table": legacy_table(model), "app_label": model._meta.app_label},
            ),
            "Legacy": type("Legacy", (), {"file": file, "target": model._meta.label}),
            **columns,
        },
    )


def _problems_of_key(model: Model) -> list[str]:
    """A key, or a part of one, of a kind that no key can have."""
    label, found = model._meta.label, []
    for field in model._meta.pk_fields:
        with suppress(UnknownField):  # It is a problem of its own.
            kind = _key(field)
            if not kind.key_type:
                found.append(
                    f"{label}.{field.name} is in the key of {label}, and a key holds whole "
                    f"numbers, texts and UUIDs, no {kind.name}: name {label} in "
                    'TRANSFER["LEAVE_OUT"]'
                )
    return found


def _sent_elsewhere(carried: list[Model]) -> list[str]:
    """Models whose rows the project would look for in another database than the engine fills."""
    return [
        f"DATABASE_ROUTERS send {model._meta.label} to {alias!r}, and the engine fills {TARGET!r}: "
        f"take them out of the settings of the move, or name {model._meta.label} in "
        'TRANSFER["LEAVE_OUT"] and move it on its own (docs/howto/move-a-django-project.md)'
        for model in carried
        if (alias := router.db_for_write(model)) != TARGET
    ]


def _left_parents(carried: list[Model]) -> list[str]:
    """References to rows that stay behind, or come from another file."""
    return [
        f"{model._meta.label}.{field.name} refers to {parent._meta.label}, {where}"
        for model in carried
        for field, parent in _parents(model)
        if (where := _where_parent_is(model, parent, carried))
    ]


def _named_in_circles(carried: list[Model]) -> list[str]:
    """References by `to_field` between tables that refer to each other, or of one to itself."""
    return [
        f"{model._meta.label}.{field.name} refers to {parent._meta.label}.{field.target_field.name}"
        ", which is not the primary key, and the two refer to each other over others or not: name "
        f'{model._meta.label} in TRANSFER["LEAVE_OUT"]'
        for model in carried
        for field, parent in _parents(model)
        if not field.target_field.primary_key
        and (
            parent is model
            or legacy_table(parent) in circle(str(file_of(model)), legacy_table(model))
        )
    ]


def _where_parent_is(model: Model, parent: Model, carried: list[Model]) -> str:
    """The end of a sentence where a parent is not in the file of its child; else ""."""
    if parent not in carried:
        return (
            f"which is not carried ({_why_not(parent)}): name {model._meta.label} in "
            'TRANSFER["LEAVE_OUT"], too'
        )
    if (other := file_of(parent)) != file_of(model):
        return (
            f"which TRANSFER takes from another file ({other}): SQLite refers to no row of another "
            'file, so name both in "models" of one, or give the field db_constraint=False'
        )
    return ""


def _parents(model: Model) -> list[tuple[Any, Model]]:
    """The fields of a model that PostgreSQL holds to a parent row, and the parent."""
    fields: list[Any] = list(model._meta.local_concrete_fields)
    return [
        (field, field.target_field.model)
        for field in fields
        if field.is_relation and vars(field)["db_constraint"]
    ]


def _why_not(model: Model) -> str:
    if is_left_out(model):
        return "it is left out"
    if not model._meta.managed:
        return "managed = False"
    return "no file has it" if model in project_models() else "it has no table here"


def _attribute(field: Any, taken: Collection[str]) -> str:
    """The attribute of a column: its field's, unless LegacyModel or another column has the name."""
    name: str = field.attname
    while hasattr(LegacyModel, name) or name.lower() == "legacy" or name in taken:
        name = f"legacy_{name}"
    return name


def _declaration(field: Any) -> str:
    """A column's declaration as Django writes it to SQLite."""
    words = [str(field.db_type(_SQLITE)), "" if field.null else "NOT NULL"]
    return " ".join(filter(None, [*words, "PRIMARY KEY" if field.primary_key else ""]))


def _key(field: Any) -> Kind:
    """The kind of a primary key: integers and texts are keys of their own kinds."""
    kind = _value(field)
    if isinstance(kind, kinds.Integer):
        return kinds.Key()
    return kinds.TextKey(kind.max_length) if isinstance(kind, kinds.Text) else kind


def _value(field: Any) -> Kind:
    """The kind of any column; a reference that PostgreSQL does not check is a plain value."""
    if not field.is_relation:
        return kind_of(field)
    target = field.target_field
    if not vars(field)["db_constraint"]:
        while target.is_relation:
            target = target.target_field
        return kind_of(target)
    parent, key = legacy_table(target.model), _key(target)
    if target.primary_key:
        return kinds.Reference(parent, key)
    if target.generated or not key.key_type:
        label = field.model._meta.label
        raise UnknownField(
            f"{label}.{field.name} refers to {target.model._meta.label}.{target.name}, which is "
            "neither the primary key nor a column of whole numbers, texts or UUIDs: name "
            f'{label} in TRANSFER["LEAVE_OUT"]'
        )
    return kinds.Reference(parent, key, target.column)
