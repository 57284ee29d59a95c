"""Mermaid diagrams of the target's tables."""

from __future__ import annotations

from collections.abc import Sequence

from django.db import connections, models

from stillme.transfer.mapping import split_table


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
