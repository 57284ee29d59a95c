"""System checks: what keeps a domain's schema from moving to another node; whose the tables are.

docs/howto/run-on-a-cluster.md says what a distributed schema can and cannot do.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Any

from django.apps import apps
from django.core.checks import CheckMessage, Error, Tags, Warning, register
from django.db import connections, models
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.operations import AlterField

from stillme.ops.replicas import DOMAINS
from stillme.postgresql.names import Table
from stillme.postgresql.unowned import PAGE, unowned_sentence, unowned_tables

# The migration engine's schema: its tables stay when it is switched off.
ENGINE = "transfer"


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
    schema = schema_of(model)
    if schema != model._meta.app_label:
        yield Error(
            f"{model.__name__} is in the schema {schema}, not in its domain's "
            f"({model._meta.app_label}): a schema is what moves to another node.",
            obj=model,
            id="ops.E001",
        )
    for field in [*model._meta.local_fields, *model._meta.local_many_to_many]:
        if not isinstance(field, models.ForeignKey | models.ManyToManyField):
            continue
        other = schema_of(field.remote_field.model)
        if other != schema:
            yield _leaves(model, field, other)
    key = model._meta.pk
    # Django's BigAutoField passes for an AutoField.
    if isinstance(key, models.AutoField) and not isinstance(key, models.BigIntegerField):
        yield Error(
            f"{model.__name__}.{key.name} is an identity of less than 64 bits: Citus distributes "
            "none, and the type of a distributed key is final.",
            obj=model,
            id="ops.E004",
        )


def schema_of(model: type[models.Model]) -> str:
    """The schema of a model's table; "public" where its name has none."""
    return Table.parse(model._meta.db_table).schema or "public"


def _leaves(model: type[models.Model], field: Any, other: str) -> CheckMessage:
    """A relation to another schema: a foreign key cannot be, and a query through it is a join."""
    constrained = getattr(field, "db_constraint", True)
    what = "foreign keys" if constrained else "joins"
    return Error(
        f"{model.__name__}.{field.name} refers to the schema {other}: {what} "
        "between schemas do not work once the schemas are on different nodes.",
        obj=model,
        id="ops.E002" if constrained else "ops.E003",
    )


@register("ops")
def keys_keep_their_types(
    app_configs: Sequence[Any] | None = None, **kwargs: Any
) -> list[CheckMessage]:
    """No migration of a domain gives a primary key another type."""
    migrations = MigrationLoader(None).disk_migrations
    return [
        Error(
            f"The migration {app}.{name} alters the primary key {operation.model_name}."
            f"{operation.name}: a distributed table's cannot be altered.",
            id="ops.E005",
        )
        for (app, name), migration in migrations.items()
        if app in DOMAINS
        for operation in migration.operations
        if isinstance(operation, AlterField) and operation.field.primary_key
    ]


@register(Tags.database)
def tables_have_owners(
    app_configs: Sequence[Any] | None = None,
    databases: Collection[str] | None = None,
    **kwargs: Any,
) -> list[CheckMessage]:
    """Every table is of an installed app: asked by `check --database default` and `migrate`."""
    if "default" not in (databases or ()):
        return []
    sentence = unowned_sentence(unowned_tables(connections["default"], {ENGINE}))
    hint = f"See {PAGE}: point that program at a database of its own, or drop the tables."
    return [Warning(f"{sentence}.", hint=hint, id="ops.W006")] if sentence else []
