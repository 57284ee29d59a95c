"""The admin pages of the eleven tables: they open, search and filter, and count no large table."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.contrib import admin
from django.contrib.auth.models import Permission, User
from django.db import connection, models
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from accuracy.models import LearningObjective
from continuum.models import TierMetric
from knowledge.models import KnowledgeItem, KnowledgeRelationship, LearningSession
from rss.models import FetchCycle, FetchItem
from stillme.pages.lists import paginator
from stillme.pages.lists.dates import SparseDates
from stillme.pages.lists.paginator import EstimatingPaginator
from stillme.pages.target_admin import TargetAdmin
from stillme.transfer.registry import legacy_models

pytestmark = pytest.mark.django_db

TARGETS = [model.target_model() for model in legacy_models()]


@pytest.fixture
def browser(client: Client) -> Client:
    client.force_login(User.objects.create_superuser("root", "root@example.org", "x"))
    return client


def fill(model: type[models.Model], count: int = 3) -> None:
    """Rows with something in every required column."""
    for number in range(count):
        model.objects.create(**{f.name: _value(f, number) for f in _required(model)})


def _required(model: type[models.Model]) -> list[Any]:
    fields = model._meta.concrete_fields
    return [f for f in fields if not f.null and not f.has_db_default() and f.name != "id"]


def _value(field: Any, number: int) -> Any:
    if isinstance(field, models.ForeignKey):
        fill(field.related_model, 1)
        return field.related_model.objects.order_by("-pk").first()
    if field.name == "tier":
        return f"L{number % 4}"
    if isinstance(field, models.DateTimeField):
        return f"2025-11-{number % 28 + 1:02}T08:00:00Z"
    return f"văn bản {number}" if isinstance(field, models.TextField) else number


def url(model: type[models.Model], page: str = "changelist", *args: Any) -> str:
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_{page}", args=args)


def counts(queries: CaptureQueriesContext) -> list[str]:
    """The unbounded COUNTs among the queries."""
    return [
        q["sql"]
        for q in queries.captured_queries
        if "COUNT(" in q["sql"].upper() and "LIMIT" not in q["sql"]
    ]


@pytest.mark.parametrize("model", TARGETS, ids=lambda m: m.__name__)
def test_list_search_and_row(browser: Client, model: type[models.Model]) -> None:
    fill(model)
    with CaptureQueriesContext(
        connection,
    ) as queries:
        page = browser.get(url(model))
    assert page.status_code == 200
    assert counts(queries) == []
    assert len(queries) <= 14, [q["sql"][:90] for q in queries.captured_queries]
    assert browser.get(url(model), {"q": "văn"}).status_code == 200
    row = browser.get(url(model, "change", model.objects.first().pk))
    assert row.status_code == 200
    assert 'name="_save"' not in row.content.decode()


@pytest.mark.parametrize("model", TARGETS, ids=lambda m: m.__name__)
def test_every_target_has_a_page_with_search_and_dates(model: type[models.Model]) -> None:
    page = admin.site.get_model_admin(model)
    assert isinstance(page, TargetAdmin)
    assert page.search_fields
    assert page.list_filter or model is FetchCycle
    assert page.date_hierarchy
    keys = {f.name for f in model._meta.fields if isinstance(f, models.ForeignKey)}
    assert keys <= set(page.autocomplete_fields)


def test_a_list_does_not_grow_in_queries(browser: Client) -> None:
    def taken() -> int:
        # One day only: the date hierarchy asks once per period, at most 31 times.
        FetchItem.objects.update(fetch_timestamp="2025-11-07T08:00:00Z")
        with CaptureQueriesContext(connection) as queries:
            browser.get(url(FetchItem))
        return len(queries)

    fill(FetchItem, 2)
    few = taken()
    fill(FetchItem, 30)
    assert taken() == few


def test_filter_by_found_values(browser: Client) -> None:
    for kind in ("general", "câu hỏi"):
        KnowledgeItem.objects.create(content=kind, source="s", knowledge_type=kind)
    page = browser.get(url(KnowledgeItem), {"knowledge_type": "câu hỏi"})
    assert page.context["cl"].result_count == 1
    assert "general" in page.content.decode()


def test_long_texts_are_cut_by_the_database(browser: Client) -> None:
    KnowledgeItem.objects.create(content="x" * 100_000, source="s", knowledge_type="t")
    page = browser.get(url(KnowledgeItem)).content.decode().replace("<wbr>", "")
    assert "x" * 90 + "…" in page
    assert "x" * 91 not in page


def test_null_and_empty_texts_in_a_list(browser: Client) -> None:
    LearningObjective.objects.create(objective_text="", target_score=1)
    assert browser.get(url(LearningObjective)).status_code == 200


def test_json_is_indented_and_unescaped(browser: Client) -> None:
    session = LearningSession.objects.create(
        session_type="s", content_learned="c", metadata={"tên": "<b>học</b>"}
    )
    page = browser.get(url(LearningSession, "change", session.pk)).content.decode()
    assert "tên" in page
    assert "&lt;b&gt;học&lt;/b&gt;" in page
    assert re.search(r"<pre[^>]*>\{\n  &quot;tên", page)


def test_a_superuser_only_looks(browser: Client) -> None:
    item = KnowledgeItem.objects.create(content="c", source="s", knowledge_type="t")
    browser.post(url(KnowledgeItem, "change", item.pk), {"content": "changed"})
    item.refresh_from_db()
    assert item.content == "c"
    assert browser.get(url(KnowledgeItem, "add")).status_code == 403
    assert browser.post(url(KnowledgeItem, "delete", item.pk), {"post": "yes"}).status_code == 403


def test_the_permission_given_by_name_allows_a_correction(browser: Client) -> None:
    item = KnowledgeItem.objects.create(
        content="c", source="", knowledge_type="t", confidence_score=None, metadata=None
    )
    user = User.objects.get(username="root")
    user.user_permissions.add(Permission.objects.get(codename="change_knowledgeitem"))
    page = browser.get(url(KnowledgeItem, "change", item.pk))
    form = page.context["adminform"].form
    values = {name: form.initial.get(name) for name in form.fields}
    posted = {name: "" if value is None else value for name, value in values.items()}
    for name in ("last_accessed", "created_at"):
        posted |= {f"{name}_0": "2025-11-07", f"{name}_1": "08:00:00"}
    posted |= {"content": "corrected", "source": "s"}
    answer = browser.post(url(KnowledgeItem, "change", item.pk), posted)
    assert answer.status_code == 302, answer.context["adminform"].form.errors
    item.refresh_from_db()
    assert (item.content, item.confidence_score, item.metadata) == ("corrected", None, None)


def test_a_stranger_sees_nothing(client: Client) -> None:
    client.force_login(User.objects.create_user("staff", is_staff=True))
    assert client.get(url(KnowledgeItem)).status_code == 403


def test_foreign_keys_complete_themselves(browser: Client) -> None:
    fill(KnowledgeRelationship, 1)
    found = browser.get(
        reverse("admin:autocomplete"),
        {
            "term": "văn",
            "app_label": "knowledge",
            "model_name": "knowledgerelationship",
            "field_name": "source",
        },
    )
    # Autocomplete is for whoever may view the other table.
    assert found.status_code == 200
    assert found.json()["results"]


def test_the_paginator_estimates_beyond_its_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paginator, "COUNTED", 10)
    TierMetric.objects.bulk_create(TierMetric(item_id=f"i{n}", tier="L0") for n in range(500))
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE continuum.tier_metrics")
    with CaptureQueriesContext(connection) as queries:
        assert EstimatingPaginator(TierMetric.objects.order_by("pk"), 50).count == 500
        found = EstimatingPaginator(TierMetric.objects.filter(tier="L0").order_by("pk"), 50).count
    assert found >= 11
    assert counts(queries) == []
    assert (
        EstimatingPaginator(TierMetric.objects.filter(item_id="i7").order_by("pk"), 50).count == 1
    )


def test_a_date_hierarchy_opens(browser: Client) -> None:
    fill(FetchCycle, 5)
    page = browser.get(url(FetchCycle), {"started_at__year": 2025, "started_at__month": 11})
    assert page.status_code == 200
    assert page.context["cl"].result_count == 5


def test_dates_are_found_without_reading_every_row() -> None:
    stamps = (
        "2024-12-31T23:59:59Z",
        "2025-01-01T00:00:00Z",
        "2025-01-31T10:00:00Z",
        "2025-02-28T10:00:00Z",
        "2027-06-15T10:00:00Z",
    )
    for stamp in stamps:
        for _ in range(3):
            FetchCycle.objects.create(cycle_number=1, started_at=stamp)
    rows = SparseDates.of(FetchCycle.objects.all())
    for kind in ("year", "month", "day"):
        expected = list(FetchCycle.objects.datetimes("started_at", kind))
        with CaptureQueriesContext(connection) as queries:
            assert rows.datetimes("started_at", kind) == expected
        # The first, the last, and all between at once; 900 days are too many for that.
        assert len(queries) == 2 + (len(expected) if kind == "day" else 1)
        backwards = list(FetchCycle.objects.datetimes("started_at", kind, order="DESC"))
        assert rows.datetimes("started_at", kind, order="DESC") == backwards
    assert SparseDates.of(FetchCycle.objects.none()).datetimes("started_at", "year") == []


def test_a_search_shows_no_dates(browser: Client) -> None:
    fill(FetchCycle, 2)
    assert browser.get(url(FetchCycle)).context["cl"].date_hierarchy == "started_at"
    assert browser.get(url(FetchCycle), {"q": "1"}).context["cl"].date_hierarchy is None
