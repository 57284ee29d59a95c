"""From a chart and a period to its figure: what is asked of PostgreSQL, and what became of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from django.db import DataError, models
from django.db.models import Case, Count, F, Max, Min, QuerySet, TextField, Value, When
from django.db.models.functions import Cast, Left, Trunc
from django.utils import timezone
from django.utils.formats import date_format

from stillme.pages.glance.charts import AnyChart, Chart, NewestRows
from stillme.pages.glance.figure import Figure, Point, Series
from stillme.pages.glance.grouped import (
    ROWS,
    VALUES,
    Group,
    Place,
    TooLongError,
    groups,
    limited,
)
from stillme.pages.glance.links import LONGEST, filtered, list_address, row_address
from stillme.pages.glance.periods import (
    MOST_YEARS,
    Period,
    Unit,
    all_buckets,
    bucket,
    unit_for,
)
from stillme.pages.lists.dates import by_time

NEWEST = 20
LABEL = 60
OTHERS = "all others"
# The filters of a place on the axis; None where no filter chooses its rows.
Narrowed = Callable[[Place], dict[str, Any] | None]
_FORMATS: dict[Unit, str] = {"day": "Y-m-d", "month": "Y-m", "year": "Y"}


def figure_of(chart: AnyChart, period: Period) -> Figure:
    """The chart's figure; one that could not be made says why."""
    # Once: a router may choose another replica at each call.
    rows = chart.model._default_manager.using(chart.model._default_manager.db)
    try:
        with limited(rows.db):
            if isinstance(chart, NewestRows):
                return _newest(chart, rows, period)
            return _by_value(chart, rows, period) if chart.by else _by_time(chart, rows, period)
    except TooLongError:
        return Figure(notes=["This took PostgreSQL too long: choose a shorter period."])
    except DataError as error:
        why = str(error).partition("\n")[0]
        return Figure(notes=[f"These values cannot be added up ({why}): choose another period."])


def _by_time(chart: Chart, rows: QuerySet[Any], period: Period) -> Figure:
    timed = rows.filter(**{f"{chart.time}__isnull": False}, **period.lookups(chart.time))
    first, last = timed.aggregate(first=Min(chart.time), last=Max(chart.time)).values()
    untimed = _untimed(chart, rows) if period.is_all else []
    if first is None:
        return _nothing(chart, rows, untimed)
    notes = []
    start, end = (timezone.localtime(moment) for moment in (first, last))
    unit = unit_for(start, end)
    if end.year - start.year >= MOST_YEARS:
        year = start.replace(year=end.year - MOST_YEARS + 1, month=1, day=1)
        start = year.replace(hour=0, minute=0, second=0, microsecond=0)
        timed = timed.filter(**{f"{chart.time}__gte": start})
        notes = [f"The last {MOST_YEARS} years that have rows, from {start.year} on."]
    x = Trunc(chart.time, unit, output_field=models.DateTimeField())
    found = groups(_columns(chart, timed, x), len(chart.averages), most=None)
    if not found:
        # They were deleted since.
        return _nothing(chart, rows, untimed)
    period, cut = _cut(found, period)
    # PostgreSQL gives the beginning of a bucket as the local time that it is.
    found = [replace(g, x=(False, timezone.make_aware(g.x[1]))) for g in found]
    times = [group.x[1] for group in found]
    begins = all_buckets(min(times), max(times), unit)

    def narrowed(place: Place) -> dict[str, Any]:
        return period.within(bucket(place[1], unit)).lookups(chart.time)

    return Figure(
        labels=[date_format(begin, _FORMATS[unit]) for begin in begins],
        series=_series(chart, found, [(False, begin) for begin in begins], narrowed),
        notes=[*notes, *cut, *untimed],
        is_line=bool(chart.averages),
        is_stacked=not chart.averages,
        axis=unit,
        is_time=True,
    )


def _by_value(chart: Chart, rows: QuerySet[Any], period: Period) -> Figure:
    chosen = rows.filter(**period.lookups(chart.time))
    found = groups(_columns(chart, chosen, _text(chart.by)), len(chart.averages), most=VALUES)
    if not found:
        return _nothing(chart, rows, [])
    period, cut = _cut(found, period)
    values = _largest(found, lambda group: group.x)
    if chart.by_name:
        values.sort(key=lambda place: (place[0], str(place[1] or "")))

    def narrowed(place: Place) -> dict[str, Any] | None:
        is_other, text = place
        return None if is_other else filtered(chart.by, text) | period.lookups(chart.time)

    return Figure(
        labels=[_label(value) for value in values],
        series=_series(chart, found, values, narrowed),
        notes=cut,
        is_stacked=not chart.averages,
        axis=chart.by.replace("_", " "),
    )


def _columns(chart: Chart, rows: QuerySet[Any], x: Any) -> QuerySet[Any]:
    """The newest rows first, with the columns that `groups` asks for."""
    newest = by_time(chart.model, chart.time)
    newest.reverse_ordering()
    split: Any = _text(chart.split) if chart.split else Value(None, output_field=TextField())
    if chart.words:
        cases = [
            When(**{f"{chart.split}__in": values}, then=Value(word))
            for word, values in chart.words.items()
        ]
        split = Case(*cases, default=split)
    means = {f"mean_{at}": F(column) for at, column in enumerate(chart.averages.values())}
    columns: dict[str, Any] = {"x": x, "split": split, "at": F(chart.time), **means}
    annotated: QuerySet[Any] = rows.order_by(newest).annotate(**columns)
    return annotated


def _text(column: str) -> Any:
    return Left(Cast(column, TextField()), LONGEST + 1)


def _series(
    chart: Chart, found: list[Group], places: list[Place], narrowed: Narrowed
) -> list[Series]:
    """A series for each value of `split`, else for each mean, else one of all rows."""
    at = {(group.x, group.split): group for group in found}
    return [
        Series(
            name or (_label(split) if chart.split else "rows"),
            [_point(chart, at.get((x, split)), number, narrowed) for x in places],
        )
        for split in _largest(found, lambda group: group.split)
        for number, name in enumerate(_names(chart))
    ]


def _names(chart: Chart) -> list[str]:
    """What is shown of each value of `split`: its number of rows, or means by their labels."""
    return [""] if chart.split or not chart.averages else list(chart.averages)


def _point(chart: Chart, group: Group | None, number: int, narrowed: Narrowed) -> Point:
    if group is None:
        return Point(None if chart.averages else 0)
    value = group.means[number] if chart.averages else group.rows
    filters = narrowed(group.x)
    is_other, split = group.split
    if filters is None or is_other:
        return Point(value)
    if chart.split:
        filters |= filtered(chart.split, split, chart.words)
    return Point(value, list_address(chart.model, filters))


def _largest(found: list[Group], place: Callable[[Group], Place]) -> list[Place]:
    """The places of one direction by their rows, all others together last."""
    rows: Counter[Place] = Counter()
    for group in found:
        rows[place(group)] += group.rows
    return sorted(rows, key=lambda at: (at[0], -rows[at], str(at[1])))


def _label(place: Place) -> str:
    is_other, value = place
    if is_other:
        return OTHERS
    if value is None:
        return "(none)"
    if not value:
        return "(empty)"
    return str(value) if len(value) <= LABEL else f"{value[:LABEL]}…"


def _cut(found: list[Group], period: Period) -> tuple[Period, list[str]]:
    """The period that was looked at, and a note where that is not all that was asked for."""
    oldest = min((group.oldest for group in found if group.oldest), default=None)
    if oldest is None or sum(group.rows for group in found) < ROWS:
        return period, []
    since = date_format(timezone.localtime(oldest), "Y-m-d H:i")
    note = f"The newest {ROWS:,} rows of the period, which reach back to {since}."
    return Period(oldest, period.end), [note]


def _untimed(chart: Chart, rows: QuerySet[Any]) -> list[str]:
    """How many rows have no time, counted so far as that is cheap."""
    without = rows.filter(**{f"{chart.time}__isnull": True}).values("pk")[: ROWS + 1]
    number = without.aggregate(n=Count("pk"))["n"]
    if not number:
        return []
    said = f"more than {ROWS:,}" if number > ROWS else f"{number:,}"
    return [f"Rows without a time, which are not shown here: {said}."]


def _nothing(chart: AnyChart, rows: QuerySet[Any], notes: list[str]) -> Figure:
    newest = by_time(chart.model, chart.time)
    newest.reverse_ordering()
    timed = rows.filter(**{f"{chart.time}__isnull": False}).order_by(newest)
    last = timed.values_list(chart.time, flat=True).first()
    if last is None:
        return Figure(notes=["No rows yet.", *notes])
    day = date_format(timezone.localtime(last), "Y-m-d")
    return Figure(notes=[f"No rows in this period. The newest row is of {day}."])


def _newest(chart: NewestRows, rows: QuerySet[Any], period: Period) -> Figure:
    newest = by_time(chart.model, chart.time)
    newest.reverse_ordering()
    chosen = rows.filter(**period.lookups(chart.time)).order_by(newest, "-pk")
    columns = ("pk", "text", *chart.numbers.values())
    found = list(chosen.annotate(text=_text(chart.label)).values_list(*columns)[: NEWEST + 1])
    if not found:
        return _nothing(chart, rows, [])
    shown = found[:NEWEST]
    return Figure(
        labels=[_label((False, text)) for _, text, *_ in shown],
        series=[
            Series(name, [Point(row[2 + at], row_address(chart.model, row[0])) for row in shown])
            for at, name in enumerate(chart.numbers)
        ],
        notes=[f"The newest {NEWEST}."] if len(found) > NEWEST else [],
        axis=str(chart.model._meta.verbose_name),
    )
