"""`store_health`: what the old health endpoints said of four files, asked of PostgreSQL."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from django.db import OperationalError, connection, transaction

from stillme.ops.health import DATABASE_AWAY
from stillme.ops.store_health import UNUSABLE, store_health
from tests.domains.queries import statements

pytestmark = pytest.mark.django_db
FOUR = ("knowledge", "continuum", "rss", "accuracy")


def stores(error: dict[str, str]) -> list[dict[str, str]]:
    """The four entries; those named in `error` are in trouble."""
    fine = {name: {"path": name, "status": "ok"} for name in FOUR}
    bad = {n: {"path": n, "status": "error", "error": e} for n, e in error.items()}
    return list({**fine, **bad}.values())


def test_in_order() -> None:
    with statements(14):
        assert store_health() == {
            "database": {"status": "ok", "databases": stores({})},
            "vector_db": {"status": "ok", "message": "The vectors are in PostgreSQL"},
        }


@pytest.mark.parametrize(
    ("sql", "troubled"),
    [
        ('DROP TABLE "rss"."fetch_items"', ["rss"]),
        ('DROP SCHEMA "vector" CASCADE', ["vector"]),
        ('ALTER TABLE "accuracy"."accuracy_scores" RENAME TO "scores"', ["accuracy"]),
    ],
)
def test_a_store_in_trouble(
    sql: str, troubled: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    with connection.cursor() as cursor:
        cursor.execute(sql)
    answer = store_health()
    of_files = {name: UNUSABLE for name in troubled if name in FOUR}
    assert answer["database"]["databases"] == stores(of_files)
    assert answer["database"]["status"] == ("degraded" if of_files else "ok")
    assert (answer["vector_db"]["status"] == "error") == ("vector" in troubled)
    assert f"health of {troubled[0]}" in caplog.text
    # The caller's transaction goes on.
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")


def test_nobody_to_ask_is_asked_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    asked = []

    def refuse(*args: Any, **kwargs: Any) -> None:
        asked.append(args)
        raise OperationalError('connection to server at "h", port 1 failed: Connection refused')

    monkeypatch.setattr("stillme.ops.store_health.savepoint", refuse)
    answer = store_health()
    assert answer["database"]["databases"] == stores(dict.fromkeys(FOUR, DATABASE_AWAY))
    assert answer["vector_db"] == {"status": "error", "error": DATABASE_AWAY}
    assert len(asked) == 1
    assert "No PostgreSQL answers" in caplog.text


@pytest.mark.django_db(transaction=True)
def test_in_a_coroutine() -> None:
    async def endpoint() -> dict[str, Any]:
        return store_health()

    assert asyncio.run(endpoint())["database"]["status"] == "ok"


def test_within_a_transaction_that_is_broken() -> None:
    """It cannot be asked then; the answer is an error, no exception."""
    with transaction.atomic():
        transaction.set_rollback(True)
        assert store_health()["database"]["status"] == "degraded"
