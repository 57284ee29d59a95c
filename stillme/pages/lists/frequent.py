"""A filter of a free-text column whose choices cost no scan of the table."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db import connections, models
from django.db.models import F
from django.db.models.functions import Left
from django.http import HttpRequest

# A filter's choices are the values found in this many of the newest rows.
SAMPLED = 10_000
CHOICES = 50
LONGEST = 500


def newest_values(model: type[models.Model], column: str) -> list[str]:
    """The values of the newest rows. A text too long for a link is none to choose."""
    rows = model._default_manager.order_by("-pk")
    sql, given = rows.values_list(Left(F(column), LONGEST + 1))[:SAMPLED].query.sql_with_params()
    chosen = "SELECT DISTINCT v FROM ({}) s (v) WHERE length(v) <= %s ORDER BY v LIMIT %s"
    with connections[rows.db].cursor() as cursor:
        cursor.execute(chosen.format(sql), [*given, LONGEST, CHOICES])
        return sorted(value for (value,) in cursor.fetchall())


class FrequentValuesFilter(admin.FieldListFilter):
    """A filter of a free-text column: the values of the newest rows, found without a full scan."""

    def __init__(
        self,
        field: models.Field[Any, Any],
        request: HttpRequest,
        params: dict[str, Any],
        model: type[models.Model],
        model_admin: admin.ModelAdmin[Any],
        field_path: str,
    ) -> None:
        self.lookup = field_path
        self.value = (params.get(field_path) or [None])[-1]
        self.values = newest_values(model, field_path)
        super().__init__(field, request, params, model, model_admin, field_path)

    def expected_parameters(self) -> list[str | None]:
        """The column itself."""
        return [self.lookup]

    def choices(self, changelist: Any) -> Any:
        """ "All", then each value."""
        yield {
            "selected": self.value is None,
            "query_string": changelist.get_query_string(remove=[self.lookup]),
            "display": "All",
        }
        for value in self.values:
            yield {
                "selected": self.value == value,
                "query_string": changelist.get_query_string({self.lookup: value}),
                "display": value[:60] or "(empty)",
            }
