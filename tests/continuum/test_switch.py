"""The flag, the constants, the reload, and what no class does: raise."""

from __future__ import annotations

import importlib
import math
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import transaction

from continuum import services
from continuum.services import ContinuumMemory, PromotionManager, TieredUpdateIsolation
from tests.continuum.rows import MOVE
from tests.domains.queries import statements

pytestmark = pytest.mark.django_db


@pytest.fixture
def reloaded(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.setenv("ENABLE_CONTINUUM_MEMORY", "TRUE")
    monkeypatch.setenv("TIER_PROMOTE_THRESHOLD", "0.5")
    monkeypatch.setenv("TIER_RETENTION_DAYS_L1", "3")
    yield importlib.reload(services)
    monkeypatch.undo()
    importlib.reload(services)


def test_constants() -> None:
    assert (services.TIER_PROMOTE_THRESHOLD, services.TIER_DEMOTE_THRESHOLD) == (0.65, 0.15)
    assert services.PROMOTE_HYSTERESIS == 0.1
    assert list(services.TIER_RETENTION_DAYS.values()) == [2, 21, 180, 9999]
    assert list(services.TIER_UPDATE_FREQUENCY.values()) == [1, 10, 100, 1000]


def test_a_reload_reads_the_environment_anew(reloaded: Any) -> None:
    assert reloaded.ENABLE_CONTINUUM_MEMORY is True
    assert reloaded.TIER_PROMOTE_THRESHOLD == 0.5
    assert reloaded.TIER_RETENTION_DAYS["L1"] == 3
    assert reloaded.ContinuumMemory("x.db").get_tier_stats()["total"] == 0


def test_switched_off(off: None) -> None:
    with statements(0):
        memory, tiers, manager = ContinuumMemory(), TieredUpdateIsolation(), PromotionManager()
        for instance in (memory, tiers, manager):
            assert not hasattr(instance, "db_path")
        assert memory.get_tier_stats() == {"L0": 0, "L1": 0, "L2": 0, "L3": 0, "total": 0}
        assert memory.get_audit_log() == []
        assert memory.record_forgetting_metric("i", "q", 1.0, 0.5) == -1
        assert memory.get_forgetting_trends() == []
        assert memory.calculate_surprise_score("i", "content") == 0.0
        assert tiers.should_update_tier("nonsense", 7) is True
        assert tiers.get_tier_for_knowledge("i", 0.99) == "L0"
        assert tiers.update_tier_cycle("i", "L1", 1) is False
        assert manager.get_retrieval_frequency("i") == 0.0
        assert manager.get_validator_overlap("i") == 0.0
        assert manager.calculate_surprise_score("i", "content") == 0.0
        assert manager.promote_item(*MOVE) is False
        assert manager.demote_item(*MOVE) is False
        assert manager.evaluate_and_promote("i") is None
        assert manager.evaluate_and_demote("i") is None


def test_switched_on_keeps_the_path() -> None:
    assert ContinuumMemory().db_path == "data/continuum_memory.db"
    assert PromotionManager("p.db").db_path == "p.db"
    assert TieredUpdateIsolation(db_path="t.db").db_path == "t.db"


@pytest.mark.parametrize("odd", [None, b"x", [1], math.nan, "\ud800", {1}, object()])
def test_methods_that_only_compute_do_not_raise(odd: Any) -> None:
    tiers, manager = TieredUpdateIsolation(), PromotionManager()
    with statements(0), transaction.atomic():
        assert tiers.should_update_tier(odd, odd) is True
        assert tiers.get_tier_for_knowledge("i", odd) == "L0"
        assert 0.0 <= manager.calculate_rarity_score(odd, odd) <= 1.0
        assert 0.0 <= manager.calculate_novelty_score(odd, odd) <= 1.0
    assert manager.calculate_novelty_score(0) == 0.0  # type: ignore[arg-type]
