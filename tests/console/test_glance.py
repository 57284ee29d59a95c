"""Knowledge at a glance: figures, links, periods, permissions, and what a page costs."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accuracy.models import AccuracyScore, LearningObjective, PerformanceTrend
from continuum.models import TierAudit, TierMetric
from knowledge.models import KnowledgeItem, LearningSession
from rss.models import FetchCycle, FetchItem
from stillme.pages.glance import figures, grouped
from stillme.pages.glance.charts import all_charts
from stillme.pages.glance.figure import Figure
from stillme.pages.glance.periods import Period
from stillme.pages.lists import big_list
from tests.console.support import HOSTILE, staff

pytestmark = pytest.mark.django_db

PAGE = "/admin/glance/"
NAMES = sorted(all_charts())
# Session and person, two of permissions, a savepoint and its end, two settings, and the figure's
# own: span, groups, rows without a time.
ONE_CHART = 11


def at(day: int, month: int = 3, hour: int = 5) -> datetime:
    return datetime(2025, month, day, hour, tzinfo=UTC)


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """The limit would stay for the rest of the test's transaction."""
    monkeypatch.setattr(grouped, "TIMEOUT", 60_000)


def figure(app: str, name: str, period: Period | None = None) -> Figure:
    return figures.figure_of(all_charts()[app, name], period or Period())


def values(found: Figure) -> dict[str, dict[str, Any]]:
    """Series -> label -> number, without what is not there."""
    return {
        series.label: {
            label: point.value
            for label, point in zip(found.labels, series.points, strict=True)
            if point.value
        }
        for series in found.series
    }


def links(found: Figure) -> list[tuple[str, Any]]:
    return [(p.link, p.value) for series in found.series for p in series.points if p.link]


def items(*given: tuple[datetime | None, str, float]) -> None:
    for when, kind, score in given:
        KnowledgeItem.objects.create(
            content="c", source=f"from {kind}", knowledge_type=kind, created_at=when,
            retention_score=score,
        )  # fmt: skip


def entries(*given: tuple[str, str]) -> None:
    cycle = FetchCycle.objects.create(cycle_number=1, started_at=at(1))
    for feed, status in given:
        FetchItem.objects.create(
            cycle=cycle, feed_url=feed, item_title="t", status=status, fetch_timestamp=at(2)
        )


def test_rows_are_counted_by_day_and_value() -> None:
    items((at(1), "fact", 1), (at(1, hour=23), "fact", 1), (at(3), "paper", 0), (at(3), "", 0))
    found = figure("knowledge", "growth-by-type")
    assert found.labels == ["2025-03-01", "2025-03-02", "2025-03-03"]
    assert values(found) == {
        "fact": {"2025-03-01": 2},
        "paper": {"2025-03-03": 1},
        "(empty)": {"2025-03-03": 1},
    }
    assert found.notes == []


def test_means_are_exact_and_a_day_without_rows_has_none() -> None:
    items((at(1), "fact", 0.25), (at(1), "fact", 0.75), (at(3), "fact", 0.1))
    KnowledgeItem.objects.filter(created_at=at(3)).update(confidence_score=None)
    found = figure("knowledge", "retention")
    retention, confidence = found.series
    assert [point.value for point in retention.points] == [0.5, None, 0.1]
    assert [point.text for point in confidence.points] == ["0.000", "–", "–"]


@pytest.mark.parametrize(
    ("last", "labels"),
    [
        (at(2), ["2025-03-01", "2025-03-02"]),
        (at(2, month=7), ["2025-03", "2025-04", "2025-05", "2025-06", "2025-07"]),
        (at(2).replace(year=2035), [str(year) for year in range(2025, 2036)]),
        (at(2).replace(year=9999), ["9999"]),
    ],
)
def test_long_spans_are_cut_into_months_and_years(last: datetime, labels: list[str]) -> None:
    items((at(1), "fact", 1), (last, "fact", 1))
    found = figure("knowledge", "growth-by-type")
    assert found.labels == labels
    assert bool(found.notes) == (last.year == 9999)
    assert all(link for link, _ in links(found))


def test_outcomes_of_feeds_are_told_in_words() -> None:
    entries(
        ("a", "Added to RAG"), ("a", "Filtered: Duplicate"), ("a", "Error"), ("a", "Failed"),
        ("b", "Filtered"), ("b", "Skipped"),
    )  # fmt: skip
    assert values(figure("rss", "feeds")) == {
        "failed": {"a": 2},
        "added": {"a": 1},
        "duplicate": {"a": 1},
        "filtered": {"b": 1},
        "Skipped": {"b": 1},
    }


def test_moves_between_tiers_are_counted_with_those_from_nowhere() -> None:
    for before, after in (("L0", "L1"), ("L0", "L1"), ("L1", "L0"), (None, "L2")):
        TierAudit.objects.create(
            item_id="i", from_tier=before, to_tier=after, reason="r", created_at=at(1)
        )
    found = figure("continuum", "flow")
    assert values(found) == {"L1": {"L0": 2}, "L0": {"L1": 1}, "L2": {"(none)": 1}}


def test_metrics_have_a_mean_each() -> None:
    for name, value in (("accuracy", 0.5), ("accuracy", 1.0), ("latency_ms", 80.0)):
        PerformanceTrend.objects.create(metric_name=name, metric_value=value, measured_at=at(1))
    found = figure("accuracy", "metrics")
    assert values(found) == {"accuracy": {"2025-03-01": 0.75}, "latency_ms": {"2025-03-01": 80.0}}


def test_objectives_stand_next_to_their_targets(client: Any, django_user_model: Any) -> None:
    for number in range(figures.NEWEST + 1):
        LearningObjective.objects.create(
            objective_text=f"o{number}", target_score=0.9, current_score=number,
            created_at=at(1) + timedelta(hours=number),
        )  # fmt: skip
    found = figure("accuracy", "objectives")
    assert found.labels[0] == f"o{figures.NEWEST}"
    assert found.notes == [f"The newest {figures.NEWEST}."]
    assert [s.label for s in found.series] == ["reached", "target"]
    assert found.series[0].points[0].value == figures.NEWEST
    staff(client, django_user_model, "view_learningobjective")
    assert f"o{figures.NEWEST}" in client.get(found.series[0].points[0].link).content.decode()


def test_small_groups_are_put_together() -> None:
    many = grouped.SPLITS + 3
    items(*((at(1), f"kind {n}", 1) for n in range(many)), (at(1), "kind 0", 1))
    found = figure("knowledge", "growth-by-type")
    assert len(found.series) == grouped.SPLITS + 1
    assert found.series[0].label == "kind 0"
    other = found.series[-1]
    assert (other.label, other.points[0].value, other.points[0].link) == ("all others", 3, "")


def test_what_is_beyond_the_newest_rows_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grouped, "ROWS", 3)
    monkeypatch.setattr(figures, "ROWS", 3)
    items(*((at(day), "fact", 1) for day in range(1, 6)))
    found = figure("knowledge", "growth-by-type")
    assert values(found) == {"fact": {f"2025-03-0{day}": 1 for day in (3, 4, 5)}}
    assert found.notes == ["The newest 3 rows of the period, which reach back to 2025-03-03 05:00."]


def test_rows_without_a_time_are_said() -> None:
    items((at(1), "fact", 1), (None, "fact", 1))
    said = "Rows without a time, which are not shown here: 1."
    assert figure("knowledge", "growth-by-type").notes == [said]
    assert figure("knowledge", "growth-by-type", Period(at(1))).notes == []


@pytest.mark.parametrize("score", [1e308, float("inf"), float("nan")])
def test_odd_numbers_are_told_and_drawn_as_gaps(score: float) -> None:
    items((at(1), "fact", score), (at(1), "fact", score))
    found = figure("knowledge", "retention")
    assert found.notes or json.dumps(found.drawn(), allow_nan=False)


@pytest.mark.parametrize(("app", "name"), NAMES)
def test_an_empty_chart_says_so(app: str, name: str) -> None:
    found = figure(app, name)
    assert (found.series, found.notes) == ([], ["No rows yet."])


def test_a_statement_that_takes_too_long_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    items((at(1), "fact", 1))

    def slow(*given: Any) -> Figure:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_sleep(60)")
        raise AssertionError("PostgreSQL let it run")

    monkeypatch.setattr(grouped, "TIMEOUT", 50)
    monkeypatch.setattr(figures, "_by_time", slow)
    found = figure("knowledge", "growth-by-type")
    assert found.notes == ["This took PostgreSQL too long: choose a shorter period."]


def test_a_period_without_rows_names_the_newest() -> None:
    items((at(1), "fact", 1))
    found = figure("knowledge", "growth-by-type", Period(at(1, month=5)))
    assert found.notes == ["No rows in this period. The newest row is of 2025-03-01."]


@pytest.mark.slow_after(1, by="name")
@pytest.mark.parametrize(
    "period", [Period(), Period(at(1, hour=0), at(3, hour=0)), Period(start=at(2, hour=0))]
)
@pytest.mark.parametrize(
    ("app", "name"),
    [
        ("knowledge", "growth-by-type"), ("knowledge", "growth-by-source"), ("rss", "feeds"),
        ("rss", "outcome"), ("continuum", "flow"), ("continuum", "tiers"),
    ],
)  # fmt: skip
def test_a_number_leads_to_as_many_rows(
    client: Any, django_user_model: Any, app: str, name: str, period: Period
) -> None:
    long = "x" * 300
    items((at(1), "a&b", 1), (at(2), "", 1), (at(2), long, 1), (at(3), "a&b", 1), (at(3), "é", 1))
    entries(("http://f/?a=1&b=2", "Error"), ("http://f/?a=1&b=2", "Failed"), ("b", "Skipped"))
    for number, (before, after) in enumerate([("L0", "L1"), (None, "L1"), ("L1", "")]):
        TierAudit.objects.create(
            item_id="i", from_tier=before, to_tier=after, reason="r", created_at=at(2)
        )
        TierMetric.objects.create(item_id=str(number), tier="L0", created_at=at(2))
    model = all_charts()[app, name].model
    staff(client, django_user_model, f"view_{model._meta.model_name}")
    found = links(figure(app, name, period))
    assert found
    for link, number in found:
        answer = client.get(link)
        assert answer.status_code == 200, link
        assert answer.context["cl"].result_count == number, link


def test_rows_of_an_old_period_are_found_among_many(client: Any, django_user_model: Any) -> None:
    """A list with another filter looks at the newest keys of the period, not of the table."""
    items((at(1), "old", 1))
    LearningSession.objects.create(session_type="chat", content_learned="c", created_at=at(1))
    KnowledgeItem.objects.create(
        pk=10_000_000, content="c", source="s", knowledge_type="new", created_at=at(1, month=4)
    )
    staff(client, django_user_model, "view_knowledgeitem")
    (link, _), *_ = links(figure("knowledge", "growth-by-type", Period(end=at(2))))
    cl = client.get(link).context["cl"]
    assert [row.knowledge_type for row in cl.result_list] == ["old"]


def test_no_key_of_a_long_period_is_left_out_where_keys_are_texts(
    client: Any, django_user_model: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The newest item has the least key; the window must not begin there."""
    monkeypatch.setattr(big_list, "WINDOW", 2)
    for key, day in (("a", 4), ("b", 3), ("c", 2), ("d", 1)):
        TierMetric.objects.create(item_id=key, tier="L0", created_at=at(day))
    staff(client, django_user_model, "view_tiermetric")
    (link, number), *_ = links(figure("continuum", "tiers", Period(end=at(5))))
    cl = client.get(link).context["cl"]
    seen = [row.pk for row in cl.result_list]
    assert (number, seen) == (4, ["d", "c"])
    assert [row.pk for row in client.get(link + "&before=c").context["cl"].result_list] == [
        "b",
        "a",
    ]


@pytest.mark.parametrize(
    ("query", "status", "said"),
    [
        ("", 200, "Growth by type"),
        ("days=30", 200, "Growth by type"),
        ("from=2025-03-01&to=2025-03-02", 200, "Growth by type"),
        ("days=8", 400, "Choose 7, 30 or 90 days, or two dates."),
        ("days=٣٠", 400, "Choose 7, 30 or 90 days, or two dates."),
        ("from=yesterday", 400, "Write a date as year, month and day: 2025-03-04."),
        ("from=2025-03-02&to=2025-03-01", 400, "exchange the two dates"),
        ("to=9999-12-31", 400, "The last day that can be asked for is 9999-12-30."),
    ],
)
def test_the_range_of_dates(admin_client: Any, query: str, status: int, said: str) -> None:
    for address in (PAGE, f"{PAGE}knowledge/growth-by-type/"):
        answer = admin_client.get(f"{address}?{query}")
        assert answer.status_code == status
        if status == 400 or address == PAGE:
            assert said in answer.content.decode()


def test_the_last_days_end_today(admin_client: Any) -> None:
    now = timezone.now()
    items(
        (now, "today", 1), (now - timedelta(days=6), "first", 1), (now - timedelta(days=7), "no", 1)
    )
    shown = admin_client.get(f"{PAGE}knowledge/growth-by-type/?days=7").context["figure"]
    assert sorted(values(shown)) == ["first", "today"]


def test_one_sees_the_charts_of_the_models_one_may_view(
    client: Any, django_user_model: Any
) -> None:
    user = staff(client, django_user_model, "view_learningsession")
    shown = client.get(PAGE).content.decode()
    found = set(re.findall(r'data-chart="/admin/glance/(\w+)/([\w-]+)/', shown))
    assert found == {("knowledge", "sessions"), ("knowledge", "session-accuracy")}
    assert 'href="/admin/glance/"' in shown
    for (app, name), chart in all_charts().items():
        status = 200 if chart.model is LearningSession else 403
        assert client.get(f"{PAGE}{app}/{name}/").status_code == status
    assert client.get(f"{PAGE}knowledge/nothing/").status_code == 404
    user.user_permissions.set(Permission.objects.none())
    assert client.get(PAGE).status_code == 403
    assert 'href="/admin/glance/"' not in client.get("/admin/").content.decode()
    client.logout()
    assert client.get(PAGE).status_code == client.get(f"{PAGE}rss/feeds/").status_code == 302


def test_stored_text_never_runs(admin_client: Any) -> None:
    items((at(1), HOSTILE, 1))
    shown = admin_client.get(f"{PAGE}knowledge/growth-by-type/").content.decode()
    assert HOSTILE not in shown
    assert "alert(1)" in shown


@pytest.mark.slow_after(5)
@pytest.mark.parametrize(("app", "name"), NAMES)
def test_queries_do_not_grow_with_the_rows(admin_client: Any, app: str, name: str) -> None:
    address = f"{PAGE}{app}/{name}/"
    asked = []
    for rows in (2, 30):
        for number in range(rows):
            items((at(1 + number % 28), f"kind {number}", 1))
            entries((f"feed {number}", "Skipped"))
            AccuracyScore.objects.create(
                question="q", actual_answer="a", accuracy_score=1, scoring_method=f"m{number}"
            )
        with CaptureQueriesContext(connection) as queries:
            assert admin_client.get(address).status_code == 200
        asked.append(len(queries))
    assert asked[0] == asked[1] <= ONE_CHART


def test_the_page_itself_reads_no_table_of_a_domain(admin_client: Any) -> None:
    with CaptureQueriesContext(connection) as queries:
        admin_client.get(PAGE)
    assert not [q["sql"] for q in queries if "knowledge_items" in q["sql"]]
    assert len(queries) <= ONE_CHART
