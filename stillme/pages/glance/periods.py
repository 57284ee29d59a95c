"""The range of dates that a page is asked about, and the days, months or years it is cut into."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Literal

from django.http import QueryDict
from django.utils import timezone

from stillme.pages.lists.dates import next_period

Unit = Literal["day", "month", "year"]
# The ranges that are offered, in days up to today.
OFFERED = (7, 30, 90)
# A chart has about so many bars at most.
MOST_DAYS = 93
MOST_YEARS = 100


class WrongPeriodError(ValueError):
    """The address names no range of dates; the message says what to write."""


@dataclass(frozen=True, slots=True)
class Period:
    """From `start` up to, not including, `end`; None where it is open. Both are aware."""

    start: datetime | None = None
    end: datetime | None = None

    @property
    def is_all(self) -> bool:
        """Whether every row counts, also one without a time."""
        return self.start is None and self.end is None

    def lookups(self, column: str) -> dict[str, datetime]:
        """The filter of a queryset, and of a list in the admin."""
        ends = {f"{column}__gte": self.start, f"{column}__lt": self.end}
        return {name: moment for name, moment in ends.items() if moment is not None}

    def within(self, other: Period) -> Period:
        """What both have in common."""
        starts = [moment for moment in (self.start, other.start) if moment is not None]
        ends = [moment for moment in (self.end, other.end) if moment is not None]
        return Period(max(starts, default=None), min(ends, default=None))


def asked_period(given: QueryDict) -> Period:
    """The range of an address: `days=30`, or `from` and `to` (both days belong to it), or all.

    Raises WrongPeriodError.
    """
    today = timezone.localtime().replace(hour=0, minute=0, second=0, microsecond=0)
    if days := given.get("days", ""):
        if days not in map(str, OFFERED):
            raise WrongPeriodError("Choose 7, 30 or 90 days, or two dates.")
        return Period(today - timedelta(days=int(days) - 1), today + timedelta(days=1))
    first, last = (_day(given.get(name, "")) for name in ("from", "to"))
    if first and last and first > last:
        raise WrongPeriodError("The first day is after the last: exchange the two dates.")
    try:
        return Period(_midnight(first), _midnight(last and last + timedelta(days=1)))
    except OverflowError as error:
        raise WrongPeriodError("The last day that can be asked for is 9999-12-30.") from error


def _day(text: str) -> date | None:
    try:
        return date.fromisoformat(text) if text else None
    except ValueError as error:
        raise WrongPeriodError("Write a date as year, month and day: 2025-03-04.") from error


def _midnight(day: date | None) -> datetime | None:
    return timezone.make_aware(datetime(day.year, day.month, day.day)) if day else None


def unit_for(start: datetime, end: datetime) -> Unit:
    """Days where they fit in a chart, else months, else years."""
    days = (end - start).days
    if days <= MOST_DAYS:
        return "day"
    return "month" if days <= MOST_DAYS * 30 else "year"


def bucket(start: datetime, unit: Unit) -> Period:
    """The day, month or year that begins then; the last year there is has no end."""
    try:
        return Period(start, next_period(start, unit))
    except OverflowError:
        return Period(start, None)


def all_buckets(first: datetime, last: datetime, unit: Unit) -> list[datetime]:
    """The beginnings from the first on, so that a day without rows is seen as one."""
    found = [first]
    while found[-1] < last:
        found.append(next_period(found[-1], unit))
    return found
