"""Reads that are prepared and come back in binary say what the ORM says."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from django.db import DatabaseError, connection

from knowledge.models import KnowledgeItem
from knowledge.services import KnowledgeRetention
from rss.services import RSSFetchHistory
from stillme.services.prepared_select import fetch, from_table, limit_clause, select

pytestmark = pytest.mark.django_db(transaction=True)

NAMES = ("id", "content", "retention_score", "access_count", "last_accessed", "metadata")
HOSTILE: list[dict[str, Any]] = [
    {"metadata": {"a": [1, 1.5, None, "tiếng Việt \u0001 %s"], "b": {"big": 2**70, "x": 1e300}}},
    {"metadata": None, "last_accessed": None, "retention_score": None, "access_count": None},
    {"metadata": [], "retention_score": 5e-324, "access_count": -(2**31)},
    {"metadata": "text", "retention_score": float("inf")},
    {"last_accessed": datetime(1, 1, 1, tzinfo=UTC)},
    {"last_accessed": datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC)},
]


@pytest.mark.parametrize("times", [1, 5])
def test_rows_are_those_of_the_orm(times: int) -> None:
    for values in HOSTILE:
        KnowledgeItem.objects.create(content="%s '; --", source="s", knowledge_type="g", **values)
    expected = list(KnowledgeItem.objects.order_by("id").values_list(*NAMES))
    for _ in range(times):
        assert fetch(KnowledgeItem, f"{select(KnowledgeItem, NAMES)} ORDER BY id") == expected


def test_a_column_that_does_not_exist_is_noticed() -> None:
    with pytest.raises(KeyError):
        select(KnowledgeItem, ["contents"])
    with pytest.raises(DatabaseError):
        fetch(KnowledgeItem, f"SELECT contents {from_table(KnowledgeItem)}")


def test_limits_are_sqlites() -> None:
    assert [limit_clause(n) for n in (None, -1, 0, 7)] == ["", "", " LIMIT 0", " LIMIT 7"]
    for wrong in ("7; DROP TABLE x", 1.5):
        with pytest.raises(TypeError):
            limit_clause(wrong)  # type: ignore[arg-type]


def test_values_that_are_none_have_the_old_fallback() -> None:
    retention, history = KnowledgeRetention(), RSSFetchHistory()
    KnowledgeItem.objects.create(content="c", source="s", knowledge_type="g", retention_score=1)
    assert len(retention.get_retained_knowledge(limit=-1)) == 1
    assert retention.get_retained_knowledge(limit=0) == []
    assert retention.get_retained_knowledge("' OR true --") == []
    for wrong in ({"min_retention_score": None}, {"limit": "x"}, {"knowledge_type": "\0"}):
        assert retention.get_retained_knowledge(**wrong) == []  # type: ignore[arg-type]
    assert history.get_fetch_stats("x")["total"] == 0  # type: ignore[arg-type]
    assert history.get_fetch_stats(2**70)["total"] == 0


def test_a_repeated_page_is_prepared() -> None:
    history = RSSFetchHistory()
    connection.ensure_connection()
    for _ in range(4):
        history.get_all_fetch_items(limit=50)
    with connection.cursor() as cursor:
        cursor.execute("SELECT statement FROM pg_prepared_statements")
        assert any("fetch_items" in sql and "LIMIT 50" in sql for (sql,) in cursor.fetchall())
