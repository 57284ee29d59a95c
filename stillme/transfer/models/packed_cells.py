"""The column in which a record holds packed cells, by the name of their column."""

from __future__ import annotations

from typing import Any

from django.db import models
from django.db.models.fields.json import KeyTransform


class PackedCells(models.JSONField):
    """A JSON object. What somebody put in its place reads as one cell, which cannot be unpacked.

    So whoever reads a record finds a damaged cell, and nobody has to ask for the shape of it.
    """

    def from_db_value(self, value: Any, expression: Any, connection: Any) -> Any:
        """The cells; ``{"": [1]}`` for ``[1]``. Where one cell was asked for, that cell."""
        found = super().from_db_value(value, expression, connection)
        is_whole = not isinstance(expression, KeyTransform)
        return {"": found} if is_whole and not isinstance(found, dict) else found

    def deconstruct(self) -> Any:
        """As a plain JSONField: it is no matter of migrations."""
        name, _, args, options = super().deconstruct()
        return name, "django.db.models.JSONField", args, options
