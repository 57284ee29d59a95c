"""RSSFetchHistory: what SERVICES says of each method, on PostgreSQL."""

from __future__ import annotations

import math
import re
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from django.db import DataError, IntegrityError
from django.utils import timezone

from rss import api
from rss.models import FetchCycle, FetchItem
from rss.services import RSSFetchHistory
from tests.domains.queries import statements

pytestmark = pytest.mark.django_db
history = RSSFetchHistory()
NOTHING = {"added_to_rag": 0, "filtered": 0, "skipped": 0, "failed": 0, "error": 0, "total": 0}


def add(cycle: int, status: str = "Added to RAG", **more: Any) -> int:
    return history.add_fetch_item(
        cycle, "title", "https://feed", "https://link", "sum", status, **more
    )


def test_path_rules(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RSS_FETCH_HISTORY_DB_PATH", raising=False)
    assert RSSFetchHistory().db_path == "/app/data/rss_fetch_history.db"
    monkeypatch.setenv("RSS_FETCH_HISTORY_DB_PATH", "/x/y.db")
    assert RSSFetchHistory().db_path == "/x/y.db"
    assert RSSFetchHistory("z.db").db_path == "z.db"


def test_create_fetch_cycle() -> None:
    with statements(1):
        first = history.create_fetch_cycle(0)
    assert history.create_fetch_cycle(0) > first
    row = FetchCycle.objects.get(pk=first)
    assert (row.cycle_number, row.status, row.completed_at) == (0, "unfinished", None)
    with pytest.raises(IntegrityError):
        history.create_fetch_cycle(None)  # type: ignore[arg-type]


def test_a_number_that_its_column_cannot_hold_is_refused() -> None:
    with pytest.raises(DataError):
        api.cycle_open(cycle_number=2**40)


@pytest.mark.parametrize(
    ("status", "counters"),
    [
        ("Added to RAG", {"added": 1}),
        ("Filtered: Duplicate", {"duplicate": 1, "filtered": 1}),
        ("Filtered: Low Score", {"low_score": 1, "filtered": 1}),
        ("Filtered: Ethical/Bias Flag", {"ethical_filtered": 1, "filtered": 1}),
        ("Fetched (not added)", {}),
        ("Error: Failed to add", {}),
        ("", {}),
    ],
)
def test_an_item_counts_in_its_cycle(status: str, counters: dict[str, int]) -> None:
    cycle = history.create_fetch_cycle(1)
    add(cycle, status)
    row = FetchCycle.objects.get(pk=cycle)
    names = ("fetched", "added", "filtered", "duplicate", "low_score", "ethical_filtered")
    found = {name: getattr(row, f"items_{name}") for name in names}
    assert found == {**dict.fromkeys(names, 0), "fetched": 1, **counters}


def test_add_fetch_item() -> None:
    cycle = history.create_fetch_cycle(1)
    with statements(1):
        key = history.add_fetch_item(
            cycle,
            "tiêu đề\0",
            "arxiv",
            "",
            None,
            "Error: x",
            "why",
            "knowledge_https://",  # type: ignore[arg-type]
        )
    row = FetchItem.objects.get(pk=key)
    assert (row.item_title, row.feed_url, row.item_link) == ("tiêu đề\ufffd", "arxiv", "")
    assert (row.summary, row.status_reason, row.vector_id) == (None, "why", "knowledge_https://")
    assert row.added_to_rag_at is None


def test_a_null_counter_counts_from_zero() -> None:
    cycle = history.create_fetch_cycle(1)
    FetchCycle.objects.update(items_fetched=None)
    add(cycle)
    assert FetchCycle.objects.get().items_fetched == 1


@pytest.mark.parametrize(
    "cycle",
    [
        *(99, None, -1, 2**40, 1.5, math.nan, math.inf, True, False, b"1", date(2025, 1, 2)),
        *("1.0", "1e0", "x", "", "inf", "nan", "1_0", "１", "0x1", str(2**70)),
    ],
)
def test_an_unknown_cycle_stores_nothing(cycle: Any) -> None:
    FetchCycle.objects.create(id=1, cycle_number=1, started_at=timezone.now())
    with pytest.raises(api.UnknownCycleError, match=re.escape(f"no fetch cycle {cycle!r}")):
        add(cycle)
    assert not FetchItem.objects.exists()
    assert FetchCycle.objects.get().items_fetched == 0


@pytest.mark.parametrize("cycle", [7, "7", 7.0, " +7 "])
def test_a_cycle_is_named_by_its_whole_number(cycle: Any) -> None:
    FetchCycle.objects.create(id=7, cycle_number=1, started_at=timezone.now())
    add(cycle)
    assert FetchItem.objects.get().cycle_id == 7
    assert FetchCycle.objects.get().items_fetched == 1


@pytest.mark.parametrize(("cycle", "error"), [(2**63, OverflowError), ([1], TypeError)])
def test_what_sqlite_could_not_bind_raises(cycle: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        add(cycle)


def test_a_refused_item_raises_and_counts_nothing() -> None:
    cycle = history.create_fetch_cycle(1)
    with pytest.raises(IntegrityError):
        history.add_fetch_item(cycle, None, "f", "l", "s", "Added to RAG")  # type: ignore[arg-type]
    for time in ("soon", "5", 5, True, math.nan, b"2025-11-07"):
        with pytest.raises(ValueError, match=re.escape(str(time))):
            add(cycle, added_to_rag_at=time)
    assert FetchCycle.objects.get().items_fetched == 0


def test_times_come_back_as_they_were_given(settings: Any) -> None:
    settings.LEGACY_TIME_ZONE = "Asia/Ho_Chi_Minh"
    cycle = history.create_fetch_cycle(1)
    for text in ("2025-11-07T22:24:02.761457", "2025-11-07T22:24:02", None):
        add(cycle, added_to_rag_at=text)
    rows = FetchItem.objects.order_by("id")
    assert rows[0].added_to_rag_at == datetime(2025, 11, 7, 15, 24, 2, 761457, tzinfo=UTC)
    found = sorted(history.get_all_fetch_items(), key=lambda row: row["id"])
    assert [row["added_to_rag_at"] for row in found] == [
        "2025-11-07T22:24:02.761457",
        "2025-11-07T22:24:02",
        None,
    ]
    local = datetime.now(tz=UTC) + timedelta(hours=7)
    assert found[0]["fetch_timestamp"][:13] in {
        (local - timedelta(seconds=n)).strftime("%Y-%m-%dT%H") for n in (0, 60)
    }


@pytest.mark.parametrize(
    "text", ["2025-11-07 15:24:02", "2025-11-07T15:24:02+00:00", "2025-11-07T15:24:02Z"]
)
def test_other_shapes_of_time_are_read(text: str, settings: Any) -> None:
    settings.LEGACY_TIME_ZONE = "Asia/Ho_Chi_Minh"
    add(history.create_fetch_cycle(1), added_to_rag_at=text)
    assert FetchItem.objects.get().added_to_rag_at == datetime(2025, 11, 7, 15, 24, 2, tzinfo=UTC)


def test_complete_fetch_cycle() -> None:
    cycle = history.create_fetch_cycle(1)
    assert history.complete_fetch_cycle(cycle) is None
    row = FetchCycle.objects.get()
    assert row.status == "completed"
    assert row.completed_at >= row.started_at
    assert history.complete_fetch_cycle(99) is None
    assert history.complete_fetch_cycle("x") is None  # type: ignore[func-returns-value, arg-type]


def test_latest_is_the_last_completed_else_the_last_started() -> None:
    assert history.get_latest_fetch_items() == []
    first, second = history.create_fetch_cycle(1), history.create_fetch_cycle(2)
    add(first)
    add(second)
    add(second)
    assert [row["cycle_id"] for row in history.get_latest_fetch_items()] == [second, second]
    history.complete_fetch_cycle(first)
    assert [row["cycle_id"] for row in history.get_latest_fetch_items()] == [first]


def test_rows_have_the_old_keys() -> None:
    cycle = history.create_fetch_cycle(1)
    for _ in range(3):
        add(cycle)
    with statements(1):
        found = history.get_all_fetch_items()
    assert list(found[0]) == [
        "id",
        "cycle_id",
        "title",
        "source_url",
        "link",
        "summary",
        "fetch_timestamp",
        "status",
        "status_reason",
        "vector_id",
        "added_to_rag_at",
    ]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{6})?", found[0]["fetch_timestamp"])
    with statements(3):  # none completed: the last started, then its items
        history.get_latest_fetch_items()


def test_newest_first_and_limits() -> None:
    cycle = history.create_fetch_cycle(1)
    keys = [add(cycle) for _ in range(4)]
    now = timezone.now()
    for seconds, pair in ((0, keys[:2]), (2, keys[2:3]), (1, keys[3:])):
        moment = now - timedelta(seconds=seconds)
        FetchItem.objects.filter(pk__in=pair).update(fetch_timestamp=moment)
    assert [row["id"] for row in history.get_all_fetch_items()] == [
        keys[1],
        keys[0],
        keys[3],
        keys[2],
    ]
    assert [row["id"] for row in history.get_latest_fetch_items(limit=2)] == [keys[0], keys[1]]
    assert history.get_all_fetch_items(limit=0) == []
    assert len(history.get_all_fetch_items(limit=-5)) == 4


def test_added_items_put_null_last() -> None:
    cycle = history.create_fetch_cycle(1)
    without = add(cycle)
    late = add(cycle, added_to_rag_at="2025-11-08T00:00:00")
    early = add(cycle, added_to_rag_at="2025-11-07T00:00:00")
    add(cycle, "Filtered: Duplicate")
    add(cycle, "added to rag")
    assert [row["id"] for row in history.get_added_to_rag_items()] == [late, early, without]


def test_stats_count_exact_words() -> None:
    assert history.get_fetch_stats() == NOTHING
    cycle = history.create_fetch_cycle(1)
    words = (
        "Added to RAG",
        "Filtered",
        "Filtered",
        "Skipped",
        "Failed",
        "Error",
        "Filtered: Duplicate",
    )
    for status in words:
        add(cycle, status)
    expected = {"added_to_rag": 1, "filtered": 2, "skipped": 1, "failed": 1, "error": 1, "total": 7}
    with statements(1):
        assert history.get_fetch_stats(cycle) == expected
    assert history.get_fetch_stats() == expected
    for latest in (0, None, "", 0.0, False):
        assert history.get_fetch_stats(latest) == expected  # type: ignore[arg-type]
    assert history.get_fetch_stats("0") == NOTHING  # type: ignore[arg-type]
    assert history.get_fetch_stats(99) == NOTHING
    assert history.get_fetch_stats("x") == NOTHING  # type: ignore[arg-type]
    assert history.get_fetch_stats(cycle + 0.5) == NOTHING  # type: ignore[arg-type]
    assert history.get_fetch_stats(str(cycle)) == expected  # type: ignore[arg-type]
    history.complete_fetch_cycle(cycle + 0.5)  # type: ignore[arg-type]
    assert FetchCycle.objects.get().completed_at is None
    assert history.get_all_fetch_items(limit=None) == []  # type: ignore[arg-type]
