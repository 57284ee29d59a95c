"""From a number to its rows: the admin's list with the filters by which the number was counted."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from django.contrib.admin.utils import quote
from django.db import models
from django.urls import reverse

# Letters of a value that stand for it; a longer one is found by its beginning.
LONGEST = 200


def list_address(model: type[models.Model], filters: Mapping[str, Any]) -> str:
    """The list of the model's rows that these lookups choose."""
    texts = {
        name: value.isoformat() if isinstance(value, datetime) else value
        for name, value in filters.items()
    }
    address = reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")
    return f"{address}?{urlencode(texts)}" if texts else address


def row_address(model: type[models.Model], key: Any) -> str:
    """The page of one row."""
    place = f"admin:{model._meta.app_label}_{model._meta.model_name}_change"
    return reverse(place, args=[quote(key)])


def filtered(
    column: str, value: str | None, words: Mapping[str, tuple[str, ...]] | None = None
) -> dict[str, str]:
    """The lookup of a value, of the values that a word stands for, or of a long one's beginning."""
    if value is None:
        return {f"{column}__isnull": "True"}
    if words and value in words:
        return {f"{column}__in": ",".join([*words[value], value])}
    if len(value) > LONGEST:
        return {f"{column}__startswith": value}
    return {column: value}
