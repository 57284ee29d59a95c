"""The tables of docs/reference/values.md: kinds of values, and what becomes of odd ones."""

from __future__ import annotations

import inspect
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import fields
from typing import Any

from django.db import models

from stillme.ops.documentation.tables import code, table
from stillme.ops.documentation.value_examples import HANOI, ODD, WRITTEN_BACK, Examples, Value
from stillme.transfer import kinds
from stillme.transfer.kinds import Kind
from stillme.transfer.project.fields import kind_of
from stillme.transfer.quarantine.reasons import in_words
from stillme.transfer.steps.kinds import LOADERS, convert, loader_of
from stillme.transfer.steps.kinds.base import Refused
from vector.legacy import REASONS

# Kinds that cannot be made without arguments.
_MADE: dict[type[Kind], Kind] = {
    kinds.Decimal: kinds.Decimal(10, 2),
    kinds.Reference: kinds.Reference("parent"),
}
FIELDS = (
    models.TextField(), models.CharField(), models.SlugField(), models.EmailField(),
    models.URLField(), models.FileField(), models.FilePathField(), models.SmallIntegerField(),
    models.IntegerField(), models.BigIntegerField(), models.PositiveSmallIntegerField(),
    models.PositiveIntegerField(), models.PositiveBigIntegerField(), models.FloatField(),
    models.DecimalField(max_digits=10, decimal_places=2), models.BooleanField(), models.JSONField(),
    models.DateTimeField(), models.DateField(), models.TimeField(), models.DurationField(),
    models.UUIDField(), models.BinaryField(), models.GenericIPAddressField(),
)  # fmt: skip


def kinds_of_values() -> Iterator[str]:
    """Each kind: Django's fields of it, what it means, SQLite's storage class of it."""
    of_django = defaultdict(list)
    for field in FIELDS:
        of_django[type(kind_of(field))].append(type(field).__name__.removesuffix("Field"))
    rows = (
        (
            code(f"{kind.__name__}({', '.join(each.name for each in fields(kind))})"),
            ", ".join(of_django[kind]),
            (inspect.getdoc(kind) or "").split("\n\n")[0].replace("``", "`"),
            "as the key" if kind is kinds.Reference else (_MADE.get(kind) or kind()).storage,
        )
        for kind in LOADERS
    )
    return table(("kind", "Django's fields", "is", "stored as"), rows)


def odd_values() -> Iterator[str]:
    """What becomes of each odd value, by kind and reason."""
    rows = (row for examples in ODD for row in _rows(examples))
    return table(("column of", "stored, and loaded as", "outcome", "reason"), rows)


def written_back() -> Iterator[str]:
    """What a rollback writes, and why that is not all of the value."""
    rows = (
        (column, *_written(kind, value)) for column, kind, held in WRITTEN_BACK for value in held
    )
    return table(("column of", "PostgreSQL has", "written", "kept aside as"), rows)


def vector_reasons() -> Iterator[str]:
    """Why a row of the vector store is set aside, besides the reasons of every store."""
    return table(("reason", "means"), ((code(name), text) for name, text in REASONS.items()))


def _written(kind: Kind, value: Any) -> tuple[str, str, str]:
    back = loader_of(kind).spell_back(value, HANOI.clock, required=False, explicit=False)
    written = "NULL" if back.value is None else _literal(back.value)
    return code(value), written, code(back.lost) if back.lost else ""


def _rows(examples: Examples) -> Iterator[tuple[str, str, str, str]]:
    """A row for each outcome, with the values that have it."""
    found: dict[tuple[str, str], list[str]] = defaultdict(list)
    for value in examples.stored:
        outcome, reason, loaded = _outcome(examples, value)
        found[outcome, reason].append(_literal(value) + loaded)
    for (outcome, reason), shown in found.items():
        words = f"{code(reason)}: {in_words(reason)}"
        yield examples.column, "; ".join(shown), outcome, words


def _outcome(examples: Examples, value: Value) -> tuple[str, str, str]:
    """The outcome, its reason, and what is loaded (``, `7` ``), by the loader itself."""
    storage = {int: "integer", float: "real", str: "text", bytes: "blob"}[type(value)]
    raw = value.encode() if isinstance(value, str) else value
    try:
        cell = convert(examples.kind, False, storage, raw, examples.row)
    except Refused as refused:
        return "quarantined", refused.reason, ""
    outcome = "repaired" if cell.repaired else "loaded, original kept"
    return outcome, cell.reason, f" as {code(cell.text)}"


def _literal(value: Value) -> str:
    """A value as SQL spells it."""
    if isinstance(value, bytes):
        return code(f"x'{value.hex()}'")
    return code("'" + value.replace("\0", "␀") + "'" if isinstance(value, str) else value)
