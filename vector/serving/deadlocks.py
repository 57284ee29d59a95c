"""Writers of the same items at the same time, in whatever order each of them names the items.

Two calls that lock the same rows in opposite orders wait for each other, until PostgreSQL ends one
of them. So rows are locked by number, and new ones inserted by id. What is left (a row that was
new to one call and there for the other) is done again.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from functools import wraps
from typing import ParamSpec, TypeVar

from django.db import OperationalError, connections, router

from stillme.postgresql.connecting.explain import sqlstate
from vector.models import Item

P = ParamSpec("P")
R = TypeVar("R")

_DEADLOCK = "40P01"
_TRIES, _PAUSE = 5, 0.05
_BATCH = 1_000


def insert_missing(items: Sequence[Item]) -> None:
    """Insert unsaved items, without those whose id is there; in a transaction.

    Every caller inserts in the order of the ids. Items are listed in the order of their numbers, so
    they get these first, in the order given.
    """
    if len(items) > 1:
        connection = connections[router.db_for_write(Item)]
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT nextval(pg_get_serial_sequence(%s, 'id')) FROM generate_series(1, %s)",
                [Item._meta.db_table, len(items)],
            )
            for item, (number,) in zip(items, sorted(cursor.fetchall()), strict=True):
                item.pk = number
    ordered = sorted(items, key=lambda item: item.embedding_id)
    Item.objects.bulk_create(ordered, ignore_conflicts=True, batch_size=_BATCH)


def again_after_deadlock(function: Callable[P, R]) -> Callable[P, R]:
    """Do a call again that PostgreSQL ended because of a deadlock: nothing of it was kept.

    Within a transaction of the caller's it is the caller who must begin again.
    """

    @wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        left = _TRIES
        while True:
            try:
                return function(*args, **kwargs)
            except OperationalError as error:
                left -= 1
                inside = connections[router.db_for_write(Item)].in_atomic_block
                if not left or inside or sqlstate(error) != _DEADLOCK:
                    raise
            time.sleep(_PAUSE * random.random())  # noqa: S311 - so that they do not meet again

    return call
