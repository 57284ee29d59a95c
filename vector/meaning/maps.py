"""A collection as a map: its newest items in two dimensions, computed once and kept.

The two are the directions in which the vectors differ most (principal components).
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

from django.utils import timezone

from vector.models import Collection, CollectionMap, Item

# Items of a map: what a browser draws at once, and what is read of a large collection.
MOST = 5_000
LABEL = 60


class NoMapError(Exception):
    """The map cannot be made; the message says why."""


def make_map(collection: Collection) -> CollectionMap:
    """Compute the map and keep it in place of the earlier one. Raises NoMapError."""
    items = Item.objects.filter(collection=collection).order_by("-pk")
    if find_spec("numpy") is None:
        raise NoMapError("A map needs numpy: run `pip install 'numpy>=2'`.")
    rows = list(items.values_list("pk", "embedding_id", "embedding")[:MOST])
    points = _points(rows)
    if not points:
        raise NoMapError("A map needs two items whose numbers are finite.")
    values = {"points": points, "items": len(points), "made_at": timezone.now()}
    kept, _ = CollectionMap.objects.update_or_create(collection=collection.pk, defaults=values)
    return kept


def kept_map(collection: Collection) -> CollectionMap | None:
    """The map as it was made last."""
    return CollectionMap.objects.filter(collection=collection.pk).first()


def _points(rows: list[tuple[int, str, list[float]]]) -> list[list[Any]]:
    """Key, horizontal, vertical and label of each item whose vector is finite."""
    import numpy as np

    vectors = np.array([row[2] for row in rows], dtype=np.float64)
    if len(vectors) < 2:
        return []
    sound: Any = np.isfinite(vectors).all(axis=1)
    kept = vectors[sound]
    if len(kept) < 2:
        return []
    # The largest number becomes 1, so that no square of it overflows.
    kept = kept / (np.abs(kept).max() or 1.0)
    kept -= kept.mean(axis=0)
    _, directions = np.linalg.eigh(kept.T @ kept)
    places = kept @ directions[:, ::-1][:, :2]
    if places.shape[1] < 2:
        places = np.hstack([places, np.zeros((len(places), 1))])
    named = [row for row, is_sound in zip(rows, sound.tolist(), strict=True) if is_sound]
    return [
        [key, round(float(x), 5), round(float(y), 5), name[:LABEL]]
        for (key, name, _), (x, y) in zip(named, places, strict=True)
    ]
