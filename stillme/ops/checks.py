"""System checks: what keeps a domain's schema from moving to another node (docs/scaling.md)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from django.apps import apps
from django.core.checks import CheckMessage, Error, register
from django.db import models

from stillme.ops.replicas import DOMAINS
from stillme.transfer.mapping import split_table


@register("ops")
def domains_can_be_distributed(
    app_configs: Sequence[Any] | None = None, **kwargs: Any
) -> list[CheckMessage]:
    """No foreign key leaves its schema, and every table of a domain is in the domain's schema."""
    return [
        problem
        for model in apps.get_models()
        if model._meta.app_label in DOMAINS and model._meta.managed
        for problem in problems_of(model)
    ]


def problems_of(model: type[models.Model]) -> Iterator[CheckMessage]:
    """What is wrong with one model."""
    schema, _ = split_table(model._meta.db_table)
    if schema != model._meta.app_label:
        yield Error(
            f"{model.__name__} is in the schema {schema}, not in its domain's "
            f"({model._meta.app_label}): a schema is what moves to another node.",
            obj=model,
            id="ops.E001",
        )
    for field in model._meta.local_fields:
        if not isinstance(field, models.ForeignKey) or not getattr(field, "db_constraint", True):
            continue
        other, _ = split_table(field.remote_field.model._meta.db_table)
        if other != schema:
            yield Error(
                f"{model.__name__}.{field.name} refers to the schema {other}: foreign keys "
                "between schemas do not work once the schemas are on different nodes.",
                obj=model,
                id="ops.E002",
            )
