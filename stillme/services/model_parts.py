"""What the target models of all domains share: long index names, the empty JSON default."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.db import models
from django.db.models import Value


class NamedIndex(models.Index):
    """An index whose name may be as long as PostgreSQL allows.

    Django stops at 30 characters for the sake of other databases; the names of this schema are
    given (``idx_knowledge_items_retention_score`` has 35). Migrations see a plain `Index`.
    """

    max_name_length = 63

    def deconstruct(self) -> tuple[str, Sequence[Any], dict[str, Any]]:
        """As a plain index: a migration file must outlive this class."""
        _, args, kwargs = super().deconstruct()
        return "django.db.models.Index", args, kwargs

    # Django's indexes are unhashable too.
    __hash__ = None  # type: ignore[assignment]

    def __eq__(self, other: object) -> bool:
        """Equal to the plain index that a migration holds."""
        if isinstance(other, models.Index):
            return bool(self.deconstruct() == other.deconstruct())
        return NotImplemented


def empty_json() -> Value:
    """The database default ``'{}'::jsonb``."""
    return Value({}, models.JSONField())
