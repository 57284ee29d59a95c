"""AccuracyScorer: what SERVICES says of each method, on PostgreSQL."""

from __future__ import annotations

import math
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from accuracy import api, scoring
from accuracy.models import AccuracyScore, LearningObjective
from accuracy.services import AccuracyScorer
from tests.domains.queries import statements

pytestmark = pytest.mark.django_db
scorer = AccuracyScorer()


def test_path() -> None:
    assert scorer.db_path == "data/accuracy_scores.db"


@pytest.mark.parametrize(
    ("method", "question", "answer", "expected", "score"),
    [
        ("semantic_similarity", "q", "The cat sat", "the CAT ran", 2 / 4),
        ("semantic_similarity", "q", "  ", "the cat", 0.0),
        ("semantic_similarity", "q", "a b", "   ", 0.0),
        ("semantic_similarity", "q", "a b", "", 0.5),
        ("semantic_similarity", "q", "a b", None, 0.5),
        ("keyword_match", "q", "Neural networks learn with data", "neural data models", 2 / 4),
        ("keyword_match", "neural data", "neural nets", "", 1 / 2),
        ("keyword_match", "neural data", "a an the", None, 0.0),
        ("keyword_match", "q", "some", "on at to", 0.0),
        ("length_appropriateness", "one two", "a b", None, 2 / 3 * 0.8),
        ("length_appropriateness", "one two", "a b c", None, 1.0),
        ("length_appropriateness", "one two", "a b c d e f", None, 1.0),
        ("length_appropriateness", "one two", "a " * 7, None, 1 - 1 / 6),
        ("length_appropriateness", "one two", "a " * 100, None, 0.5),
        ("length_appropriateness", "", "a b", None, 0.5),
        ("length_appropriateness", "", "", None, 1.0),
        ("anything else", "q", "a", "a", 0.5),
    ],
)
def test_scores(
    method: str, question: str, answer: str, expected: str | None, score: float
) -> None:
    found = scorer.score_response(question, answer, expected, method)
    assert found == pytest.approx(score, abs=1e-15)
    assert AccuracyScore.objects.get().accuracy_score == found


def test_stop_words_are_the_fourteen() -> None:
    assert len(scoring.STOP_WORDS) == 14


def test_score_response_stores_everything() -> None:
    with statements(1):
        scorer.score_response("q\0", "a", None, context_used="ctx", metadata={"k": "v"})
    row = AccuracyScore.objects.get()
    assert (row.question, row.actual_answer, row.expected_answer) == ("q\ufffd", "a", None)
    assert (row.scoring_method, row.context_used) == ("semantic_similarity", "ctx")
    assert row.metadata == {"k": "v"}


@pytest.mark.parametrize("bad", [{"question": None}, {"actual_answer": None}, {"metadata": {1j}}])
def test_a_refused_score_is_zero_and_not_stored(bad: dict[str, Any]) -> None:
    assert scorer.score_response(**{"question": "q", "actual_answer": "a", **bad}) == 0.0
    assert not AccuracyScore.objects.exists()


def score(value: float, method: str = "m", age: float = 0) -> None:
    AccuracyScore.objects.create(
        question="q",
        actual_answer="a",
        accuracy_score=value,
        scoring_method=method,
        created_at=timezone.now() - timedelta(days=age),
    )


def test_metrics_of_an_empty_window() -> None:
    score(0.5, age=8)
    assert scorer.get_accuracy_metrics() == {"error": "No recent scores found"}
    assert scorer.get_accuracy_metrics(days=-1) == {"error": "No recent scores found"}
    with pytest.raises(api.NoScoresError):
        api.accuracy_measure()


def test_metrics_that_fail_say_so() -> None:
    assert "error" in scorer.get_accuracy_metrics(days="x")  # type: ignore[arg-type]


def test_metrics() -> None:
    for value, method, age in (
        (0.9, "a", 1),
        (0.8, "b", 2),
        (0.1, "a", 3),
        (0.2, "a", 4),
        (0.3, "b", 5),
    ):
        score(value, method, age)
    with statements(3):
        found = scorer.get_accuracy_metrics(days=6)
    assert found == {
        "period_days": 6,
        "total_responses": 5,
        "average_accuracy": 0.46,
        "max_accuracy": 0.9,
        "min_accuracy": 0.1,
        "method_breakdown": {
            "a": {"count": 3, "average": 0.4},
            "b": {"count": 2, "average": 0.55},
        },
        "trend": "improving",
        "recent_vs_older": {"recent_avg": 0.85, "older_avg": 0.2},
    }


def test_methods_come_in_the_order_of_their_names() -> None:
    for number, method in enumerate(("é", "b", "a", "B", "_", "a")):
        score(0.5, method, number)
    assert list(scorer.get_accuracy_metrics()["method_breakdown"]) == ["B", "_", "a", "b", "é"]


def test_one_row_is_both_halves() -> None:
    score(0.4)
    found = scorer.get_accuracy_metrics()
    assert found["trend"] == "stable"
    assert found["recent_vs_older"] == {"recent_avg": 0.4, "older_avg": 0.4}


def test_ties_go_by_id() -> None:
    moment = timezone.now()
    for value in (0.9, 0.1):
        AccuracyScore.objects.create(
            question="q",
            actual_answer="a",
            accuracy_score=value,
            scoring_method="m",
            created_at=moment,
        )
    found = scorer.get_accuracy_metrics()
    assert found["recent_vs_older"] == {"recent_avg": 0.9, "older_avg": 0.1}
    assert found["trend"] == "improving"


def test_declining() -> None:
    score(0.1, age=0)
    score(0.9, age=1)
    assert scorer.get_accuracy_metrics()["trend"] == "declining"


def test_objectives() -> None:
    with statements(1):
        key = scorer.set_learning_objective("mục tiêu", 0.8, {"n": 1})
    row = LearningObjective.objects.get(pk=key)
    assert (row.objective_text, row.target_score, row.current_score) == ("mục tiêu", 0.8, 0.0)
    assert (row.status, row.achieved_at, row.metadata) == ("active", None, {"n": 1})
    assert scorer.set_learning_objective("x", None) == -1  # type: ignore[arg-type]


def test_progress() -> None:
    key = scorer.set_learning_objective("o", 0.8)
    with statements(1):
        assert scorer.update_objective_progress(key, 0.7) is True
    row = LearningObjective.objects.get(pk=key)
    assert (row.current_score, row.status, row.achieved_at) == (0.7, "active", None)
    assert scorer.update_objective_progress(key, 0.8) is True
    row.refresh_from_db()
    assert row.status == "achieved"
    LearningObjective.objects.update(achieved_at="2025-01-01T00:00:00Z")
    scorer.update_objective_progress(key, 0.1)
    row.refresh_from_db()
    assert (row.current_score, row.status, row.achieved_at.year) == (0.1, "achieved", 2025)
    scorer.update_objective_progress(key, 0.9)
    row.refresh_from_db()
    assert timezone.now() - row.achieved_at < timedelta(minutes=1)
    assert scorer.update_objective_progress(10**9, 0.9) is True
    assert scorer.update_objective_progress(key, "high") is False  # type: ignore[arg-type]


@pytest.mark.parametrize("days", [None, -1, math.nan, math.inf, "x", 10**7])
def test_a_window_that_is_none_holds_nothing(days: Any) -> None:
    scorer.score_response("q", "a")
    assert scorer.get_accuracy_metrics(days) == {"error": "No recent scores found"}


@pytest.mark.parametrize("days", ["7", 7.5, 800_000, 10**6])
def test_days_are_read_as_sqlite_reads_them(days: Any) -> None:
    scorer.score_response("q", "a")
    found = scorer.get_accuracy_metrics(days)
    assert (found["period_days"], found["total_responses"]) == (days, 1)


@pytest.mark.parametrize("score", [None, "high", b"1", "1_0", "inf", "nan", "５"])
def test_a_score_that_compares_with_nothing_changes_nothing(score: Any) -> None:
    key = scorer.set_learning_objective("o", 0.5)
    with pytest.raises(ValueError):
        api.objective_progress(objective_id=key, current_score=score)
    assert scorer.update_objective_progress(key, score) is False
    assert scorer.update_objective_progress(key + 1, score) is True
    assert scorer.update_objective_progress(key + 1, [score]) is False  # type: ignore[arg-type]
    assert LearningObjective.objects.get().current_score == 0.0
    assert scorer.update_objective_progress("no id", 0.9) is True  # type: ignore[arg-type]


def test_what_is_no_text_has_nothing_in_common() -> None:
    assert scorer.score_response("q", 5, "5") == 0.0  # type: ignore[arg-type]
    assert AccuracyScore.objects.get().actual_answer == "5"
