"""Which swept ranges a replay touched: only there may a digest change without a bypass."""

from __future__ import annotations

from collections.abc import Sequence

from stillme.transfer.models_sync import RangeDigest
from stillme.transfer.sqlite.capture.log import Key


def touch_ranges(alias: str, table: str, keys: Sequence[Key]) -> None:
    """Mark the ranges that hold the keys, in the caller's transaction."""
    ranges = list(
        RangeDigest.objects.using(alias)
        .filter(table=table, dirty=False)
        .values_list("pk", "after", "upto")
    )
    if not ranges:
        return
    touched = [pk for pk, after, upto in ranges if any(within(k, after, upto) for k in keys)]
    RangeDigest.objects.using(alias).filter(pk__in=touched).update(dirty=True)


def within(key: Key, after: int | str | None, upto: int | str | None) -> bool:
    """Whether SQLite would sort the key into ``after < key <= upto``."""
    return (after is None or _order(key) > _order(after)) and (
        upto is None or _order(key) <= _order(upto)
    )


def _order(key: Key) -> tuple[int, float | bytes]:
    """SQLite's order: NULL, numbers, text by bytes, blobs."""
    if key is None:
        return (0, 0)
    if isinstance(key, int | float):
        return (1, key)
    return (2, key.encode("utf-8", "surrogateescape")) if isinstance(key, str) else (3, key)
