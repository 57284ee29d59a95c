"""Lists of tables with millions of rows: no query of a list reads more than a part of the table.

Pages by number reach the first `COUNTED` rows; further on, *Older rows* goes by key (`before`), as
fast at the end of the table as at its beginning. A search, a filter on a column without index or an
order by another column than the key looks at `WINDOW` rows at a time, and says so.
"""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cached_property
from typing import Any

from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.views.main import ORDER_VAR
from django.contrib.postgres.indexes import HashIndex
from django.db import models
from django.db.models import F, Q, QuerySet
from django.db.models.expressions import OrderBy
from django.db.models.functions import Coalesce
from django.http import HttpRequest
from django.utils import timezone

from stillme.pages.lists.checked_list import SAMPLED, CheckedChangeList
from stillme.pages.lists.dates import by_time, next_period
from stillme.pages.lists.ranges import as_moment
from stillme.services.arguments import whole_key

BEFORE = "before"
# Rows that a search or filter looks at: some tens of milliseconds in a table of long texts.
WINDOW = 20_000


class BigChangeList(CheckedChangeList):
    """`oldest` is the last key on the page; `window` the keys looked at, None where all were."""

    window: tuple[Any, Any] | None = None
    _in_period: str | None = None
    result_list: Any

    def get_filters_params(self, params: Any = None) -> dict[str, Any]:
        """The place in the list is no filter."""
        found: dict[str, Any] = super().get_filters_params(params)
        found.pop(BEFORE, None)
        return found

    def get_queryset(self, request: HttpRequest, exclude_parameters: Any = None) -> QuerySet[Any]:
        """The filtered rows from the place on, within the window."""
        rows = super().get_queryset(request, exclude_parameters)
        place = self._place(request.GET.get(BEFORE, ""))
        if not self._is_narrowed():
            if self._period() is not None:
                return self._by_time(rows, place)
            if self._is_of_few():
                rows = rows.order_by(newest_of_few())
            return rows if place is None else rows.filter(pk__lt=place)
        if self._is_short_period():
            rows = rows if place is None else rows.filter(pk__lt=place)
            return _sorted_here(rows, by_key_too=True)
        top = self._newest(place)
        if top is None:
            return rows.none()
        self.window = (self._lowest(top), top)
        inside = Q(pk__gte=self.window[0], pk__lte=top)
        # A key is found wherever it is.
        if self._has_number_keys():
            if place is None and (key := whole_key(self.query)) is not None:
                inside |= Q(pk=key)
        elif self.query and place is None:
            inside |= Q(pk=self.query)
        return _sorted_here(rows.filter(inside))

    def _place(self, before: str) -> Any:
        """The key that the list goes on below; None at its beginning."""
        if not self._has_number_keys():
            return before or None
        return whole_key(before)

    def _by_time(self, rows: QuerySet[Any], place: Any) -> QuerySet[Any]:
        """In the order of the keys PostgreSQL would sort the whole period."""
        name = str(self.date_hierarchy)
        self._in_period = name
        moment = self.params.get(f"{name}__lte")
        if place is not None and moment:
            # Beginning within the rows of one moment: there may be more of them than a page has.
            rows = rows.filter(Q(**{f"{name}__lt": moment}) | Q(pk__lt=place))
        return rows.order_by(self._newest_first(name), "-pk")

    def _newest_first(self, name: str) -> OrderBy:
        order = by_time(self.model, name)
        order.reverse_ordering()
        return order

    def get_results(self, request: HttpRequest) -> None:
        """A list that fits a page is asked with a limit as well: rows may come meanwhile."""
        super().get_results(request)
        if isinstance(self.result_list, QuerySet) and not self.result_list.query.is_sliced:
            self.result_list = self.result_list[: self.list_max_show_all]

    def chosen_rows(self, request: HttpRequest) -> QuerySet[Any]:
        """All rows that search, filters and dates choose, wherever they are."""
        return super().get_queryset(request)

    def looked_at(self, request: HttpRequest, without: list[str]) -> QuerySet[Any]:
        """The first rows of the list; a narrowed one's without one of its filters."""
        rows: QuerySet[Any] = self.queryset
        if not self._is_narrowed() or rows.query.is_empty():
            return rows[:SAMPLED]
        rows = super().get_queryset(request, without)
        if self.window is not None:
            rows = rows.filter(pk__gte=self.window[0], pk__lte=self.window[1])
        return rows.order_by()[:WINDOW]

    @property
    def is_part(self) -> bool:
        """Whether there are rows beyond the window."""
        return self.window is not None and bool(self.older_link or self.newest_link)

    @cached_property
    def older_link(self) -> str:
        """Where the list goes on; "" at its end."""
        if self.window is not None:
            low = self.window[0]
            more = self.root_queryset.filter(pk__lt=low).order_by("-pk")[:1].exists()
            return self._to({BEFORE: low}) if more else ""
        last = list(self.result_list)[-1:]
        whole = len(self.result_list) >= self.list_per_page
        if not last or not whole or ORDER_VAR in self.params:
            return ""
        if self._in_period:
            moment = getattr(last[0], self._in_period).isoformat()
            return self._to({f"{self._in_period}__lte": moment, BEFORE: last[0].pk})
        return self._to({BEFORE: last[0].pk})

    @property
    def newest_link(self) -> str:
        """Back to the newest rows; "" where the list begins with them."""
        if BEFORE not in self.params:
            return ""
        return self._to(
            {BEFORE: None, **({f"{self._in_period}__lte": None} if self._in_period else {})}
        )

    def _to(self, changed: dict[str, Any]) -> str:
        """The list with other parameters, on its first page; None takes a parameter away."""
        return str(self.get_query_string({"p": None, **changed}))

    def _has_number_keys(self) -> bool:
        return isinstance(self.lookup_opts.pk, models.IntegerField)

    def _is_narrowed(self) -> bool:
        """Whether something is asked that no index answers in the order of the keys."""
        names = {name.split("__")[0] for name in self.get_filters_params()}
        return bool(
            self.query or self.params.get(ORDER_VAR) or names - self._indexed() - self._dates()
        )

    def _is_of_few(self) -> bool:
        """Whether rows are asked for by a reference or another indexed column."""
        names = {name.split("__")[0] for name in self.get_filters_params()} - self._dates()
        return bool((names & self._indexed()) - key_ordered(self.model))

    def _dates(self) -> set[str]:
        return {self.date_hierarchy} if self.date_hierarchy else set()

    def _indexed(self) -> set[str]:
        """Columns by which rows are found: the key, references, the keys of other tables."""
        hashed = {i.fields[0] for i in self.lookup_opts.indexes if isinstance(i, HashIndex)}
        fields = self.lookup_opts.concrete_fields
        return {f.name for f in fields if f.primary_key or f.is_relation} | hashed

    def _newest(self, place: Any) -> Any:
        """The greatest key to look at: below the place, and in the period that was chosen."""
        rows = self.root_queryset.order_by("-pk")
        if place is not None:
            rows = rows.filter(pk__lt=place)
        elif self._has_number_keys() and (period := self._period()) is not None:
            # Texts do not grow with time: the newest row's key may be the least.
            name = self.date_hierarchy
            within = {f"{name}__gte": period[0], f"{name}__lt": period[1]}
            rows = self.root_queryset.filter(**within).order_by(self._newest_first(str(name)))
        return next(iter(rows.values_list("pk", flat=True)[:1]), None)

    def _lowest(self, top: Any) -> Any:
        """The least key of the window: by number, or counted off the index where keys are texts."""
        if self._has_number_keys():
            return top - WINDOW + 1
        keys = self.root_queryset.filter(pk__lte=top).order_by("-pk").values_list("pk", flat=True)
        last = next(iter(keys[WINDOW - 1 : WINDOW]), None)
        return last if last is not None else ""

    def _period(self) -> tuple[datetime, datetime] | None:
        """The year, month or day of the date drill-down, or two moments (`__gte`, `__lt`)."""
        if (ends := self._two_moments()) is not None:
            return ends
        given = [self.params.get(f"{self.date_hierarchy}__{part}") for part in _PARTS]
        numbers = []
        for text in given:
            number = whole_key(str(text or ""))
            if number is None:
                break
            numbers.append(number)
        if not self.date_hierarchy or not numbers:
            return None
        year, month, day = [*numbers, 1, 1][:3]
        try:
            start = timezone.make_aware(datetime(year, month, day))
            return start, next_period(start, _PARTS[len(numbers) - 1])
        except (ValueError, OverflowError) as error:
            raise IncorrectLookupParameters(error) from error

    def _is_short_period(self) -> bool:
        """Whether a period was chosen of which all rows can be looked at, whatever their keys."""
        period, name = self._period(), self.date_hierarchy
        if period is None:
            return False
        within = {f"{name}__gte": period[0], f"{name}__lt": period[1]}
        first = self.root_queryset.filter(**within).order_by(self._newest_first(str(name)))
        # Read off the index of the time; the next one would be one too many.
        return not first.values_list(name)[WINDOW : WINDOW + 1].exists()

    def _two_moments(self) -> tuple[datetime, datetime] | None:
        """From, and up to but not including; one of them may be open."""
        given = [str(self.params.get(f"{self.date_hierarchy}__{end}") or "") for end in _ENDS]
        if not self.date_hierarchy or not any(given):
            return None
        try:
            start, end = (
                as_moment(text) if text else open_end
                for text, open_end in zip(given, (_FIRST, _LAST), strict=True)
            )
        except ValueError as error:
            raise IncorrectLookupParameters(error) from error
        return None if start is None or end is None else (start, end)


_PARTS = ("year", "month", "day")
_ENDS = ("gte", "lt")
_FIRST, _LAST = (moment.replace(tzinfo=UTC) for moment in (datetime.min, datetime.max))


def key_ordered(model: type[models.Model]) -> set[str]:
    """The key, and the columns whose index has the rows of a value in the order of the key."""
    pairs = [index.fields for index in model._meta.indexes if len(index.fields) == 2]
    return {model._meta.pk.name, *(first for first, second in pairs if second == "id")}


def newest_of_few() -> OrderBy:
    """Newest first, by an order that the key's own index does not have.

    Else PostgreSQL may walk that index through the whole table in search of rows that are few.
    """
    return OrderBy(Coalesce(F("pk"), F("pk")), descending=True)


def newest_window(rows: QuerySet[Any], typed: str) -> QuerySet[Any]:
    """Those of the rows that are among the newest by number, and the one whose key was typed."""
    newest = rows.model._default_manager.order_by("-pk").values_list("pk", flat=True).first()
    if not isinstance(newest, int):
        return rows
    inside = Q(pk__gt=newest - WINDOW)
    if (key := whole_key(typed)) is not None:
        inside |= Q(pk=key)
    return rows.filter(inside)


def _sorted_here(rows: QuerySet[Any], *, by_key_too: bool = False) -> QuerySet[Any]:
    """The window's rows sorted, where PostgreSQL would walk the index of the column to sort by.

    That is in the order wanted, but through all rows outside of the window.
    """
    orders = rows.query.order_by
    first = orders[0] if orders else "pk"
    is_key = first in ("pk", "-pk") or str(first).lstrip("-") == rows.model._meta.pk.name
    if not isinstance(first, str) or (is_key and not by_key_too):
        return rows
    name = first.lstrip("-")
    opaque = OrderBy(Coalesce(F(name), F(name)), descending=first.startswith("-"))
    return rows.order_by(opaque, *orders[1:])
