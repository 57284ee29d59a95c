"""A filtered list as CSV or JSON: streamed by key, a few thousand rows at a time."""

from __future__ import annotations

import csv
import json
import math
import re
from collections.abc import Iterator
from datetime import date, datetime
from typing import Any

from django.db import models
from django.db.models import QuerySet
from django.http import StreamingHttpResponse

BATCH = 2_000
# What a spreadsheet takes for a formula when a cell begins with it.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")
_NUMBER = re.compile(r"[+-]?\d+(\.\d+)?", re.ASCII)


def export_response(rows: QuerySet[Any], form: str) -> StreamingHttpResponse:
    """The rows as an attachment; `form` is "csv" or "json"."""
    write, kind = _FORMS[form]
    response = StreamingHttpResponse(write(rows), content_type=kind)
    name = rows.model._meta.model_name
    response["Content-Disposition"] = f'attachment; filename="{name}.{form}"'
    return response


def batches(rows: QuerySet[Any], names: list[str]) -> Iterator[list[tuple[Any, ...]]]:
    """All columns of the rows in the order of their keys, each query with a limit."""
    key = rows.model._meta.pk
    assert key is not None
    place = names.index(key.attname)
    rows = rows.order_by("pk").values_list(*names)
    batch = list(rows[:BATCH])
    while batch:
        yield batch
        batch = list(rows.filter(pk__gt=batch[-1][place])[:BATCH]) if len(batch) == BATCH else []


def columns(model: type[models.Model]) -> list[str]:
    """Every column of a table, as the model's attributes."""
    return [field.attname for field in model._meta.concrete_fields]


def csv_lines(rows: QuerySet[Any]) -> Iterator[str]:
    """CSV (RFC 4180) with a header. NULL is an empty cell, like an empty text; what a spreadsheet
    would run begins with an apostrophe."""
    names = columns(rows.model)
    writer = csv.writer(_Echo())
    yield writer.writerow(names)
    for batch in batches(rows, names):
        yield "".join(writer.writerow([csv_cell(value) for value in row]) for row in batch)


def csv_cell(value: Any) -> Any:
    """A value as a spreadsheet may have it."""
    if isinstance(value, dict | list):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, str) and value.startswith(_FORMULA) and not _NUMBER.fullmatch(value):
        return f"'{value}"
    return value


def json_lines(rows: QuerySet[Any]) -> Iterator[str]:
    """One JSON array, an object a line; values exact, NaN and the infinities as words."""
    names = columns(rows.model)
    start = "[\n"
    for batch in batches(rows, names):
        lines = [json.dumps(_object(names, row), ensure_ascii=False) for row in batch]
        yield start + ",\n".join(lines)
        start = ",\n"
    yield "[]\n" if start == "[\n" else "\n]\n"


def _object(names: list[str], row: tuple[Any, ...]) -> dict[str, Any]:
    return {name: _json_value(value) for name, value in zip(names, row, strict=True)}


def _json_value(value: Any) -> Any:
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if value is None or isinstance(value, str | int | float | dict | list):
        return value
    return str(value)


class _Echo:
    """A file that gives back what is written to it."""

    def write(self, text: str) -> str:
        return text


_FORMS = {
    "csv": (csv_lines, "text/csv; charset=utf-8"),
    "json": (json_lines, "application/json"),
}
