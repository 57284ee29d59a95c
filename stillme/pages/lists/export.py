"""A filtered list as CSV or JSON: streamed by key, some rows and some bytes at a time.

CSV is PostgreSQL's own: NULL is an empty cell, an empty text is `""`, so that COPY reads both back.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Collection, Iterable, Iterator
from datetime import date, datetime
from typing import Any

from django.db import models
from django.db.models import QuerySet, Value
from django.http import StreamingHttpResponse

from stillme.pages.clipped import as_text, size_of

BATCH = 2_000
# A query fetches rows of so many bytes, or one row that is larger.
BYTES = 8_000_000
# What a spreadsheet takes for a formula when a cell begins with it: some also after blanks, quotes
# and marks of no width, some in the wide letters of East Asian scripts.
_FORMULA = re.compile("[\t\r\n]|[\\s\"'\ufeff\u200b\u2060]*[=+\\-@\uff1d\uff0b\uff0d\uff20]")
_SPECIAL = re.compile(r'[",\r\n]|^\s|\s$')
_NUMBER = re.compile(r"[+-]?\d+(\.\d+)?", re.ASCII)


def export_response(rows: QuerySet[Any], form: str) -> StreamingHttpResponse:
    """The rows as an attachment; `form` is "csv" or "json"."""
    write, kind = _FORMS[form]
    response = StreamingHttpResponse(write(rows), content_type=kind)
    name = rows.model._meta.model_name
    response["Content-Disposition"] = f'attachment; filename="{name}.{form}"'
    return response


def batches(rows: QuerySet[Any], names: list[str]) -> Iterator[list[tuple[Any, ...]]]:
    """All columns of the rows in the order of their keys, each query with a limit.

    The sizes are asked first: two thousand documents of 10 MB would not fit into memory. Documents
    come as PostgreSQL spells them: Python reads no deep one, and rounds numbers.
    """
    rows = rows.order_by("pk")
    spelled = documents(rows.model)
    wanted = [spelled.get(name, name) for name in names]
    sizes = rows.annotate(_size=row_size(rows.model)).values_list("pk", "_size")
    sized = list(sizes[:BATCH])
    while sized:
        for first, last in _pieces(sized):
            yield list(rows.filter(pk__gte=first, pk__lte=last).values_list(*wanted)[:BATCH])
        more = len(sized) == BATCH
        sized = list(sizes.filter(pk__gt=sized[-1][0])[:BATCH]) if more else []


def _pieces(sized: list[tuple[Any, int]]) -> Iterator[tuple[Any, Any]]:
    """First and last key of as many rows as have `BYTES` together, but of one at least."""
    first, last, total = sized[0][0], sized[0][0], 0
    for key, size in sized:
        if total and total + size > BYTES:
            yield first, last
            first, total = key, 0
        last, total = key, total + size
    yield first, last


def row_size(model: type[models.Model]) -> Any:
    """The bytes of a row's long columns."""
    total: Any = Value(0)
    for size in map(size_of, model._meta.concrete_fields):
        total = total if size is None else total + size
    return total


def documents(model: type[models.Model]) -> dict[str, Any]:
    """The columns of JSON, each with what asks for its text."""
    fields = (f for f in model._meta.concrete_fields if isinstance(f, models.JSONField))
    return {field.attname: as_text(field) for field in fields}


def columns(model: type[models.Model]) -> list[str]:
    """Every column of a table, as the model's attributes."""
    return [field.attname for field in model._meta.concrete_fields]


def csv_lines(rows: QuerySet[Any]) -> Iterator[str]:
    """CSV (RFC 4180) with a header; what a spreadsheet would run begins with an apostrophe."""
    names = columns(rows.model)
    yield csv_line(names)
    for batch in batches(rows, names):
        yield "".join(csv_line([csv_cell(value) for value in row]) for row in batch)


def csv_line(cells: Iterable[Any]) -> str:
    """One record. Python's writer does not tell NULL from an empty text before 3.12."""
    return ",".join(_quoted(cell) for cell in cells) + "\r\n"


def _quoted(cell: Any) -> str:
    if cell is None:
        return ""
    text = str(cell)
    if text and text != "\\." and not _SPECIAL.search(text):
        return text
    doubled = text.replace('"', '""')
    return f'"{doubled}"'


def csv_cell(value: Any) -> Any:
    """A value as a spreadsheet may have it."""
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, str) and _FORMULA.match(value) and not _NUMBER.fullmatch(value):
        return f"'{value}"
    return value


def json_lines(rows: QuerySet[Any]) -> Iterator[str]:
    """One JSON array, an object a line; values exact, NaN and the infinities as words."""
    names = columns(rows.model)
    spelled = {names.index(name) for name in documents(rows.model)}
    keys = [f"{json.dumps(name, ensure_ascii=False)}: " for name in names]
    start = "[\n"
    for batch in batches(rows, names):
        lines = [_object(keys, row, spelled) for row in batch]
        yield start + ",\n".join(lines)
        start = ",\n"
    yield "[]\n" if start == "[\n" else "\n]\n"


def _object(keys: list[str], row: tuple[Any, ...], spelled: Collection[int]) -> str:
    """One row; the cells at the places `spelled` are JSON already."""
    cells = (
        value
        if at in spelled and value is not None
        else json.dumps(_json_value(value), ensure_ascii=False)
        for at, value in enumerate(row)
    )
    return f"{{{', '.join(key + cell for key, cell in zip(keys, cells, strict=True))}}}"


def _json_value(value: Any) -> Any:
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if value is None or isinstance(value, str | int | float):
        return value
    return str(value)


_FORMS = {
    "csv": (csv_lines, "text/csv; charset=utf-8"),
    "json": (json_lines, "application/json"),
}
