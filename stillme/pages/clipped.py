"""Texts and documents that are cut by the database: what no page shows is not fetched.

`clip` is for many rows, whose texts come as their beginnings. `clipped_row` is for the page of one
row: what is longer than `EDIT`, or nested more than `DEEP` levels, comes as its beginning and its
size, and is read-only there.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.db import models
from django.db.models import F, Func, QuerySet, Value
from django.db.models.functions import Cast, Coalesce, Left, Substr
from django.db.models.query import ModelIterable

from stillme.pages.cells import LONG, Clipped
from stillme.postgresql.json_depth import is_deeper

# Bytes. What is longer can be saved as a file, and is not to be corrected in a browser's form.
EDIT = 100_000
# Levels. Python reads and writes no document of some hundreds, which an application may store.
DEEP = 100
# Characters of a text that is saved, by query.
PIECE = 1_000_000
# A document that is stored in less is not written out to see how long it is.
SMALL = 100
_DOCUMENT = (
    f"CASE WHEN pg_column_size(%(expressions)s) > {SMALL} "
    "THEN octet_length(%(expressions)s::text) ELSE 0 END"
)


def size_of(field: models.Field[Any, Any]) -> Any:
    """The bytes of a column that may be long, else None; those of a text are known unread."""
    if isinstance(field, models.TextField):
        return _number("octet_length(%(expressions)s)", field)
    if isinstance(field, models.JSONField):
        # What is stored may be compressed.
        return _number(_DOCUMENT, field)
    if isinstance(field, models.IntegerField | models.FloatField | models.DateField):
        return None
    return _number("pg_column_size(%(expressions)s)", field)


def _number(template: str, field: models.Field[Any, Any]) -> Any:
    big = models.BigIntegerField()
    size = Func(F(field.attname), template=template, output_field=big)
    return Coalesce(size, Value(0), output_field=big)


def texts(model: type[models.Model]) -> list[str]:
    """The columns of free text, without the key."""
    fields = (f for f in model._meta.concrete_fields if isinstance(f, models.TextField))
    return [f.attname for f in fields if not f.primary_key and not f.choices]


def clip(rows: QuerySet[Any], length: int) -> QuerySet[Any]:
    """The same rows with so many characters of each text, and an ellipsis where there are more."""
    names = texts(rows.model)
    starts = {f"_{name}_start": Left(F(name), length + 1) for name in names}
    cut: QuerySet[Any] = rows.defer(*names).annotate(**starts)
    cut._iterable_class = _of_length(length)
    return cut


def _of_length(length: int) -> type[ModelIterable[Any]]:
    class Cut(ModelIterable):  # type: ignore[type-arg]
        """Rows whose texts are their beginnings."""

        def __iter__(self) -> Iterator[Any]:
            names = texts(self.queryset.model)
            for row in super().__iter__():
                for name in names:
                    start = row.__dict__.pop(f"_{name}_start", None)
                    long = start is not None and len(start) > length
                    row.__dict__[name] = f"{start[:length]}…" if long else start
                yield row

    return Cut


def clipped_row(rows: QuerySet[Any], key: Any) -> Any:
    """The row with this key, its long texts and documents clipped; None without it."""
    fields = {f.attname: f for f in rows.model._meta.concrete_fields if _may_be_long(f)}
    sizes = {f"_{name}_size": size_of(field) for name, field in fields.items()}
    one = rows.filter(pk=key)
    found = one.order_by().annotate(**sizes).values_list("pk", *sizes)[:1]
    if not found:
        return None
    size = dict(zip(fields, found[0][1:], strict=True))
    long = {name for name in fields if size[name] > EDIT}
    trees = {name for name, field in fields.items() if isinstance(field, models.JSONField)}
    try:
        row = _with_starts(one, {name: fields[name] for name in long})
    except RecursionError:
        deep = trees
    else:
        deep = {n for n in trees - long if row is not None and is_deep(row.__dict__.get(n))}
    if deep:
        long |= deep
        row = _with_starts(one, {name: fields[name] for name in long})
    for name in long if row is not None else ():
        start = row.__dict__.pop(f"_{name}_start")
        row.__dict__[name] = None if start is None else Clipped(start, size[name] or len(start))
    return row


def _with_starts(one: QuerySet[Any], long: dict[str, models.Field[Any, Any]]) -> Any:
    """The row, of its long columns the beginnings only."""
    starts = {f"_{name}_start": Left(as_text(field), LONG) for name, field in long.items()}
    return one.defer(*long).annotate(**starts).first()


def is_deep(document: Any) -> bool:
    """Whether a document has more than `DEEP` levels of lists and objects."""
    return is_deeper(document, DEEP + 1)


def _may_be_long(field: models.Field[Any, Any]) -> bool:
    return isinstance(field, models.TextField | models.JSONField) and not field.primary_key


def as_text(field: models.Field[Any, Any]) -> Any:
    """A text or a document as text."""
    return Cast(F(field.attname), models.TextField())


def pieces(rows: QuerySet[Any], field: models.Field[Any, Any]) -> Iterator[str]:
    """A long cell of one row, a piece at a time."""
    start = 1
    while piece := rows.values_list(Substr(as_text(field), start, PIECE), flat=True)[:1].get():
        yield piece
        start += PIECE
