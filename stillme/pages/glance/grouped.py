"""One statement that counts and averages rows in two directions, however many rows there are.

It reads `ROWS` rows at most, the newest of the period, and answers with a bounded number of groups:
what is beyond the largest groups is put together.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import OperationalError, connections, transaction
from django.db.models import QuerySet
from psycopg.errors import QueryCanceled

from stillme.postgresql.statements import set_local

# So many are counted within 300 ms even if each has a value of its own.
ROWS = 100_000
# The largest groups of each direction.
VALUES, SPLITS = 12, 8
TIMEOUT = 2_000
# Groups of as many rows stay in memory; with 4 MB they go to disk, which doubles the time.
MEMORY = "32MB"


class TooLongError(Exception):
    """PostgreSQL has stopped the statement after `TIMEOUT` milliseconds."""


# (False, value), or (True, None) for all values that are in none of the largest groups.
Place = tuple[bool, Any]


@dataclass(frozen=True, slots=True)
class Group:
    """The rows that have one place in each of the two directions."""

    x: Place
    split: Place
    rows: int
    oldest: datetime | None
    means: tuple[float | None, ...]


# Joined by what can be hashed: IS NOT DISTINCT FROM compares each group with each.
# A mean is kept as its sum and its number, so that means of small groups can be put together.
_SQL = """
WITH grouped AS (
  SELECT x, split, count(*) AS n, min(at) AS oldest{sums}
  FROM ({rows}) AS chosen GROUP BY x, split
), xs AS (
  SELECT x, sum(n) FROM grouped GROUP BY x ORDER BY 2 DESC, 1 LIMIT %s
), splits AS (
  SELECT split, sum(n) FROM grouped GROUP BY split ORDER BY 2 DESC, split COLLATE "C" LIMIT %s
)
SELECT {x}, splits.sum IS NULL, splits.split,
       sum(n)::bigint, min(oldest){means}
FROM grouped{join_x}
LEFT JOIN splits ON (splits.split IS NULL) = (grouped.split IS NULL)
                AND coalesce(splits.split, '') = coalesce(grouped.split, '')
GROUP BY 1, 2, 3, 4
"""
_JOIN_X = """
LEFT JOIN xs ON (xs.x IS NULL) = (grouped.x IS NULL)
            AND coalesce(xs.x, '') = coalesce(grouped.x, '')"""


def groups(rows: QuerySet[Any], averaged: int, *, most: int | None) -> list[Group]:
    """The groups of rows with columns `x`, `split`, `at`, `mean_0`, `mean_1` ...

    `most` limits the values of `x`, which are texts then. Raises what the database raises.
    """
    numbers = range(averaged)
    names = ("x", "split", "at", *(f"mean_{number}" for number in numbers))
    inner, given = rows.values_list(*names)[:ROWS].query.sql_with_params()
    sql = _SQL.format(
        rows=inner,
        x="false, grouped.x" if most is None else "xs.sum IS NULL, xs.x",
        join_x="" if most is None else _JOIN_X,
        sums="".join(f", sum(mean_{n}) AS sum_{n}, count(mean_{n}) AS count_{n}" for n in numbers),
        means="".join(f", sum(sum_{n}) / nullif(sum(count_{n}), 0)::float8" for n in numbers),
    )
    with connections[rows.db].cursor() as cursor:
        cursor.execute(sql, [*given, most, SPLITS])
        return [Group(row[:2], row[2:4], row[4], row[5], row[6:]) for row in cursor.fetchall()]


@contextmanager
def limited(alias: str, milliseconds: int | None = None) -> Iterator[None]:
    """Each statement within takes so long at most, or `TIMEOUT`. Raises TooLongError."""
    try:
        with transaction.atomic(using=alias):
            limits: dict[str, str | int | None] = {
                "statement_timeout": milliseconds or TIMEOUT,
                "work_mem": MEMORY,
            }
            set_local(connections[alias], limits)
            yield
    except OperationalError as error:
        if isinstance(error.__cause__, QueryCanceled):
            raise TooLongError from error
        raise
