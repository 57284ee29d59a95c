"""TieredUpdateIsolation: what SERVICES says of each method, on PostgreSQL."""

from __future__ import annotations

import math
from datetime import timedelta
from unittest.mock import Mock

import pytest
from django.utils import timezone

from continuum import services
from continuum.services import TieredUpdateIsolation
from tests.continuum.rows import metric
from tests.domains.queries import statements

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    ("tier", "cycle", "expected"),
    [
        ("L0", 7, True),
        ("L1", 0, True),
        ("L1", 10, True),
        ("L1", 7, False),
        ("L1", -10, True),
        ("L1", -7, False),
        ("L2", 100, True),
        ("L3", 999, False),
    ],
)
def test_should_update_tier(tier: str, cycle: int, expected: bool) -> None:
    assert TieredUpdateIsolation().should_update_tier(tier, cycle) is expected


def test_an_unknown_tier_warns_once(monkeypatch: pytest.MonkeyPatch) -> None:
    logger = Mock()
    monkeypatch.setattr(services, "logger", logger)
    assert TieredUpdateIsolation().should_update_tier("L9", 7) is True
    assert logger.warning.call_count == 1


def test_frequencies_are_read_at_call_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(services.TIER_UPDATE_FREQUENCY, "L1", 7)
    assert TieredUpdateIsolation().should_update_tier("L1", 7) is True


@pytest.mark.parametrize(
    ("score", "tier"),
    [(1, "L3"), (0.8, "L3"), (0.79, "L2"), (0.6, "L2"), (0.4, "L1"), (0.39, "L0")],
)
def test_tier_for_knowledge(score: float, tier: str) -> None:
    assert TieredUpdateIsolation().get_tier_for_knowledge("i", score) == tier


def test_update_tier_cycle() -> None:
    row = metric(updated_at=timezone.now() - timedelta(days=5))
    with statements(1):
        assert TieredUpdateIsolation().update_tier_cycle("k", "L0", 42) is True
    row.refresh_from_db()
    assert row.last_update_cycle == 42
    assert timezone.now() - row.updated_at < timedelta(minutes=1)
    for cycle in (1, "x", 4.5, math.nan):
        assert TieredUpdateIsolation().update_tier_cycle("unknown", "L0", cycle) is True  # type: ignore[arg-type]
    assert TieredUpdateIsolation().update_tier_cycle("k", "L0", "x") is False  # type: ignore[arg-type]
    assert TieredUpdateIsolation().update_tier_cycle("k", "L0", 4.5) is False  # type: ignore[arg-type]
