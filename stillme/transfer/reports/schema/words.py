"""Types, defaults and indexes of columns in the words of the schema documentation; its diagrams."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from django.db import connections, models
from django.db.models.functions import Now

from stillme.transfer.mapping import split_table


def column_type(field: models.Field) -> str:  # type: ignore[type-arg]
    """``text, required``. Asks Django's tables of types, not a server."""
    name = field.db_type(connections["default"]) or ""
    words = name.replace("timestamp with time zone", "timestamptz")
    if field.primary_key:
        return f"{words}, key"
    return words if field.null else f"{words}, required"


def default_words(field: models.Field) -> str:  # type: ignore[type-arg]
    """The database default; empty where there is none."""
    if not field.has_db_default():
        return "identity" if isinstance(field, models.AutoField | models.BigAutoField) else ""
    default: Any = field.db_default
    if isinstance(default, Now):
        return "now"
    value = getattr(default, "value", default)
    return f"`{value}`"


def objects(model: type[models.Model]) -> Iterator[str]:
    """Indexes and constraints, a line each: what Django makes by the model's Meta as its SQL."""
    connection = connections["default"]
    editor = connection.SchemaEditorClass(connection, collect_sql=True, atomic=False)
    for each in model._meta.indexes:
        yield f"`{each.create_sql(model, editor)}`"
    for field in model._meta.local_concrete_fields:
        if isinstance(field, models.ForeignKey):
            parent = field.related_model._meta.db_table.replace('"', "")
            yield f"{field.column} references {parent}"
        if field.unique and not field.primary_key:
            yield f"{field.column} is unique"
        elif getattr(field, "db_index", False) and not field.unique:
            yield f"index on {field.column}"
    for constraint in model._meta.constraints:
        yield f"`{constraint.create_sql(model, editor)}`"


def diagram(schema: str, found: Sequence[type[models.Model]]) -> str:
    """One `erDiagram` of the tables of one schema."""
    lines = ["```mermaid", "---", f"title: {schema}", "---", "erDiagram"]
    for model in found:
        lines += _entity(model)
    for model in found:
        lines += _relations(model)
    return "\n".join([*lines, "```"])


def _name(model: type[models.Model]) -> str:
    return split_table(model._meta.db_table)[1]


def _entity(model: type[models.Model]) -> list[str]:
    lines = [f"    {_name(model)} {{"]
    for field in model._meta.local_concrete_fields:
        mark = " PK" if field.primary_key else " FK" if field.is_relation else ""
        lines.append(f"        {_type(field)} {field.column}{mark}")
    return [*lines, "    }"]


def _type(field: models.Field) -> str:  # type: ignore[type-arg]
    """One word: the diagram's language takes no spaces in a type."""
    name = (field.db_type(connections["default"]) or "").split("(")[0]
    words = {"timestamp with time zone": "timestamptz", "double precision": "double"}
    return words.get(name, name).replace(" ", "_").replace("[]", "_array")


def _relations(model: type[models.Model]) -> list[str]:
    return [
        f"    {_name(field.related_model)} ||--o{{ {_name(model)} : {field.column}"
        for field in model._meta.local_concrete_fields
        if isinstance(field, models.ForeignKey)
    ]
