"""Types, defaults and indexes of columns in the words of the schema documentation; its diagrams."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from django.contrib.postgres.indexes import PostgresIndex
from django.db import connections, models
from django.db.models.expressions import OrderBy
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


def index_words(model: type[models.Model]) -> Iterator[str]:
    """One line per declared index, and per foreign key with an index of its own."""
    for index in model._meta.indexes:
        parts = [_field_words(model, name, order) for name, order in index.fields_orders]
        parts += [_expression_words(model, expression) for expression in index.expressions]
        text = f"`{index.name}` ({', '.join(parts)})"
        if isinstance(index, PostgresIndex):
            text += f" using {type(index).__name__.removesuffix('Index').lower()}"
        if index.include:
            text += f" including {', '.join(index.include)}"
        yield text + (" where " + _condition(index.condition) if index.condition else "")
    for field in model._meta.local_concrete_fields:
        if getattr(field, "db_index", False) and not field.unique:
            yield f"on {field.column}"


def _condition(condition: models.Q) -> str:
    return " and ".join(
        f"{name} = {value!r}" if isinstance(value, str) else f"{name}: {value}"
        for name, value in (child for child in condition.children if isinstance(child, tuple))
    )


def _field_words(model: type[models.Model], name: str, order: str) -> str:
    column = model._meta.get_field(name).column  # type: ignore[union-attr]
    return f"{column} {order.lower()}".strip()


def _expression_words(model: type[models.Model], expression: Any) -> str:
    if not isinstance(expression, OrderBy):
        return str(expression)
    inner: Any = expression.expression
    words = [str(model._meta.get_field(inner.name).column)]  # type: ignore[union-attr]
    words += ["desc"] if expression.descending else []
    words += ["nulls last"] if expression.nulls_last else []
    return " ".join(words)


def constraint_words(model: type[models.Model]) -> Iterator[str]:
    """Foreign keys, checks and uniques."""
    for field in model._meta.local_concrete_fields:
        if isinstance(field, models.ForeignKey):
            parent = field.related_model._meta.db_table.replace('"', "")
            yield f"{field.column} references {parent}"
        elif field.unique and not field.primary_key:
            yield f"{field.column} is unique"
    for constraint in model._meta.constraints:
        if isinstance(constraint, models.UniqueConstraint):
            yield f"`{constraint.name}`: {', '.join(constraint.fields)} together are unique"
        elif isinstance(constraint, models.CheckConstraint):
            yield f"`{constraint.name}`: {_check(constraint.condition)}"


def _check(condition: Any) -> str:
    parts = []
    for name, value in (child for child in condition.children if isinstance(child, tuple)):
        column, _, lookup = name.partition("__")
        listed = ", ".join(map(str, value)) if lookup == "in" else str(value)
        parts.append(f"{column} is one of {listed}" if lookup == "in" else f"{name} {listed}")
    return " and ".join(parts) or "a condition"


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
