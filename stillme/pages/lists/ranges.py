"""A filter of a column of numbers or times by its least and its greatest value."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.contrib import admin
from django.db import models
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.dateparse import parse_datetime

from stillme.pages.figures import is_figure


class RangeFilter(admin.FieldListFilter):
    """From a number to a number, both included; or from a day up to, not including, another."""

    template = "console/range_filter.html"

    def __init__(
        self,
        field: models.Field[Any, Any],
        request: HttpRequest,
        params: dict[str, Any],
        model: type[models.Model],
        model_admin: admin.ModelAdmin[Any],
        field_path: str,
    ) -> None:
        self.is_time = isinstance(field, models.DateTimeField)
        self.ends = [f"{field_path}__gte", f"{field_path}__{'lt' if self.is_time else 'lte'}"]
        self.given = [str((params.get(end) or [""])[-1]) for end in self.ends]
        for end in {*self.ends} - {*self.expected_parameters()}:
            params.pop(end, None)
        super().__init__(field, request, params, model, model_admin, field_path)

    def expected_parameters(self) -> list[str | None]:
        """The names of the ends that were given."""
        return [end for end, text in zip(self.ends, self.given, strict=True) if text]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """A day begins at midnight of the zone in which times are shown."""
        given: dict[str, Any] = self.used_parameters
        for end, texts in given.items() if self.is_time else ():
            given[end] = [as_moment(str(text)) or text for text in texts]
        rows: QuerySet[Any] = super().queryset(request, queryset)  # type: ignore[assignment]
        return rows

    def choices(self, changelist: Any) -> Any:
        """One: what the form shows, and the parameters that it keeps."""
        kept = [(n, v) for n, v in changelist.params.items() if n not in {*self.ends, "p"}]
        labels = ("from", "before") if self.is_time else ("from", "to")
        texts = [text[:10] if self.is_time else text for text in self.given]
        yield {
            "selected": any(self.given),
            "display": "Any",
            "kind": "date" if self.is_time else "number",
            "step": "any" if isinstance(self.field, models.FloatField) else "1",
            "inputs": list(zip(self.ends, labels, texts, strict=True)),
            "kept": kept,
            "query_string": changelist.get_query_string(remove=self.ends),
        }


def ranges_of(site: Any) -> list[tuple[str, type[RangeFilter]]]:
    """The ranges of a list: of its period, and of the numbers that it shows."""
    return [
        (field.name, RangeFilter)
        for field in site.opts.concrete_fields
        if field.name == site.date_hierarchy
        or (
            field.name in site.list_display
            and is_figure(field)
            and not isinstance(field, models.DateTimeField)
        )
    ]


def as_moment(text: str) -> datetime | None:
    """A day or a moment, with its zone; None for what is neither. Raises ValueError."""
    moment = parse_datetime(text)
    if moment is None or timezone.is_aware(moment):
        return moment
    return timezone.make_aware(moment)
