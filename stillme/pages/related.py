"""Rows of other tables that belong to a target row, in line with it, and the way to all of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.apps import apps
from django.contrib import admin
from django.contrib.admin.utils import quote
from django.db import models
from django.db.models import F
from django.db.models.functions import Left
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.http import urlencode
from django.utils.safestring import SafeString

from stillme.pages.cells import READ, foldable, target_html, text_html
from stillme.pages.clipped import texts
from stillme.pages.figures import figure_html, names_of, parent_html
from stillme.pages.lists.big_list import key_ordered, newest_of_few
from stillme.pages.once import once

SHOWN = 50


@dataclass(frozen=True, slots=True)
class Related:
    """Rows of `model` ("app.Model") whose `column` is the row's key; `columns` are shown."""

    model: str
    column: str
    columns: tuple[str, ...]
    title: str

    def as_field(self) -> Callable[[Any], str]:
        """A read-only field of an admin page."""

        @admin.display(description=self.title)
        def shown(row: models.Model) -> SafeString:
            name = f"{self.model}.{self.column}"
            found: SafeString = once(row, name, lambda: related_table(self, row))
            return found

        return shown


def related_table(related: Related, row: models.Model) -> SafeString:
    """HTML: the newest `SHOWN` rows, each a link, and a link to the list of all of them."""
    model = apps.get_model(related.model)
    found = model._default_manager.filter(**{related.column: row.pk}).order_by(
        "-pk" if related.column in key_ordered(model) else newest_of_few()
    )
    values = list(found.values_list("pk", *_columns(model, related))[: SHOWN + 1])
    if not values:
        return SafeString("none")
    place = f"admin:{model._meta.app_label}_{model._meta.model_name}"
    head = format_html_join("", '<th scope="col">{}</th>', ((n,) for n in ("id", *related.columns)))
    shown = _readable(model, related.columns, values[:SHOWN])
    body = format_html_join("", "<tr>{}</tr>", ((_cells(place, row),) for row in shown))
    table = format_html(
        '<div class="console-wide" tabindex="0" role="region" aria-label="{}"><table>'
        "<thead><tr>{}</tr></thead><tbody>{}</tbody></table></div>",
        related.title,
        head,
        body,
    )
    asked = urlencode({f"{related.column}__exact": row.pk})
    every = f"{reverse(f'{place}_changelist')}?{asked}"
    more = "all of them" if len(values) > SHOWN else "as a list"
    return format_html('{}<p class="console"><a href="{}">{}</a></p>', table, every, more)


def _columns(model: type[models.Model], related: Related) -> list[Any]:
    """What is shown; of a text its beginning."""
    long = texts(model)
    return [Left(F(n), READ + 1) if n in long else n for n in related.columns]


def _readable(
    model: type[models.Model], columns: tuple[str, ...], rows: list[tuple[Any, ...]]
) -> Iterator[tuple[Any, ...]]:
    """The key of each row and its cells as HTML; a reference by its parent's name."""
    fields = {f.attname: f for f in model._meta.concrete_fields}
    names: dict[str, dict[Any, str]] = {}
    for at, column in enumerate(columns, 1):
        if column in fields and (parent := fields[column].related_model) is not None:
            names[column] = names_of(parent, (row[at] for row in rows))
    for key, *values in rows:
        cells = (
            parent_html(fields[column], value, names[column].get(value))
            if column in names and value is not None
            else _shown(value)
            for column, value in zip(columns, values, strict=True)
        )
        yield key, *cells


def _cells(place: str, row: tuple[Any, ...]) -> SafeString:
    page = reverse(f"{place}_change", args=[quote(row[0])])
    link = format_html('<a href="{}">{}</a>', page, row[0])
    cells = format_html_join("", "<td>{}</td>", ((cell,) for cell in row[1:]))
    return format_html('<th scope="row">{}</th>{}', link, cells)


def _shown(value: Any) -> SafeString:
    """A text that was cut says so."""
    if isinstance(value, str) and len(value) > READ:
        return foldable(repr(value[:READ]), "the beginning")
    if isinstance(value, int | float | datetime) and not isinstance(value, bool):
        return figure_html(value)
    return text_html(value) if isinstance(value, str) else target_html(value)
