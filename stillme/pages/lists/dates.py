"""The date hierarchy of a large table, found period by period instead of by reading every row.

Months and days are asked for in one query of a branch each; years, of which a hostile file may
have thousands between the first and the last, are jumped over along the index.
"""

from __future__ import annotations

from datetime import datetime, timedelta, tzinfo
from typing import Any, Self

from django.db import models
from django.db.models import F, QuerySet, Value
from django.db.models.expressions import OrderBy
from django.utils import timezone

# As many days as a month can have.
AT_ONCE = 31
# Years that a page offers.
MOST = 300


class SparseDates(QuerySet[Any]):
    """Rows whose `datetimes` jump over each period along the index.

    Django's own reads all rows: a second for a million, where five years are five jumps.
    """

    @classmethod
    def of(cls, rows: QuerySet[Any]) -> Self:
        """The same rows, as this class."""
        return cls(rows.model, query=rows.query.chain(), using=rows._db, hints=rows._hints)  # type: ignore[attr-defined]

    def datetimes(  # type: ignore[override]
        self, field_name: str, kind: str, order: str = "ASC", tzinfo: tzinfo | None = None
    ) -> list[datetime]:
        """The beginnings of the years, months or days that have rows."""
        zone = tzinfo or timezone.get_current_timezone()
        oldest = by_time(self.model, field_name)
        newest = by_time(self.model, field_name)
        newest.reverse_ordering()
        times = self.filter(**{f"{field_name}__isnull": False}).values_list(field_name, flat=True)
        first, last = (times.order_by(way).first() for way in (oldest, newest))
        if first is None or last is None:
            return []
        start, end = (_beginning(moment.astimezone(zone), kind) for moment in (first, last))
        if periods := _periods(start, end, kind):
            found = self._of_these(field_name, periods, kind)
        else:
            found = _jumped(times.order_by(oldest), field_name, start, kind)
        return found if order == "ASC" else found[::-1]

    def _of_these(self, name: str, periods: list[datetime], kind: str) -> list[datetime]:
        """Those of the periods that have a row, in one query.

        The order makes PostgreSQL take the index: rows are stored by time, so that reading on to
        the first of a late period reads nearly all (10 s of ten million).
        """
        number = models.IntegerField()
        branches = [
            self.filter(**{f"{name}__gte": start, f"{name}__lt": next_period(start, kind)})
            .order_by(by_time(self.model, name))
            .values_list(Value(at, output_field=number))[:1]
            for at, start in enumerate(periods)
        ]
        found = branches[0].union(*branches[1:], all=True) if branches[1:] else branches[0]
        return [periods[at] for at in sorted(at for (at,) in found)]


def _periods(start: datetime, end: datetime, kind: str) -> list[datetime]:
    """From the first to the last; none where they are too many for one query."""
    found = [start]
    while found[-1] < end:
        if len(found) == AT_ONCE:
            return []
        found.append(next_period(found[-1], kind))
    return found


def _jumped(times: QuerySet[Any], name: str, first: datetime, kind: str) -> list[datetime]:
    """From period to period along the index."""
    found = [first]
    while len(found) < MOST:
        moment = times.filter(**{f"{name}__gte": next_period(found[-1], kind)}).first()
        if moment is None:
            break
        found.append(_beginning(moment.astimezone(first.tzinfo), kind))
    return found


def by_time(model: type[models.Model], name: str) -> OrderBy:
    """The order of an index over the column, oldest first; `reverse_ordering` turns it around.

    Where NULLs stand makes no difference to rows that have a time, but to PostgreSQL: an index
    that has them elsewhere is not read in this order.
    """
    ends = [index.expressions[0] for index in model._meta.indexes if index.expressions]
    orders = [e for e in ends if isinstance(e, OrderBy) and e.expression == F(name)]
    if any(order.descending and order.nulls_last for order in orders):
        return F(name).asc(nulls_first=True)
    return F(name).asc()


def _beginning(moment: datetime, kind: str) -> datetime:
    day = moment.replace(hour=0, minute=0, second=0, microsecond=0)
    if kind == "day":
        return day
    return day.replace(day=1) if kind == "month" else day.replace(month=1, day=1)


def next_period(start: datetime, kind: str) -> datetime:
    """The beginning of the next period, within which 1, 32 or 370 days on always are."""
    days = {"day": 1, "month": 32, "year": 370}[kind]
    return _beginning(start + timedelta(days=days), kind)
