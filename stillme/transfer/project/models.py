"""Legacy models built from the project's own: what Django writes to SQLite, it reads in PostgreSQL.

They are built for a file of TRANSFER["FILES"] of which no app declares a LegacyModel: one for each
managed model of each installed app and each many-to-many table that Django makes by itself. A
table of the file has the name that the model has; of ``"sales"."order"`` the part after the dot,
because SQLite knows no schemas.
"""

from __future__ import annotations

from typing import Any

from django.apps import apps
from django.db import models, router
from django.db.backends.sqlite3.base import DatabaseWrapper

from stillme.transfer import kinds
from stillme.transfer.conf import conf
from stillme.transfer.errors import TransferError
from stillme.transfer.kinds import Kind
from stillme.transfer.legacy import Column, LegacyModel
from stillme.transfer.project.fields import UnknownField, kind_of
from stillme.transfer.registry import legacy_files, registered

# The engine and its pages: their records come to be in PostgreSQL.
OWN = ("transfer", "pages")
# Where Django records which migrations were applied.
APPLIED = "django_migrations"
Model = type[models.Model]
# It is asked for the types that Django gives its columns, and never opened.
_SQLITE = DatabaseWrapper({"NAME": ":memory:", "OPTIONS": {}}, "transfer_types")

# What keeps the mapping from being complete, as sentences: for the system checks and the commands.
problems: list[str] = []
_built: set[str] = set()


def built_file() -> str | None:
    """The file that has the project's own models, if one has."""
    return next(iter(_built), None)


def build() -> None:
    """Build the legacy models of the file that nobody declared any for."""
    declared = {model.legacy.file for model in registered()}
    files = [file.name for file in legacy_files() if file.name not in declared]
    if len(files) > 1:
        problems.append(
            f"TRANSFER names {len(files)} files of which no app declares a LegacyModel "
            f"({', '.join(files)}): one file can have the project's own models"
        )
    elif files:
        _built.add(files[0])
        carried = carried_models()
        problems.extend(_unknown_names())
        for model in carried:
            _build(model, files[0])
        problems.extend(_left_parents(carried))


def decision_about(file: str, table: str) -> str:
    """The project's own reason to leave a table of its file behind; "" where it has none."""
    if file != built_file():
        return ""
    if table == APPLIED:
        return "Django's record of migrations: the target has its own, and the two were compared"
    left = [m for m in project_models() if legacy_table(m) == table and is_left_out(m)]
    return f'TRANSFER["LEAVE_OUT"] leaves {left[0]._meta.label} out' if left else ""


def unmanaged(table: str) -> str:
    """The label of the model that has the table and leaves it to somebody else, or ""."""
    found = [m for m in apps.get_models() if not m._meta.managed and legacy_table(m) == table]
    return found[0]._meta.label if found else ""


def require_complete() -> None:
    """Raises TransferError, with the first sentence, where the mapping has problems."""
    if problems:
        more = f" ({len(problems) - 1} more: `manage.py check`)" if len(problems) > 1 else ""
        raise TransferError(f"{problems[0]}.{more}")


def carried_models() -> list[Model]:
    """The models whose tables are carried."""
    targets = {model.target_model() for model in registered()}
    return [m for m in project_models() if m not in targets and not is_left_out(m)]


def project_models() -> list[Model]:
    """Every model that `migrate` makes a table for, without the engine's and its pages'."""
    return [
        model
        for model in apps.get_models(include_auto_created=True)
        if model._meta.managed
        and not model._meta.proxy
        and not model._meta.swapped
        and model._meta.app_label not in OWN
        and router.allow_migrate_model("default", model)
    ]


def is_left_out(model: Model) -> bool:
    """Whether TRANSFER["LEAVE_OUT"] names the model or its app."""
    return bool(_names(model) & {name.lower() for name in conf().leave_out})


def _names(model: Model) -> set[str]:
    return {model._meta.label_lower, model._meta.app_label.lower()}


def legacy_table(model: Model) -> str:
    """The name of a model's table in the file."""
    return model._meta.db_table.replace('"', "").rpartition(".")[2]


def _build(model: Model, file: str) -> None:
    label = model._meta.label
    columns = {}
    for field in model._meta.local_concrete_fields:
        if field.generated:
            # PostgreSQL computes it by itself.
            continue
        try:
            columns[_attribute(field)] = Column(
                _key(field) if field.primary_key else _value(field),
                _declaration(field),
                db_column=field.column,
            )
        except UnknownField as error:
            problems.append(str(error))
    if type(model._meta.pk).__name__ == "CompositePrimaryKey":
        problems.append(
            f"{label} has a key of several columns, which cannot be captured or carried back: name "
            f'{label} in TRANSFER["LEAVE_OUT"]'
        )
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
            "Legacy": type("Legacy", (), {"file": file, "target": label}),
            **columns,
        },
    )


def _unknown_names() -> list[str]:
    known = {name for m in apps.get_models(include_auto_created=True) for name in _names(m)}
    return [
        f'TRANSFER["LEAVE_OUT"] names {name!r}, which is no model and no app of the project'
        for name in conf().leave_out
        if name.lower() not in known | {config.label.lower() for config in apps.get_app_configs()}
    ]


def _left_parents(carried: list[Model]) -> list[str]:
    """References to rows that stay behind."""
    return [
        f"{model._meta.label}.{field.name} refers to {parent._meta.label}, which is not carried "
        f'({_why_not(parent)}): name {model._meta.label} in TRANSFER["LEAVE_OUT"], too'
        for model in carried
        for field, parent in _parents(model)
        if parent not in carried
    ]


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
    return "managed = False" if not model._meta.managed else "it has no table here"


def _attribute(field: Any) -> str:
    """The attribute of a column: its field's, unless every LegacyModel has one of that name."""
    name: str = field.attname
    return f"legacy_{name}" if hasattr(LegacyModel, name) else name


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
    if not target.primary_key:
        label = field.model._meta.label
        raise UnknownField(
            f"{label}.{field.name} refers to {target.model._meta.label}.{target.name}, which is "
            f'not the primary key: name {label} in TRANSFER["LEAVE_OUT"]'
        )
    return kinds.Reference(legacy_table(target.model), _key(target))
