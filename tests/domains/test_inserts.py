"""Rows stored with a statement that is compiled, and prepared, once."""

from __future__ import annotations

import struct
from typing import Any

import pytest
from django.db import DataError, IntegrityError, connection, transaction
from django.utils import timezone

from knowledge.models import KnowledgeItem, LearningSession
from rss.models import FetchCycle
from stillme.services.prepared_insert import insert

pytestmark = pytest.mark.django_db(transaction=True)


def as_stored(model: Any, key: int) -> dict[str, Any]:
    """A row without what differs from moment to moment."""
    row = model.objects.values().get(pk=key)
    return {name: value for name, value in row.items() if name not in ("id", "created_at")}


@pytest.mark.parametrize("times", [1, 5])
def test_a_row_is_stored_as_by_the_orm(times: int) -> None:
    hostile = {"a": [1, 1.5, None, "%s \u0001 tiếng Việt"], "b": {"c": True}}
    values = {"session_type": "'; --", "content_learned": "%s", "metadata": hostile}
    expected = as_stored(LearningSession, LearningSession.objects.create(**values).pk)
    for _ in range(times):
        assert as_stored(LearningSession, insert(LearningSession, **values)) == expected


def test_defaults_of_model_and_database() -> None:
    now = timezone.now()
    expected = as_stored(FetchCycle, FetchCycle.objects.create(cycle_number=3, started_at=now).pk)
    found = as_stored(FetchCycle, insert(FetchCycle, cycle_number=3, started_at=now))
    assert found == expected
    assert (found["status"], found["items_fetched"]) == ("unfinished", 0)


def test_errors_are_djangos_and_a_callers_transaction_survives() -> None:
    with transaction.atomic():
        with pytest.raises(IntegrityError):
            insert(FetchCycle, cycle_number=None, started_at=timezone.now())
        assert insert(FetchCycle, cycle_number=1, started_at=timezone.now())
    assert FetchCycle.objects.count() == 1


@pytest.mark.parametrize("number", [2**31, 2**40 + 5, -(2**31) - 1])
def test_an_integer_beyond_its_column_is_refused_not_cut(number: int) -> None:
    for _ in range(4):
        with pytest.raises(DataError, match="out of range"):
            insert(FetchCycle, cycle_number=number, started_at=timezone.now())
    assert not FetchCycle.objects.exists()


def test_reals_keep_their_bits() -> None:
    for number in (0.1 + 0.2, 5e-324, 1.7976931348623157e308, -0.0, float("inf")):
        key = insert(LearningSession, session_type="s", content_learned="c", accuracy_score=number)
        found = LearningSession.objects.get(pk=key).accuracy_score
        assert struct.pack("d", found) == struct.pack("d", number)


@pytest.mark.parametrize("values", [{"content": "c", "sorce": "s"}, {"content": "c"}])
def test_a_wrong_or_missing_column_is_named(values: dict[str, Any]) -> None:
    with pytest.raises(TypeError, match=r"sorce|source"):
        insert(KnowledgeItem, **values)


def test_repeated_statements_are_prepared() -> None:
    connection.close()  # the session of another test may have prepared its own
    for _ in range(5):
        insert(KnowledgeItem, content="c", source="s", knowledge_type="t")
    with connection.cursor() as cursor:
        cursor.execute("SELECT statement FROM pg_prepared_statements")
        statements = [row[0] for row in cursor.fetchall()]
    assert sum('INSERT INTO "knowledge"."knowledge_items"' in sql for sql in statements) == 1
