"""System checks: a LegacyModel whose mapping cannot work is refused at start."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from django.core.checks import CheckMessage, Error, Warning, register
from django.db import models

from stillme.transfer.kinds import Reference, Timestamp
from stillme.transfer.legacy import EXTRA_COLUMN, LegacyModel
from stillme.transfer.project.files import is_built
from stillme.transfer.project.models import problems as own_problems
from stillme.transfer.project.target import no_postgresql
from stillme.transfer.registry import legacy_models, registered


@register("transfer")
def target_is_postgresql(
    app_configs: Sequence[Any] | None = None, **kwargs: Any
) -> list[CheckMessage]:
    """A warning only: after a rollback the project may run on SQLite with the engine installed."""
    said = no_postgresql()
    return [Warning(f"{said}.", id="transfer.W001")] if said else []


@register("transfer")
def mappings_have_targets(
    app_configs: Sequence[Any] | None = None, **kwargs: Any
) -> list[CheckMessage]:
    """Every legacy column has a home in the target, every reference a parent.

    Where two models mean one table or one target, that is said alone: nothing else can be asked
    then.
    """
    # What keeps the project's own models from being the mapping.
    own: list[CheckMessage] = [Error(f"{said}.", id="transfer.E009") for said in own_problems]
    if alone := own or _doubles():
        return alone
    return [p for model in legacy_models() for p in (*_problems(model), *_orders(model))]


def _doubles() -> list[CheckMessage]:
    """Models that have a table, or a target, in common with one before."""
    seen: dict[object, type[LegacyModel]] = {}
    problems: list[CheckMessage] = []
    for model in sorted(registered(), key=lambda model: model._meta.label):
        for what in (model.identity(), model.target_model()):
            first = seen.setdefault(what, model)
            if first is not model:
                name = what if isinstance(what, tuple) else model.legacy.target
                problems.append(
                    Error(
                        f"{first.__name__} and {model.__name__} both have {name}: rows of the one "
                        "would be taken for rows of the other.",
                        obj=model,
                        id="transfer.E005",
                    )
                )
    return problems


def _problems(model: type[LegacyModel]) -> list[CheckMessage]:
    target = model.target_model()
    names = {field.column for field in target._meta.local_concrete_fields}
    tables = {m._meta.db_table for m in legacy_models(model.legacy.file)}
    problems: list[CheckMessage] = list(_keys(model))
    for column in model.columns():
        if column.target_name not in names:
            problems.append(
                Error(
                    f"{model.__name__}.{column.name} maps to {column.target_name!r}, "
                    f"which {target.__name__} has not.",
                    obj=model,
                    id="transfer.E001",
                )
            )
        if isinstance(column.kind, Reference) and column.kind.parent not in tables:
            problems.append(
                Error(
                    f"{model.__name__}.{column.name} refers to {column.kind.parent!r}, "
                    "which is not a legacy table of the same file.",
                    obj=model,
                    id="transfer.E002",
                )
            )
    # A target without `legacy_extra` is fine: what it cannot keep is open in the inventory.
    extra = next((f for f in target._meta.get_fields() if f.name == EXTRA_COLUMN), None)
    fits = isinstance(extra, models.JSONField) and extra.null
    if extra is not None and model.keeps_extra() and not fits:
        problems.append(
            Error(
                f"{target.__name__}.legacy_extra must be a nullable JSONField: "
                "undeclared legacy columns go there.",
                obj=target,
                id="transfer.E003",
            )
        )
    return problems


def _keys(model: type[LegacyModel]) -> Iterator[CheckMessage]:
    """A key of a kind that no key can have."""
    if is_built(model.legacy.file):
        # Told of the project's own model (`project.models`).
        return
    for column in (column for column in model.columns() if column.is_key):
        kind = column.kind.key if isinstance(column.kind, Reference) else column.kind
        if not kind.key_type:
            yield Error(
                f"{model.__name__}.{column.name} is a key of the kind {kind.name!r}: a key is a "
                "whole number, a text or a UUID.",
                hint="Give the table another key, or leave it out.",
                obj=model,
                id="transfer.E008",
            )


def _orders(model: type[LegacyModel]) -> list[CheckMessage]:
    """Times that come after a column which the table does not declare."""
    times = {c.column: c.kind for c in model.columns() if isinstance(c.kind, Timestamp)}
    return [
        Error(
            f"{model.__name__}.{name} comes after {kind.after!r}, not a time of that table.",
            obj=model,
            id="transfer.E006",
        )
        for name, kind in times.items()
        if kind.after is not None and kind.after not in times
    ]
