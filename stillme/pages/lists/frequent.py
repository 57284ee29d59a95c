"""A filter of a column with few values: each with its number of rows, at no scan of the table."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.core.exceptions import EmptyResultSet
from django.db import connections, models
from django.db.models import F, QuerySet
from django.db.models.functions import Left
from django.http import HttpRequest

from stillme.pages.lists.checked_list import SAMPLED

CHOICES = 50
LONGEST = 500
_COUNTS = """
SELECT v, count(*), sum(count(*)) OVER () FROM ({}) s (v) WHERE length(v) <= %s
GROUP BY v ORDER BY 2 DESC, v LIMIT %s
"""


def counted_values(rows: QuerySet[Any], column: str) -> tuple[dict[str, int], int]:
    """The most frequent values with their rows, and the rows that were counted in all.

    A text that is too long for a link is left out.
    """
    try:
        sql, given = rows.values_list(Left(F(column), LONGEST + 1)).query.sql_with_params()
    except EmptyResultSet:
        return {}, 0
    with connections[rows.db].cursor() as cursor:
        cursor.execute(_COUNTS.format(sql), [*given, LONGEST, CHOICES])
        found = cursor.fetchall()
    return {value: count for value, count, _ in found}, int(found[0][2]) if found else 0


class FrequentValuesFilter(admin.FieldListFilter):
    """The values that are among the rows the list looks at, which the other filters choose."""

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
        self.request = request
        self.value = (params.get(field_path) or [None])[-1]
        super().__init__(field, request, params, model, model_admin, field_path)

    def expected_parameters(self) -> list[str | None]:
        """The column itself."""
        return [self.lookup]

    def choices(self, changelist: Any) -> Any:
        """ "All", then each value with its rows, the most frequent first."""
        rows = changelist.looked_at(self.request, [self.lookup])
        values, total = counted_values(rows, self.lookup)
        if self.value is not None:
            values.setdefault(self.value, 0)
        is_part = total >= SAMPLED or changelist.is_part
        yield {
            "selected": self.value is None,
            "query_string": changelist.get_query_string(remove=[self.lookup]),
            "display": f"All (counted: {total:,} rows)" if is_part else "All",
        }
        words = dict(self.field.flatchoices)
        for value, count in values.items():
            named = str(words.get(value, value))[:60] or "(empty)"
            yield {
                "selected": self.value == value,
                "query_string": changelist.get_query_string({self.lookup: value}),
                "display": f"{named} ({count:,})",
            }
