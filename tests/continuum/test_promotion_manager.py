"""PromotionManager: what SERVICES says of each method, on PostgreSQL."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import IntegrityError, transaction

from continuum import api, services
from continuum.models import TierAudit, TierMetric
from continuum.services import ContinuumMemory, PromotionManager
from tests.continuum.rows import MOVE, metric
from tests.domains.queries import statements

pytestmark = pytest.mark.django_db


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
