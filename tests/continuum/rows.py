"""Items and their moves, for the tests of this folder."""

from __future__ import annotations

from typing import Any

from continuum.models import TierMetric

MOVE = ("k", "L0", "L1", "because", 0.9, 3, 0.8)


def metric(tier: str = "L0", key: str = "k", **columns: Any) -> TierMetric:
    return TierMetric.objects.create(item_id=key, tier=tier, **columns)
