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
from stillme.transfer.kinds import Kind
from stillme.transfer.legacy import Column, LegacyModel
from stillme.transfer.project.fields import UnknownField, kind_of
from stillme.transfer.registry import legacy_files, registered

ENGINE = "transfer"
Model = type[models.Model]
# It is asked for the types that Django gives its columns, and never opened.
_SQLITE = DatabaseWrapper({"NAME": ":memory:", "OPTIONS": {}}, "transfer_types")

# What keeps the mapping from being complete, as sentences: for the system checks and the commands.
problems: list[str] = []


def build() -> None:
    """Build the legacy models of the file that nobody declared any for."""
    problems.clear()
    declared = {model.legacy.file for model in registered()}
    files = [file.name for file in legacy_files() if file.name not in declared]
    if len(files) > 1:
        problems.append(
            f"TRANSFER names {len(files)} files of which no app declares a LegacyModel "
            f"({', '.join(files)}): one file can have the project's own models"
        )
    elif files:
        for model in carried_models():
            _build(model, files[0])


def carried_models() -> list[Model]:
    """The models whose tables are carried."""
    targets = {model.target_model() for model in registered()}
    return [m for m in project_models() if m not in targets and not is_left_out(m)]


def project_models() -> list[Model]:
    """Every model that `migrate` makes a table for, the engine's own not among them."""
    return [
        model
        for model in apps.get_models(include_auto_created=True)
        if model._meta.managed
        and not model._meta.proxy
        and not model._meta.swapped
        and model._meta.app_label != ENGINE
        and router.allow_migrate_model("default", model)
    ]


def is_left_out(model: Model) -> bool:
    """Whether TRANSFER["LEAVE_OUT"] names the model or its app."""
    names = {name.lower() for name in conf().leave_out}
    return bool({model._meta.label_lower, model._meta.app_label.lower()} & names)


def legacy_table(model: Model) -> str:
    """The name of a model's table in the file."""
    return model._meta.db_table.replace('"', "").rpartition(".")[2]


def _build(model: Model, file: str) -> None:
    label = model._meta.label
    columns = {}
    for field in model._meta.local_concrete_fields:
        try:
            columns[_attribute(field)] = Column(
                _key(field) if field.primary_key else _value(field),
                _declaration(field),
                db_column=field.column,
            )
        except UnknownField as error:
            problems.append(str(error))
    if type(model._meta.pk).__name__ == "CompositePrimaryKey":
        problems.append(f"{label} has a key of several columns")
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
    return kinds.TextKey() if isinstance(kind, kinds.Text) else kind


def _value(field: Any) -> Kind:
    if not field.is_relation:
        return kind_of(field)
    target = field.target_field
    if not vars(field)["db_constraint"]:
        return _value(target)
    if not target.primary_key:
        raise UnknownField(
            f"{field.model._meta.label}.{field.name} refers to {target.model._meta.label}."
            f"{target.name}, which is not the primary key: leave both models out"
        )
    return kinds.Reference(legacy_table(target.model), _key(target))
