"""Lists of tables with millions of rows: no query of a list reads more than a part of the table.

Pages by number reach the first `COUNTED` rows; further on, *Older rows* goes by key (`before`), as
fast at the end of the table as at its beginning. A search, a filter on a column without index or an
order by another column than the key looks at `WINDOW` rows at a time, and says so.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.contrib.admin.views.main import ORDER_VAR
from django.db import models
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils import timezone
from unfold.views import ChangeList

from stillme.transfer.admin_dates import next_period

BEFORE = "before"
# Rows that a search or filter looks at: some tens of milliseconds in a table of long texts.
WINDOW = 20_000


class BigChangeList(ChangeList):  # type: ignore[misc]
    """`oldest` is the last key on the page; `window` the keys looked at, None where all were."""

    window: tuple[int, int] | None = None
    _in_period: str | None = None
    result_list: Any

    def get_filters_params(self, params: Any = None) -> dict[str, Any]:
        """The place in the list is no filter."""
        found: dict[str, Any] = super().get_filters_params(params)
        found.pop(BEFORE, None)
        return found

    def get_queryset(self, request: HttpRequest, exclude_parameters: Any = None) -> QuerySet[Any]:
        """The filtered rows from the place on, within the window."""
        rows: QuerySet[Any] = super().get_queryset(request, exclude_parameters)
        before = request.GET.get(BEFORE, "")
        if not self._has_number_keys():
            return rows.filter(pk__lt=before) if before else rows
        place = int(before) if before.lstrip("-").isdecimal() else None
        if not self._is_narrowed():
            if self._period() is not None:
                # In the order of the keys PostgreSQL would sort the whole period.
                self._in_period = self.date_hierarchy
                rows = rows.order_by(f"-{self.date_hierarchy}", "-pk")
            return rows if place is None else rows.filter(pk__lt=place)
        top = self._newest(place)
        if top is None:
            return rows
        self.window = (top - WINDOW, top)
        inside = Q(pk__gt=top - WINDOW, pk__lte=top)
        # A key is found wherever it is.
        if self.query.isdecimal() and place is None and int(self.query) < 2**63:
            inside |= Q(pk=int(self.query))
        return rows.filter(inside)

    def get_results(self, request: HttpRequest) -> None:
        """A list that fits a page is asked with a limit as well: rows may come meanwhile."""
        super().get_results(request)
        if isinstance(self.result_list, QuerySet) and not self.result_list.query.is_sliced:
            self.result_list = self.result_list[: self.list_max_show_all]

    def chosen_rows(self, request: HttpRequest) -> QuerySet[Any]:
        """All rows that search, filters and dates choose, wherever they are."""
        rows: QuerySet[Any] = super().get_queryset(request)
        return rows

    @property
    def older_link(self) -> str:
        """Where the list goes on; "" at its end."""
        if self.window is not None:
            low = self.window[0]
            more = self.root_queryset.filter(pk__lte=low).order_by("-pk")[:1].exists()
            return self.get_query_string({BEFORE: low + 1}, ["p"]) if more else ""
        last = list(self.result_list)[-1:]
        whole = len(self.result_list) >= self.list_per_page
        if not last or not whole or ORDER_VAR in self.params:
            return ""
        if self._in_period:
            # Its own moment once more: another row may have the same one.
            name = str(self._in_period)
            moment = getattr(last[0], name).isoformat()
            return str(self.get_query_string({f"{name}__lte": moment}, ["p"]))
        return str(self.get_query_string({BEFORE: last[0].pk}, ["p"]))

    @property
    def newest_link(self) -> str:
        """Back to the newest rows; "" where the list begins with them."""
        return self.get_query_string({}, [BEFORE, "p"]) if BEFORE in self.params else ""

    def _has_number_keys(self) -> bool:
        return isinstance(self.lookup_opts.pk, models.IntegerField)

    def _is_narrowed(self) -> bool:
        """Whether something is asked that no index answers in the order of the keys."""
        names = {name.split("__")[0] for name in self.get_filters_params()}
        return bool(
            self.query or self.params.get(ORDER_VAR) or names - self._indexed() - self._dates()
        )

    def _dates(self) -> set[str]:
        return {self.date_hierarchy} if self.date_hierarchy else set()

    def _indexed(self) -> set[str]:
        """Columns by which few rows are found: the key, references, the keys of other tables."""
        return {
            f.name
            for f in self.lookup_opts.concrete_fields
            if f.primary_key or f.is_relation or f.name.endswith("item_id")
        }

    def _newest(self, place: int | None) -> int | None:
        """The greatest key to look at: below the place, and in the period that was chosen."""
        rows = self.root_queryset.order_by("-pk")
        if place is not None:
            rows = rows.filter(pk__lt=place)
        elif (period := self._period()) is not None:
            name = self.date_hierarchy
            within = {f"{name}__gte": period[0], f"{name}__lt": period[1]}
            rows = self.root_queryset.filter(**within).order_by(f"-{name}")
        newest = rows.values_list("pk", flat=True)[:1]
        return next(iter(newest), None)

    def _period(self) -> tuple[datetime, datetime] | None:
        """The year, month or day of the date drill-down."""
        given = [self.params.get(f"{self.date_hierarchy}__{part}") for part in _PARTS]
        numbers = [int(text) for text in given if text and str(text).isdecimal()]
        if not self.date_hierarchy or not numbers:
            return None
        year, month, day = [*numbers, 1, 1][:3] if len(numbers) < 3 else numbers
        start = timezone.make_aware(datetime(year, month, day))
        return start, next_period(start, _PARTS[len(numbers) - 1])


_PARTS = ("year", "month", "day")
