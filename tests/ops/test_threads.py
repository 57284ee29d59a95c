"""No lost update: 16 threads doing the same counts, promotions and cycles end in exact sums."""

from __future__ import annotations

import pytest
from django.db import connections

from continuum import services as continuum_services
from continuum.models import TierAudit, TierMetric
from continuum.services import PromotionManager, TieredUpdateIsolation
from knowledge.models import KnowledgeItem
from knowledge.services import KnowledgeRetention
from rss.models import FetchCycle, FetchItem
from rss.services import RSSFetchHistory
from tests.ops.threads import in_threads

pytestmark = pytest.mark.django_db(transaction=True)
THREADS, EACH = 16, 12
STATUSES = ("Added to RAG", "Filtered: Duplicate", "Filtered: Low Score", "Fetched (not added)")


def test_counters_of_a_cycle() -> None:
    history = RSSFetchHistory()
    cycle = history.create_fetch_cycle(1)

    def add(number: int) -> None:
        for turn in range(EACH):
            status = STATUSES[(number + turn) % 4]
            history.add_fetch_item(cycle, "t", "f", "l", "s", status)

    in_threads(THREADS, add)
    total = THREADS * EACH
    row = FetchCycle.objects.get()
    assert FetchItem.objects.count() == row.items_fetched == total
    assert row.items_added == row.items_duplicate == row.items_low_score == total // 4
    assert row.items_filtered == total // 2


def test_one_of_many_promotes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(continuum_services, "ENABLE_CONTINUUM_MEMORY", True)
    items = [f"i{n}" for n in range(5)]
    for item in items:
        TierMetric.objects.create(
            item_id=item, tier="L0", surprise_score=0.9, retrieval_count_7d=3, validator_overlap=0.9
        )

    def promote(number: int) -> int:
        manager = PromotionManager()
        return sum(manager.evaluate_and_promote(item) is not None for item in items * 2)

    moves = sum(in_threads(THREADS, promote))
    # L0 to L1 and L1 to L2, each exactly once per item.
    assert moves == TierAudit.objects.count() == 2 * len(items)
    assert set(TierMetric.objects.values_list("tier", flat=True)) == {"L2"}
    for item in items:
        steps = TierAudit.objects.filter(item_id=item).values_list("from_tier", "to_tier")
        assert sorted(steps) == [("L0", "L1"), ("L1", "L2")]


def test_moves_and_their_audit_rows_come_in_pairs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(continuum_services, "ENABLE_CONTINUUM_MEMORY", True)
    TierMetric.objects.create(item_id="k", tier="L0")

    def move(number: int) -> None:
        for turn in range(EACH):
            tiers = ("L0", "L1") if (number + turn) % 2 else ("L1", "L0")
            assert PromotionManager().promote_item("k", *tiers, "r", 0.5, 1, 0.5)
            assert TieredUpdateIsolation().update_tier_cycle("k", "L0", turn)

    in_threads(THREADS, move)
    assert TierAudit.objects.count() == THREADS * EACH
    assert TierMetric.objects.get().last_update_cycle == EACH - 1


def test_every_acknowledged_write_is_there() -> None:
    retention = KnowledgeRetention()

    def write(number: int) -> list[int]:
        return [retention.add_knowledge(f"{number}.{turn}", "s") for turn in range(EACH)]

    keys = [key for found in in_threads(THREADS, write) for key in found]
    assert len(set(keys)) == THREADS * EACH
    assert KnowledgeItem.objects.filter(pk__in=keys).count() == THREADS * EACH
    assert connections["default"].is_usable()
