"""ContinuumMemory: what SERVICES says of each method, on PostgreSQL."""

from __future__ import annotations

import math
from datetime import UTC, date, datetime, timedelta
from typing import Any
from unittest.mock import Mock

import pytest
from django.utils import timezone

from continuum import api, services
from continuum.models import ForgettingMetric, TierAudit
from continuum.services import ContinuumMemory, PromotionManager
from tests.continuum.rows import metric
from tests.domains.queries import statements

pytestmark = pytest.mark.django_db


def audit(from_tier: str | None, to_tier: str, age: float = 0, key: str = "k") -> TierAudit:
    created = timezone.now() - timedelta(days=age)
    return TierAudit.objects.create(
        item_id=key, from_tier=from_tier, to_tier=to_tier, reason="r", created_at=created
    )


def test_surprise_falls_back_on_the_given_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(services, "PromotionManager", Mock(side_effect=RuntimeError("gone")))
    memory = ContinuumMemory()
    assert memory.calculate_surprise_score("k", "c", 0.5, 0.5, 1.0, 0.0) == pytest.approx(0.5)
    assert memory.calculate_surprise_score("k", "c", 9, 9, 9, 9) == 1.0


@pytest.mark.parametrize("content", [5, ["alpha"], b"alpha"])
def test_the_given_figures_stand_in_for_a_content_that_is_no_text(content: Any) -> None:
    found = ContinuumMemory().calculate_surprise_score("k", content, 0.5, 0.5, 1.0, 0.0)
    assert found == pytest.approx(0.5)
    assert PromotionManager().calculate_rarity_score(content) == 0.0


def test_tier_stats() -> None:
    for number, tier in enumerate(("L0", "L0", "L2")):
        metric(tier, key=str(number))
    for step in (("L0", "L1"), ("L1", "L2"), ("L2", "L0"), (None, "L1"), ("L1", "L1")):
        audit(*step)
    audit("L0", "L1", age=9)
    with statements(2):
        found = ContinuumMemory().get_tier_stats()
    assert found == {
        "L0": 2,
        "L1": 0,
        "L2": 1,
        "L3": 0,
        "total": 3,
        "promoted_7d": 2,
        "demoted_7d": 1,
    }


def test_the_week_begins_with_its_local_day(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.LEGACY_TIME_ZONE = "Asia/Ho_Chi_Minh"
    moment = timezone.now()  # one for all: the UTC day may turn
    monkeypatch.setattr(timezone, "now", lambda: moment)
    boundary = timezone.now().date() - timedelta(days=7)
    midnight = datetime(boundary.year, boundary.month, boundary.day, tzinfo=UTC)
    for hours, expected in ((-7, 1), (-7.01, 1)):
        audit("L0", "L1").__class__.objects.filter(pk=TierAudit.objects.latest("id").pk).update(
            created_at=midnight + timedelta(hours=hours)
        )
        assert ContinuumMemory().get_tier_stats()["promoted_7d"] == expected


def test_audit_log(settings: Any) -> None:
    settings.LEGACY_TIME_ZONE = "Asia/Ho_Chi_Minh"
    rows = [audit("L0", "L1", key=key) for key in ("a", "b", "a")]
    moment = datetime(2025, 11, 18, 1, 25, 32, 384678, tzinfo=UTC)
    TierAudit.objects.update(created_at=moment)
    TierAudit.objects.filter(pk=rows[2].pk).update(created_at=None)
    with statements(1):
        found = ContinuumMemory().get_audit_log()
    assert [row["id"] for row in found] == [rows[1].pk, rows[0].pk, rows[2].pk]
    assert list(found[0]) == list(api.AUDIT_COLUMNS)
    assert found[0]["created_at"] == "2025-11-18T08:25:32.384678"
    assert found[2]["created_at"] is None
    assert len(ContinuumMemory().get_audit_log(item_id="a")) == 2
    assert len(ContinuumMemory().get_audit_log(item_id="")) == 3
    assert len(ContinuumMemory().get_audit_log(limit=1)) == 1
    assert len(ContinuumMemory().get_audit_log(limit=-1)) == 3
    assert ContinuumMemory().get_audit_log(limit=0) == []


def test_record_forgetting_metric(settings: Any) -> None:
    settings.LEGACY_TIME_ZONE = "Asia/Ho_Chi_Minh"
    memory = ContinuumMemory()
    local = datetime(2025, 12, 4, 8, 56, 9, 245523)
    key = memory.record_forgetting_metric("i", "q", 0.3, 0.1, 0.9, None, local)
    row = ForgettingMetric.objects.get(pk=key)
    assert row.forgetting_delta == 0.3 - 0.1
    assert (row.faithfulness_score, row.overlap_score) == (0.9, None)
    assert row.knowledge_update_timestamp == datetime(2025, 12, 4, 1, 56, 9, 245523, tzinfo=UTC)
    assert memory.record_forgetting_metric("i", "q", None, 0.1) == -1  # type: ignore[arg-type]
    assert memory.record_forgetting_metric("i", None, 0.2, 0.1) == -1  # type: ignore[arg-type]
    key = memory.record_forgetting_metric("i", "q", math.nan, 0.1)
    assert ForgettingMetric.objects.get(pk=key).forgetting_delta is None


def test_forgetting_trends_by_local_date(settings: Any) -> None:
    settings.LEGACY_TIME_ZONE = "Asia/Ho_Chi_Minh"
    day = (timezone.now() - timedelta(days=3)).replace(hour=0, minute=0, second=0, microsecond=0)
    # 16:59 and 17:00 UTC are on both sides of a local midnight.
    for hour, minute, before, after in ((16, 59, 0.9, 0.5), (17, 0, 0.8, 0.6), (20, 0, 0.4, 0.2)):
        ForgettingMetric.objects.create(
            regression_item_id="i",
            regression_query="q",
            recall_at_k_before=before,
            recall_at_k_after=after,
            forgetting_delta=before - after,
            measured_at=day.replace(hour=hour, minute=minute),
        )
    with statements(1):
        found = ContinuumMemory().get_forgetting_trends()
    assert [row["evaluation_count"] for row in found] == [1, 2]
    local = (day + timedelta(hours=24)).strftime("%Y-%m-%d")
    assert found[1]["evaluation_timestamp"] == f"{local}T00:00:00"
    assert found[1]["avg_recall_before"] == pytest.approx(0.6)
    assert found[1]["avg_forgetting_delta"] == pytest.approx(0.2)
    assert list(found[0]) == [
        "evaluation_timestamp",
        "avg_forgetting_delta",
        "avg_recall_before",
        "avg_recall_after",
        "evaluation_count",
    ]
    assert ContinuumMemory().get_forgetting_trends(days=0) == []
    assert ContinuumMemory().get_forgetting_trends(days=-3) == []


@pytest.mark.parametrize("nothing", [None, "", 0, False])
def test_an_update_need_have_no_time(nothing: Any) -> None:
    key = ContinuumMemory().record_forgetting_metric("i", "q", 1, 0, None, None, nothing)
    assert ForgettingMetric.objects.get(pk=key).knowledge_update_timestamp is None


def test_an_updates_date_is_enough() -> None:
    key = ContinuumMemory().record_forgetting_metric("i", "q", 1, 0, None, None, date(2025, 1, 2))
    found = ForgettingMetric.objects.get(pk=key).knowledge_update_timestamp
    assert found == datetime(2025, 1, 2, tzinfo=UTC)
