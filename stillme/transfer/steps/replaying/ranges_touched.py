"""Which swept ranges a replay touched.

If the digest of a range changes and no replay touched it, somebody wrote without capture.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence

from stillme.transfer.identity import TableId
from stillme.transfer.keys import Key, bound_from_json
from stillme.transfer.models import RangeDigest


def touch_ranges(alias: str, table: TableId, keys: Sequence[Key]) -> None:
    """Mark the ranges that hold the keys, in the caller's transaction."""
    ranges = list(
        table.of(RangeDigest.objects.using(alias))
        .filter(dirty=False)
        .values_list("pk", "after", "upto")
    )
    if not ranges:
        return
    ordered = sorted(keys)
    touched = [
        pk
        for pk, after, upto in ranges
        if _any_within(ordered, bound_from_json(after), bound_from_json(upto))
    ]
    RangeDigest.objects.using(alias).filter(pk__in=touched).update(dirty=True)


def _any_within(ordered: Sequence[Key], after: Key | None, upto: Key | None) -> bool:
    """Whether SQLite would sort any of the keys into ``after < key <= upto``."""
    first = 0 if after is None else bisect_right(ordered, after)
    return first < len(ordered) and (upto is None or ordered[first] <= upto)
