"""KnowledgeRetention: what SERVICES says of each method, on PostgreSQL."""

from __future__ import annotations

import math
import re
from datetime import timedelta
from typing import Any
from unittest.mock import Mock

import pytest
from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from knowledge import api, services
from knowledge.models import KnowledgeItem, KnowledgeRelationship, LearningSession
from knowledge.services import KnowledgeRetention
from tests.domains.queries import statements

pytestmark = pytest.mark.django_db
retention = KnowledgeRetention()


def item(score: float | None = 0.9, **columns: Any) -> KnowledgeItem:
    age = columns.pop("age", 0)
    values = {"content": "c", "source": "s", "knowledge_type": "general", **columns}
    created = timezone.now() - timedelta(days=age)
    return KnowledgeItem.objects.create(retention_score=score, created_at=created, **values)


def test_the_path_is_kept_and_chooses_nothing() -> None:
    assert retention.db_path == "data/knowledge_retention.db"
    assert KnowledgeRetention(db_path="/nowhere/x.db").db_path == "/nowhere/x.db"


def test_add_knowledge() -> None:
    with statements(1):
        key = retention.add_knowledge("nội dung 🤖", "arxiv", metadata={"a": [1, None]})
    found = KnowledgeItem.objects.get(pk=key)
    assert (found.content, found.source, found.knowledge_type) == (
        "nội dung 🤖",
        "arxiv",
        "general",
    )
    assert (found.confidence_score, found.retention_score, found.access_count) == (0.5, 0.0, 0)
    assert found.metadata == {"a": [1, None]}


@pytest.mark.parametrize("falsy", [None, {}, [], 0, ""])
def test_falsy_metadata_is_an_empty_object(falsy: Any) -> None:
    key = retention.add_knowledge("c", "s", metadata=falsy)
    assert KnowledgeItem.objects.get(pk=key).metadata == {}


def test_what_postgresql_cannot_hold_is_replaced_not_lost() -> None:
    metadata = {
        "n": math.nan,
        "i": -math.inf,
        "k\0": "\ud800",
        "deep": [{"x": "\0"}],
        "big": 10**40,
    }
    key = retention.add_knowledge("a\0b", "s", confidence_score=math.nan, metadata=metadata)
    found = KnowledgeItem.objects.get(pk=key)
    assert found.content == "a\ufffdb"
    assert found.confidence_score is None
    assert found.metadata == {
        "n": None,
        "i": None,
        "k\ufffd": "\ufffd",
        "deep": [{"x": "\ufffd"}],
        "big": 10**40,
    }


@pytest.mark.parametrize(
    "arguments",
    [
        {"content": None},
        {"content": b"bytes"},
        {"content": [7]},
        {"content": "\ud800"},
        {"source": None},
        {"confidence_score": "high"},
        {"metadata": {"x": {1, 2}}},
    ],
)
def test_a_refused_item_is_minus_one(arguments: dict[str, Any]) -> None:
    assert retention.add_knowledge(**{"content": "c", "source": "s", **arguments}) == -1
    assert not KnowledgeItem.objects.exists()
    with pytest.raises((TypeError, ValueError, IntegrityError)), transaction.atomic():
        api.item_add(**{"content": "c", "source": "s", **arguments})


def test_a_number_as_a_text_is_the_text_of_itself() -> None:
    key = retention.add_knowledge(7, 2.5, True)  # type: ignore[arg-type]
    found = KnowledgeItem.objects.get(pk=key)
    assert (found.content, found.source, found.knowledge_type) == ("7", "2.5", "1")


@pytest.mark.parametrize("fits", [1, "1", " 1 ", "1.0", 1.0, True])
def test_an_id_finds_the_row_that_sqlite_found(fits: Any) -> None:
    KnowledgeItem.objects.create(id=1, content="c", source="s", knowledge_type="t")
    assert retention.update_retention_score(fits, 0.5) is True
    assert KnowledgeItem.objects.get().retention_score == 0.5


@pytest.mark.parametrize(
    ("other", "answer"),
    [
        (None, True),
        ("x", True),
        (1.5, True),
        (math.nan, True),
        (b"1", True),
        ("1_0", True),
        (2**63, False),
        ([1], False),
    ],
)
def test_what_is_no_id_touches_no_row(other: Any, answer: bool) -> None:
    KnowledgeItem.objects.create(id=1, content="c", source="s", knowledge_type="t")
    assert retention.update_retention_score(other, 0.5) is answer
    assert KnowledgeItem.objects.get().retention_score == 0.0
    if other is not None:
        with pytest.raises((ValueError, TypeError)):
            api.item_rescore(item_id=1.5, retention_score=0.5)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("limit", "rows"),
    [("2", 2), (2.0, 2), (None, 0), (2.5, 0), ("x", 0), (2**63, 0), (-(2**63), 3)],
)
def test_limits_are_sqlites(limit: Any, rows: int) -> None:
    for _ in range(3):
        item(0.9)
    assert len(retention.get_retained_knowledge(limit=limit)) == rows


def test_a_type_with_a_nul_finds_what_was_stored_under_it() -> None:
    key = retention.add_knowledge("c", "s", "a\0b")
    retention.update_retention_score(key, 1.0)
    assert [r["id"] for r in retention.get_retained_knowledge("a\0b")] == [key]


def test_errors_go_to_the_logger_of_the_module(monkeypatch: pytest.MonkeyPatch) -> None:
    logger = Mock()
    monkeypatch.setattr(services, "logger", logger)
    assert retention.add_knowledge(None, "s") == -1  # type: ignore[arg-type]
    assert logger.error.called


def test_update_retention_score() -> None:
    row = item(0.1, last_accessed=timezone.now() - timedelta(days=9))
    with statements(1):
        assert retention.update_retention_score(row.pk, 7.5) is True
    row.refresh_from_db()
    assert row.retention_score == 7.5
    assert timezone.now() - row.last_accessed < timedelta(minutes=1)
    assert retention.update_retention_score(10**9, 0.5) is True
    assert api.item_rescore(item_id=10**9, retention_score=0.5) is False
    assert retention.update_retention_score(row.pk, "high") is False  # type: ignore[arg-type]


@pytest.mark.parametrize("score", ["0.5", " 5e-1 ", "+.5", 0.5])
def test_a_score_may_be_a_number_as_text(score: Any) -> None:
    row = item(0.1)
    assert retention.update_retention_score(row.pk, score) is True
    assert KnowledgeItem.objects.get().retention_score == 0.5
    assert len(retention.get_retained_knowledge(min_retention_score=score)) == 1


@pytest.mark.parametrize("word", [*["x", "５"], "1_0", "inf", "nan", "0x1", "1e", "", b"1"])
def test_a_word_as_a_score_is_refused_where_a_row_would_take_it(word: Any) -> None:
    row = item(0.1)
    assert retention.update_retention_score(row.pk, word) is False
    assert retention.update_retention_score(10**9, word) is True
    assert retention.add_knowledge("c", "s", confidence_score=word) == -1
    assert retention.get_retained_knowledge(min_retention_score=word) == []
    assert retention.cleanup_old_knowledge(0, word) == 0
    assert KnowledgeItem.objects.get().retention_score == 0.1


@pytest.mark.parametrize("score", [None, math.nan])
def test_no_score_is_null_in_a_row_and_below_every_page(score: Any) -> None:
    row = item(0.9)
    assert retention.get_retained_knowledge(min_retention_score=score) == []
    assert retention.update_retention_score(row.pk, score) is True
    assert KnowledgeItem.objects.get().retention_score is None


def test_retained_keys_order_and_strings() -> None:
    equal = [item(0.8, access_count=n) for n in (0, None, 3, 3)]
    best = item(0.95, metadata={"x": 1})
    item(0.69)
    item(None)
    with statements(1):
        found = retention.get_retained_knowledge()
    order = [best, equal[2], equal[3], equal[0], equal[1]]
    assert [row["id"] for row in found] == [row.pk for row in order]
    assert list(found[0]) == [
        "id",
        "content",
        "source",
        "knowledge_type",
        "confidence_score",
        "retention_score",
        "access_count",
        "last_accessed",
        "metadata",
    ]
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", found[0]["last_accessed"])
    assert found[0]["metadata"] == {"x": 1}


def test_retained_filters_and_limits() -> None:
    for kind in ("a", "b", "a"):
        item(0.9, knowledge_type=kind)
    assert len(retention.get_retained_knowledge(knowledge_type="a")) == 2
    assert len(retention.get_retained_knowledge(knowledge_type="")) == 3
    assert len(retention.get_retained_knowledge(limit=2)) == 2
    assert retention.get_retained_knowledge(limit=0) == []
    assert len(retention.get_retained_knowledge(limit=-1)) == 3
    assert len(retention.get_retained_knowledge(min_retention_score=0.9)) == 3
    assert retention.get_retained_knowledge(min_retention_score=0.91) == []
    assert KnowledgeItem.objects.filter(access_count=0).count() == 3


def test_null_metadata_does_not_empty_the_page() -> None:
    item(0.9, metadata=None)
    assert [row["metadata"] for row in retention.get_retained_knowledge()] == [{}]


def test_record_learning_session() -> None:
    with statements(1):
        key = retention.record_learning_session(
            "chat", "Q: a\nA: b", 0.5, metadata={"user_id": None}
        )
    found = LearningSession.objects.get(pk=key)
    assert (found.session_type, found.accuracy_score, found.retention_improvement) == (
        "chat",
        0.5,
        0.0,
    )
    assert found.metadata == {"user_id": None}
    assert retention.record_learning_session("chat", None, 0.5) == -1  # type: ignore[arg-type]


def test_metrics_of_nothing() -> None:
    assert retention.calculate_retention_metrics() == {
        "total_knowledge_items": 0,
        "average_retention_score": 0.0,
        "high_retention_items": 0,
        "retention_rate": 0.0,
        "total_learning_sessions": 0,
        "average_accuracy": 0.0,
        "recent_accuracy": 0.0,
        "learning_trend": "stable",
    }


def session(score: float | None, age: float) -> None:
    LearningSession.objects.create(
        session_type="s",
        content_learned="c",
        accuracy_score=score,
        created_at=timezone.now() - timedelta(days=age),
    )


def test_metrics() -> None:
    for score in (0.7, 0.2, None):
        item(score)
    for score, age in ((0.9, 1), (0.1, 8), (None, 0)):
        session(score, age)
    with statements(2):
        found = retention.calculate_retention_metrics()
    assert found == {
        "total_knowledge_items": 3,
        "average_retention_score": 0.45,
        "high_retention_items": 1,
        "retention_rate": 0.333,
        "total_learning_sessions": 3,
        "average_accuracy": 0.5,
        "recent_accuracy": 0.9,
        "learning_trend": "improving",
    }


def test_equal_averages_are_stable() -> None:
    for _ in range(3):
        session(0.1, 0)
    assert retention.calculate_retention_metrics()["learning_trend"] == "stable"


def test_cleanup_is_strict_and_keeps_null() -> None:
    old = item(0.1, age=31)
    keep = [item(0.1, age=29), item(0.3, age=31), item(None, age=31)]
    KnowledgeRelationship.objects.create(source=old, target=keep[0], relationship_type="r")
    KnowledgeRelationship.objects.create(source=keep[1], target=keep[2], relationship_type="r")
    with statements(3):
        assert retention.cleanup_old_knowledge() == 1
    assert set(KnowledgeItem.objects.all()) == set(keep)
    assert KnowledgeRelationship.objects.count() == 1
    connection.check_constraints()


@pytest.mark.parametrize("days", [-1, 10**12, 10**6, None, math.nan, math.inf, "x", True])
def test_cleanup_of_impossible_windows_deletes_nothing(days: Any) -> None:
    item(0.1, age=1000)
    assert retention.cleanup_old_knowledge(days_threshold=days) == 0
    assert KnowledgeItem.objects.count() == 1


def test_cleanup_takes_days_as_text() -> None:
    item(0.1, age=1000)
    assert retention.cleanup_old_knowledge("999.5") == 1  # type: ignore[arg-type]


@pytest.mark.parametrize("score", [math.nan, None])
def test_cleanup_below_nothing_deletes_nothing(score: Any) -> None:
    item(0.1, age=1000)
    assert retention.cleanup_old_knowledge(min_retention_score=score) == 0
    assert KnowledgeItem.objects.count() == 1


def test_a_method_that_fails_leaves_the_callers_transaction_usable() -> None:
    with transaction.atomic():
        assert retention.add_knowledge(None, "s") == -1  # type: ignore[arg-type]
        assert retention.add_knowledge("c", "s") > 0
    assert KnowledgeItem.objects.count() == 1
