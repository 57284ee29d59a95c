"""Fields of the vector models: float32 arrays, and metadata that keeps its numbers' types."""

from __future__ import annotations

import json
from array import array
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from django.contrib.postgres.fields import ArrayField
from django.db import models

# Of an item's id, in bytes: a btree entry has at most 2,704.
LONGEST_ID = 2_000


class Real4Field(models.FloatField):  # type: ignore[type-arg]
    """PostgreSQL's `real`: 32 bits. Django's FloatField would be `double precision`."""

    def db_type(self, connection: Any) -> str:
        """The column's type."""
        return "real"


class EmbeddingField(ArrayField):  # type: ignore[type-arg]
    """`real[]`: the float32 of an embedding, bit by bit, on any PostgreSQL."""

    def __init__(self, **options: Any) -> None:
        options.pop("base_field", None)
        super().__init__(base_field=Real4Field(), **options)

    def deconstruct(self) -> tuple[str, str, list[Any], dict[str, Any]]:
        """The base field is always the same: a migration need not name it."""
        name, path, args, options = super().deconstruct()
        options.pop("base_field", None)
        return name, path, list(args), options

    def from_db_value(self, value: Sequence[float] | None, *_: Any) -> list[float] | None:
        """The float32 as doubles, not the doubles nearest to their short decimal forms."""
        return None if value is None else array("f", value).tolist()


class MetadataEncoder(json.JSONEncoder):
    """JSON whose floats are still floats after a journey through jsonb.

    jsonb keeps a number as numeric: 1e16 would come back as 10000000000000000, an integer.
    """

    def encode(self, value: Any) -> str:
        """The JSON text of a flat mapping; anything else as the standard encoder has it."""
        if not isinstance(value, Mapping):
            return scalar_json(value)
        inner = (
            f"{json.dumps(str(k), ensure_ascii=False)}: {scalar_json(v)}" for k, v in value.items()
        )
        return "{" + ", ".join(inner) + "}"


def scalar_json(value: Any) -> str:
    """The JSON text of one value, or of a list of such.

    A whole float beyond repr's digits is written out with `.0`.
    """
    if isinstance(value, list):
        return "[" + ", ".join(map(scalar_json, value)) + "]"
    text = json.dumps(value, ensure_ascii=False)
    if isinstance(value, float) and "e" in text and value.is_integer():
        return format(Decimal(text), "f") + ".0"
    return text
