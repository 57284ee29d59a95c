"""ContinuumMemory, TieredUpdateIsolation, PromotionManager: what SERVICES says of each method."""

from __future__ import annotations

import importlib
import math
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any
from unittest.mock import Mock

import pytest
from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from continuum import api, services
from continuum.models import ForgettingMetric, TierAudit, TierMetric
from continuum.services import ContinuumMemory, PromotionManager, TieredUpdateIsolation
from tests.domains.queries import plans, statements

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def switched_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(services, "ENABLE_CONTINUUM_MEMORY", True)


@pytest.fixture
def off(monkeypatch: pytest.MonkeyPatch, switched_on: None) -> None:
    monkeypatch.setattr(services, "ENABLE_CONTINUUM_MEMORY", False)


@pytest.fixture
def reloaded(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.setenv("ENABLE_CONTINUUM_MEMORY", "TRUE")
    monkeypatch.setenv("TIER_PROMOTE_THRESHOLD", "0.5")
    monkeypatch.setenv("TIER_RETENTION_DAYS_L1", "3")
    yield importlib.reload(services)
    monkeypatch.undo()
    importlib.reload(services)


def metric(tier: str = "L0", key: str = "k", **columns: Any) -> TierMetric:
    return TierMetric.objects.create(item_id=key, tier=tier, **columns)


MOVE = ("k", "L0", "L1", "because", 0.9, 3, 0.8)


# --- the flag, the constants, the reload ---------------------------------------------------------


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


# --- TieredUpdateIsolation -----------------------------------------------------------------------


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


# --- scores --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "known", "expected"),
    [
        ("", None, 0.0),
        ("a an the 1234", None, 0.0),
        ("alpha beta gamma", None, 1.0),
        ("alpha alpha alpha alpha beta", None, 0.4),
        ("Alpha ALPHA", None, 0.0),
        ("alpha beta gamma", ["alpha"], 2 / 3),
        ("alpha beta", [], 1.0),
    ],
)
def test_rarity(content: str, known: list[str] | None, expected: float) -> None:
    assert PromotionManager().calculate_rarity_score(content, known) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("vector", "centroids", "expected"),
    [
        (None, None, 0.0),
        ([], [[1.0]], 0.0),
        ([1.0, 0.0], None, 0.5),
        ([1.0, 0.0], [], 0.5),
        ([1.0, 0.0], [[1.0, 0.0], [3.0, 0.0]], 0.0),
        ([1.0, 0.0], [[0.0, 1.0]], 1.0),
        ([1.0, 0.0], [[-1.0, 0.0]], 1.0),
        ([0.0, 0.0], [[1.0, 0.0]], 0.5),
        ([1.0, 0.0], [[1.0]], 0.5),
        ([1.0, "x"], [[1.0, 1.0]], 0.5),
    ],
)
def test_novelty(vector: Any, centroids: Any, expected: float) -> None:
    found = PromotionManager().calculate_novelty_score(vector, centroids)
    assert found == pytest.approx(expected, abs=1e-12)


def test_retrieval_frequency_and_overlap() -> None:
    metric(retrieval_count_7d=25, retrieval_count_30d=500, validator_overlap=0.7)
    metric(key="null", retrieval_count_7d=None, validator_overlap=None)
    manager = PromotionManager()
    assert manager.get_retrieval_frequency("k") == 0.25
    assert manager.get_retrieval_frequency("k", days=8) == 1.0
    assert manager.get_retrieval_frequency("null") == 0.0
    assert manager.get_retrieval_frequency("unknown") == 0.0
    assert manager.get_validator_overlap("k") == 0.7
    assert manager.get_validator_overlap("null") == 0.0
    assert manager.get_validator_overlap("unknown") == 0.0


def test_surprise() -> None:
    metric(retrieval_count_7d=50, validator_overlap=0.5)
    found = PromotionManager().calculate_surprise_score("k", "alpha beta", [1.0], None, [[1.0]])
    assert found == pytest.approx(0.3 * 1 + 0.3 * 0 + 0.2 * 0.5 + 0.2 * 0.5)
    # The memory ignores its four numbers: no embedding is novelty 0.
    assert ContinuumMemory().calculate_surprise_score("k", "alpha beta", 1, 1, 1, 1) == found


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


# --- promotion and demotion ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "stamped", "other"),
    [
        ("promote_item", "last_promoted_at", "last_demoted_at"),
        ("demote_item", "last_demoted_at", "last_promoted_at"),
    ],
)
def test_moves(method: str, stamped: str, other: str) -> None:
    row = metric()
    with statements(2):
        assert getattr(PromotionManager(), method)(*MOVE) is True
    row.refresh_from_db()
    assert row.tier == "L1"
    assert getattr(row, stamped) == row.updated_at == TierAudit.objects.get().created_at
    assert getattr(row, other) is None
    audit = TierAudit.objects.get()
    assert (audit.item_id, audit.from_tier, audit.to_tier, audit.reason) == MOVE[:4]
    assert (audit.surprise_score, audit.retrieval_count_7d, audit.validator_overlap) == MOVE[4:]
    assert audit.performed_by == "system"


def test_an_unknown_item_is_audited_with_any_tier() -> None:
    assert PromotionManager().promote_item("unknown", "L0", "L9", "r", 0.1, 0, 0.0) is True
    assert TierAudit.objects.get().to_tier == "L9"


def test_a_wrong_tier_of_a_known_item_stores_nothing() -> None:
    row = metric()
    assert PromotionManager().promote_item("k", "L0", "L9", "r", 0.1, 0, 0.0) is False
    row.refresh_from_db()
    assert row.tier == "L0"
    assert not TierAudit.objects.exists()
    keys = ("item_id", "from_tier", "to_tier", "reason", "surprise_score")
    arguments = dict(zip(keys, ("k", "L0", "L9", "r", 0.1), strict=True))
    with pytest.raises(IntegrityError), transaction.atomic():
        api.item_promote(**arguments, retrieval_count_7d=0, validator_overlap=0.0)


def test_a_refused_audit_row_takes_the_move_back() -> None:
    row = metric()
    assert PromotionManager().promote_item("k", "L0", "L1", None, 0.1, 0, 0.0) is False  # type: ignore[arg-type]
    row.refresh_from_db()
    assert row.tier == "L0"


PROMOTIONS = [
    ("L0", 0.75, 1, 0.0, ("L0", "L1", "High surprise score and active retrieval")),
    ("L0", 0.749, 1, 0.0, None),
    ("L0", 0.75, 0, 0.0, None),
    ("L1", 0.8, 0, 0.8, ("L1", "L2", "High surprise score and strong validator evidence")),
    ("L1", 0.8, 9, 0.79, None),
    ("L2", 1.0, 99, 1.0, None),
    ("L3", 1.0, 99, 1.0, None),
    ("L0", None, None, None, None),
]


@pytest.mark.parametrize(("tier", "surprise", "count", "overlap", "expected"), PROMOTIONS)
def test_evaluate_and_promote(
    tier: str, surprise: Any, count: Any, overlap: Any, expected: Any
) -> None:
    metric(tier, surprise_score=surprise, retrieval_count_7d=count, validator_overlap=overlap)
    assert PromotionManager().evaluate_and_promote("k") == expected
    assert TierMetric.objects.get().tier == (expected[1] if expected else tier)
    assert TierAudit.objects.count() == (1 if expected else 0)


DEMOTIONS = [
    ("L2", 0.9, 0, 0.1, "L1", "retrieval_count_7d=0"),
    ("L2", 0.9, 5, 0.29, "L1", "validator_overlap=0.290 < 0.3"),
    ("L2", 0.0, 5, 0.3, None, None),
    ("L1", 0.1, 0, 0.9, "L0", "surprise_score=0.100 < 0.15"),
    ("L1", 0.15, 0, 0.9, "L0", "retrieval_count_7d=0"),
    ("L1", 0.15, 1, 0.0, None, None),
    ("L3", 0.0, 0, 0.0, None, None),
    ("L0", 0.0, 0, 0.0, None, None),
    ("L1", None, None, None, "L0", "surprise_score=0.000 < 0.15"),
]


@pytest.mark.parametrize(("tier", "surprise", "count", "overlap", "to", "reason"), DEMOTIONS)
def test_evaluate_and_demote(
    tier: str, surprise: Any, count: Any, overlap: Any, to: str | None, reason: str | None
) -> None:
    metric(tier, surprise_score=surprise, retrieval_count_7d=count, validator_overlap=overlap)
    found = PromotionManager().evaluate_and_demote("k")
    assert found == ((tier, to, reason) if to else None)
    if to:
        assert TierAudit.objects.get().reason == reason
        assert TierMetric.objects.get().last_demoted_at is not None


def test_reasons_of_promotions() -> None:
    metric("L0", surprise_score=0.94661, retrieval_count_7d=12)
    PromotionManager().evaluate_and_promote("k")
    TierMetric.objects.update(validator_overlap=0.8123)
    PromotionManager().evaluate_and_promote("k")
    assert list(TierAudit.objects.order_by("id").values_list("reason", flat=True)) == [
        "surprise_score=0.947 >= 0.75 and retrieval_count_7d=12 > 0",
        "surprise_score=0.947 >= 0.75 and validator_overlap=0.812 >= 0.8",
    ]


def test_unknown_items_do_not_move() -> None:
    assert PromotionManager().evaluate_and_promote("unknown") is None
    assert PromotionManager().evaluate_and_demote("unknown") is None


def test_thresholds_are_read_at_call_time(monkeypatch: pytest.MonkeyPatch) -> None:
    metric("L0", surprise_score=0.5, retrieval_count_7d=1)
    monkeypatch.setattr(services, "TIER_PROMOTE_THRESHOLD", 0.4)
    monkeypatch.setattr(services, "PROMOTE_HYSTERESIS", 0.0)
    assert PromotionManager().evaluate_and_promote("k") is not None


# --- statistics and logs -------------------------------------------------------------------------


def audit(from_tier: str | None, to_tier: str, age: float = 0, key: str = "k") -> TierAudit:
    created = timezone.now() - timedelta(days=age)
    return TierAudit.objects.create(
        item_id=key, from_tier=from_tier, to_tier=to_tier, reason="r", created_at=created
    )


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


def test_the_log_and_the_week_are_read_off_indexes() -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO continuum.tier_audit (item_id, from_tier, to_tier, reason, created_at) "
            "SELECT 'i' || n % 3000, 'L0', 'L1', 'r', now() - n * interval '20 minutes' "
            "FROM generate_series(1, 20000) n"
        )
        cursor.execute(
            "INSERT INTO continuum.forgetting_metrics (regression_item_id, regression_query, "
            "measured_at) SELECT 'i', 'q', now() - n * interval '2 hours' "
            "FROM generate_series(1, 20000) n"
        )
        cursor.execute("ANALYZE continuum.tier_audit, continuum.forgetting_metrics")
    memory = ContinuumMemory()
    expected = [
        ("idx_tier_audit_created_at", memory.get_audit_log),
        ("idx_tier_audit_item_id", lambda: memory.get_audit_log(item_id="i7")),
        ("idx_tier_audit_created_at", memory.get_tier_stats),
        ("idx_forgetting_measured_at", memory.get_forgetting_trends),
    ]
    for index, call in expected:
        plan = plans(call)[-1]
        assert index in plan, plan


@pytest.mark.parametrize("odd", [None, b"x", [1], math.nan, "\ud800", {1}, object()])
def test_methods_that_only_compute_do_not_raise(odd: Any) -> None:
    tiers, manager = TieredUpdateIsolation(), PromotionManager()
    with statements(0), transaction.atomic():
        assert tiers.should_update_tier(odd, odd) is True
        assert tiers.get_tier_for_knowledge("i", odd) == "L0"
        assert 0.0 <= manager.calculate_rarity_score(odd, odd) <= 1.0
        assert 0.0 <= manager.calculate_novelty_score(odd, odd) <= 1.0
    assert manager.calculate_novelty_score(0) == 0.0  # type: ignore[arg-type]


@pytest.mark.parametrize("count", [3.7, "x", 2**31])
def test_a_count_that_is_none_is_refused_not_cut(count: Any) -> None:
    metric()
    assert PromotionManager().promote_item("k", "L0", "L1", "r", 0.5, count, 0.5) is False
    assert TierMetric.objects.get().tier == "L0"


def test_an_item_with_a_nul_is_found_under_the_same_name() -> None:
    assert PromotionManager().promote_item("a\0b", "L0", "L\0", "r", 0.5, 1.0, 0.5) is True  # type: ignore[arg-type]
    assert [row["to_tier"] for row in ContinuumMemory().get_audit_log(item_id="a\0b")] == [
        "L\ufffd"
    ]
    assert PromotionManager().evaluate_and_promote("a\0b") is None


def test_an_updates_date_is_enough() -> None:
    key = ContinuumMemory().record_forgetting_metric("i", "q", 1, 0, None, None, date(2025, 1, 2))
    found = ForgettingMetric.objects.get(pk=key).knowledge_update_timestamp
    assert found == datetime(2025, 1, 2, tzinfo=UTC)
