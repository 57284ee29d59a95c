"""Which swept ranges a replay touched.

If the digest of a range changes and no replay touched it, somebody wrote without capture.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence

from stillme.transfer.identity import TableId
from stillme.transfer.models_sync import RangeDigest
from stillme.transfer.sqlite.key_text import Key


def touch_ranges(alias: str, table: TableId, keys: Sequence[Key]) -> None:
    """Mark the ranges that hold the keys, in the caller's transaction."""
    ranges = list(
        table.of(RangeDigest.objects.using(alias))
        .filter(dirty=False)
        .values_list("pk", "after", "upto")
    )
    if not ranges:
        return
    ordered = sorted(_order(key) for key in keys)
    touched = [pk for pk, after, upto in ranges if _any_within(ordered, after, upto)]
    RangeDigest.objects.using(alias).filter(pk__in=touched).update(dirty=True)


def _any_within(
    ordered: Sequence[tuple[int, float | bytes]], after: int | str | None, upto: int | str | None
) -> bool:
    """Whether SQLite would sort any of the keys into ``after < key <= upto``."""
    first = 0 if after is None else bisect_right(ordered, _order(after))
    return first < len(ordered) and (upto is None or ordered[first] <= _order(upto))


def _order(key: Key) -> tuple[int, float | bytes]:
    """SQLite's order: NULL, numbers, text by bytes, blobs."""
    if key is None:
        return (0, 0)
    if isinstance(key, int | float):
        return (1, key)
    return (2, key.encode("utf-8", "surrogateescape")) if isinstance(key, str) else (3, key)
