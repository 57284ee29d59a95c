"""Numbers, times, references and texts as a person reads them; what was rounded is whole on hover.

A list or a row shows `0.8333` for `0.8333333333333334`, `1,234,567` for `1234567`, a time to the
second with its zone, and the name of a parent in place of its key. Long words of a text may break.
Exports and forms keep what is stored.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any

from django.contrib.admin.utils import quote
from django.db import models
from django.db.models import Prefetch, QuerySet
from django.urls import NoReverseMatch, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from stillme.pages.cells import breakable, listed_text
from stillme.pages.clipped import clip
from stillme.visible import in_one_line

# Characters of a parent's text that are fetched to name it.
NAMED = 90
DIGITS = 4
_KINDS = (models.IntegerField, models.FloatField, models.DateTimeField)


def figure_html(value: Any) -> SafeString:
    """A number or a time; its exact value as the title where less than that is shown."""
    if value is None:
        return SafeString("—")
    if isinstance(value, datetime):
        day, _, time = _time(value).partition(" ")
        # Day and time may stand on two lines in a narrow column.
        return format_html(
            '<span class="console-figure console-time" title="{}">{} <span>{}</span></span>',
            value.isoformat(),
            day,
            time,
        )
    shown, exact = number(value), repr(value)
    if shown == exact:
        return format_html("{}", shown)
    return format_html('<span class="console-figure" title="{}">{}</span>', exact, shown)


def number(value: float) -> str:
    """``0.83333333`` -> ``0.8333``, ``1234567`` -> ``1,234,567``, ``0.99999`` -> ``1.0000``.

    Zeros at the end stand only where a number was rounded.
    """
    if isinstance(value, int):
        return f"{value:,}"
    if not math.isfinite(value):
        return repr(value)
    size = abs(value)
    if size >= 1e15 or 0 < size < 10.0 ** (1 - DIGITS):
        return f"{value:.{DIGITS}g}"
    text = f"{value:,.{DIGITS}f}"
    is_exact = float(text.replace(",", "")) == value
    return text.rstrip("0").rstrip(".") if is_exact else text


def _time(value: datetime) -> str:
    """To the second, with the zone that PostgreSQL gave it in, which is the session's: UTC."""
    return f"{value.replace(tzinfo=None).isoformat(' ', 'seconds')} {value.tzname() or ''}".strip()


def is_figure(field: models.Field[Any, Any]) -> bool:
    """Whether a column is a number or a time that is not a name of something."""
    return isinstance(field, _KINDS) and not (field.primary_key or field.choices)


def column(field: models.Field[Any, Any]) -> Callable[..., str]:
    """A column of a list, or a read-only field of a row's page: a figure, a parent or a text."""
    html = _parent if field.is_relation else _figure if is_figure(field) else _text

    def shown(row: models.Model) -> SafeString:
        return html(row, field)

    # By its name a list finds the column, and the style sheet numbers, which stand to the right.
    is_number = is_figure(field) and not isinstance(field, models.DateTimeField)
    shown.__name__ = f"{field.name}_number" if is_number else field.name
    shown.short_description = field.verbose_name  # type: ignore[attr-defined]
    shown.admin_order_field = field.name  # type: ignore[attr-defined]
    return shown


def _figure(row: models.Model, field: models.Field[Any, Any]) -> SafeString:
    return figure_html(getattr(row, field.attname))


def _text(row: models.Model, field: models.Field[Any, Any]) -> SafeString:
    return listed_text(getattr(row, field.attname))


def _parent(row: models.Model, field: models.Field[Any, Any]) -> SafeString:
    key = getattr(row, field.attname)
    if key is None:
        return SafeString("—")
    # As the list or the page fetched it: None where a reference without constraint leads nowhere.
    parent = field.get_cached_value(row, default=None)  # type: ignore[attr-defined]
    return parent_html(field, key, None if parent is None else str(parent))


def parent_html(field: models.Field[Any, Any], key: Any, name: str | None) -> SafeString:
    """A reference by the parent's name and key, a link to its page."""
    mark = f"#{key}"
    said = in_one_line(name or mark)
    said = said if mark in said else f"{said} ({mark})"
    meta = field.related_model._meta  # type: ignore[union-attr]
    try:
        page = reverse(f"admin:{meta.app_label}_{meta.model_name}_change", args=[quote(key)])
    except NoReverseMatch:
        return format_html("<bdi>{}</bdi>", breakable(said))
    return format_html('<a href="{}"><bdi>{}</bdi></a>', page, breakable(said))


def to_name(model: type[models.Model]) -> QuerySet[Any]:
    """Rows of which no more is fetched than names them: the beginnings of texts, no documents."""
    heavy = [f.name for f in model._meta.concrete_fields if isinstance(f, models.JSONField)]
    return clip(model._default_manager.defer(*heavy), NAMED)


def with_parents(rows: QuerySet[Any], names: Iterable[Any]) -> QuerySet[Any]:
    """The rows, with the parents that these columns show: one query for each such column."""
    shown = {name for name in names if isinstance(name, str)}
    parents = [f for f in rows.model._meta.concrete_fields if f.is_relation]
    wanted = [f for f in parents if shown & {f.name, f.attname}]
    return rows.prefetch_related(*(Prefetch(f.name, to_name(f.related_model)) for f in wanted))


def names_of(model: type[models.Model], keys: Iterable[Any]) -> dict[Any, str]:
    """The names of rows by their keys, in one query."""
    return {row.pk: str(row) for row in to_name(model).filter(pk__in=set(keys) - {None})}
