"""Lists by key, windows, exports, related rows and staff groups."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

import pytest
from django.apps import apps
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Group, User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from continuum.models import TierAudit, TierMetric
from knowledge.models import KnowledgeItem, KnowledgeRelationship
from rss.models import FetchCycle, FetchItem
from stillme.pages import related
from stillme.pages.lists import big_list, export, paginator
from stillme.transfer.console.groups import make_groups
from stillme.transfer.console.row import side_by_side

pytestmark = pytest.mark.django_db

ITEMS = "admin:knowledge_knowledgeitem_changelist"
EXPORT = "admin:knowledge_knowledgeitem_export"


@pytest.fixture
def items() -> list[int]:
    rows = [
        KnowledgeItem(
            id=n, content=f"văn bản {n}", source="a" if n % 10 else "rare", knowledge_type="k"
        )
        for n in range(1, 131)
    ]
    return [row.pk for row in KnowledgeItem.objects.bulk_create(rows)]


@pytest.fixture
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(big_list, "WINDOW", 40)


def listed(client: Client, query: str = "") -> Any:
    answer = client.get(reverse(ITEMS) + query)
    assert answer.status_code == 200
    return answer.context["cl"]


def test_older_rows_are_reached_by_key(admin_client: Client, items: list[int]) -> None:
    seen, query = [], ""
    while True:
        cl = listed(admin_client, query)
        seen += [row.pk for row in cl.result_list]
        if not cl.older_link:
            break
        query = cl.older_link
    assert seen == sorted(items, reverse=True)
    assert "before" not in cl.newest_link
    assert listed(admin_client, "?before=x").result_count == 130


def test_a_search_looks_at_a_window_and_goes_on(
    admin_client: Client, items: list[int], narrow: None
) -> None:
    seen, query = [], "?q=rare"
    while query:
        cl = listed(admin_client, query)
        assert cl.window is not None
        assert cl.window[1] - cl.window[0] == 39
        seen += [row.pk for row in cl.result_list]
        query = cl.older_link
    assert seen == list(range(130, 0, -10))


@pytest.mark.parametrize("query", ["?source=rare", "?q=n", "?o=3"])
def test_what_no_index_answers_is_windowed(
    admin_client: Client, items: list[int], narrow: None, query: str
) -> None:
    assert listed(admin_client, query).window == (91, 130)


def test_a_key_is_found_outside_the_window(
    admin_client: Client, items: list[int], narrow: None
) -> None:
    assert [row.pk for row in listed(admin_client, "?q=7").result_list][-1] == 7
    assert listed(admin_client, f"?q={10**30}").result_count == 0


def test_the_window_of_a_period_is_in_that_period(
    admin_client: Client, items: list[int], narrow: None
) -> None:
    old = timezone.make_aware(timezone.datetime(2024, 5, 6))
    KnowledgeItem.objects.filter(pk__lte=50).update(created_at=old)
    asked = "created_at__year=2024&created_at__month=5"
    assert listed(admin_client, f"?{asked}").window is None
    cl = listed(admin_client, f"?{asked}&source=rare")
    assert cl.window[1] <= 50
    assert {row.pk for row in cl.result_list} <= {10, 20, 30, 40, 50}


def test_a_period_is_listed_by_its_time(admin_client: Client, items: list[int]) -> None:
    start = timezone.make_aware(timezone.datetime(2024, 5, 6))
    for key in items:
        # Against the order of the keys; some share a moment.
        moment = start - timezone.timedelta(minutes=key // 2)
        KnowledgeItem.objects.filter(pk=key).update(created_at=moment)
    seen, query = {}, "?created_at__year=2024"
    for _ in range(4):
        cl = listed(admin_client, query)
        found = [(row.created_at, row.pk) for row in cl.result_list]
        assert found == sorted(found, reverse=True)
        seen.update(dict.fromkeys(key for _, key in found))
        query = cl.older_link
        if not query:
            break
    assert list(seen) == sorted(items, key=lambda key: (key // 2, -key))
    assert len(seen) == 130


def test_numbered_pages_end(
    admin_client: Client, items: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(paginator, "COUNTED", 100)
    assert listed(admin_client).paginator.num_pages == 2


def test_lists_ask_no_query_without_a_limit(admin_client: Client, items: list[int]) -> None:
    for query in ("", "?q=rare", "?source=a", "?before=60", "?o=2", "?created_at__year=2025"):
        with CaptureQueriesContext(
            connection,
        ) as queries:
            listed(admin_client, query)
        ours = [q["sql"] for q in queries.captured_queries if '"knowledge_items"' in q["sql"]]
        # The first and last moment are read off the index.
        ends = 'SELECT MIN("knowledge"."knowledge_items"."created_at")'
        unbounded = [sql for sql in ours if "LIMIT" not in sql and not sql.startswith(ends)]
        assert unbounded == [], query
        assert len(queries) <= 16, query


def body(answer: Any) -> str:
    return b"".join(answer.streaming_content).decode("utf-8")


def test_exports_keep_the_filter_and_every_value(
    admin_client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export, "BATCH", 3)
    hostile = ["=1+1", "+1", "-1", "@x", "\tx", "plain", 'q"u,o\r\nte', "", "=", "ế\u202e"]
    for n, text in enumerate(hostile):
        KnowledgeItem.objects.create(
            content=text, source="s" if n else "other", confidence_score=-1.5, metadata={"a": text}
        )
    answer = admin_client.get(reverse(EXPORT, args=["json"]) + "?source=s")
    assert "attachment" in answer["Content-Disposition"]
    found = json.loads(body(answer))
    assert [row["content"] for row in found] == hostile[1:]
    assert found[0]["metadata"] == {"a": "+1"}
    assert found[0]["legacy_extra"] is None
    cells = list(
        csv.DictReader(
            io.StringIO(body(admin_client.get(reverse(EXPORT, args=["csv"])))),
        )
    )
    assert [row["content"] for row in cells][:6] == ["'=1+1", "+1", "-1", "'@x", "'\tx", "plain"]
    assert {row["confidence_score"] for row in cells} == {"-1.5"}


def test_an_export_is_streamed_in_bounded_queries(
    admin_client: Client, items: list[int], monkeypatch: pytest.MonkeyPatch, narrow: None
) -> None:
    monkeypatch.setattr(export, "BATCH", 50)
    answer = admin_client.get(reverse(EXPORT, args=["json"]) + "?q=văn")
    with CaptureQueriesContext(connection) as queries:
        assert len(json.loads(body(answer))) == 130
    assert len(queries) == 6, "the sizes, then the rows"
    assert all("LIMIT 50" in q["sql"] for q in queries.captured_queries)


def test_an_empty_export_and_who_may_not(admin_client: Client, client: Client) -> None:
    assert json.loads(body(admin_client.get(reverse(EXPORT, args=["json"])))) == []
    assert admin_client.get(reverse(EXPORT, args=["xls"])).status_code == 403
    client.force_login(User.objects.create_user("nobody", is_staff=True))
    assert client.get(reverse(EXPORT, args=["csv"])).status_code == 403


def test_related_rows_in_line(
    admin_client: Client, items: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(related, "SHOWN", 2)
    cycle = FetchCycle.objects.create(cycle_number=1, started_at=timezone.now())
    for n in range(3):
        FetchItem.objects.create(
            cycle=cycle, item_title=f"<script>{n}", feed_url="f", fetch_timestamp=timezone.now()
        )
    KnowledgeRelationship.objects.create(source_id=1, target_id=2, relationship_type="cites")
    TierMetric.objects.create(item_id="a/b?c", tier="L0")
    TierAudit.objects.create(item_id="a/b?c", from_tier="L0", to_tier="L1", reason="because")
    page = admin_client.get(reverse("admin:rss_fetchcycle_change", args=[cycle.pk]))
    text = page.content.decode()
    assert f"?cycle__exact={cycle.pk}" in text
    assert "all of them" in text
    assert "&lt;script&gt;2" in text
    assert "&lt;script&gt;0" not in text
    every = admin_client.get(
        reverse("admin:rss_fetchitem_changelist") + f"?cycle__exact={cycle.pk}"
    )
    assert every.context["cl"].result_count == 3
    assert every.context["cl"].window is None
    page = admin_client.get(reverse("admin:knowledge_knowledgeitem_change", args=[1]))
    assert "cites" in page.content.decode()
    page = admin_client.get(reverse("admin:continuum_tiermetric_change", args=["a_2Fb_3Fc"]))
    assert "because" in page.content.decode()
    assert "?item_id__exact=a%2Fb%3Fc" in page.content.decode()


def allowed(name: str) -> set[str]:
    rows = Group.objects.get(name=name).permissions.values_list("codename", flat=True)
    return set(rows)


def test_staff_groups() -> None:
    Group.objects.all().delete()
    make_groups(apps, "default")
    viewer, operator, all_of_it = map(allowed, ("viewer", "operator", "administrator"))
    assert "view_knowledgeitem" in viewer
    assert all(name.startswith("view_") for name in viewer)
    assert operator - viewer == {"add_startedcommand", "change_quarantinedrow"}
    assert "change_knowledgeitem" in all_of_it - operator
    assert not any(name.startswith(("add_", "delete_")) for name in all_of_it - operator)
    Group.objects.get(name="viewer").permissions.clear()
    make_groups(apps, "default")
    assert allowed("viewer") == set(), "what somebody took away stays away"


def test_an_administrators_correction_leaves_a_history(client: Client, items: list[int]) -> None:
    Group.objects.all().delete()
    make_groups(apps, "default")
    user = User.objects.create_user("ada", is_staff=True)
    user.groups.add(Group.objects.get(name="administrator"))
    client.force_login(user)
    url = reverse("admin:knowledge_knowledgeitem_change", args=[3])
    form = client.get(url).context["adminform"].form
    data = {name: value for name, value in form.initial.items() if value is not None}
    data |= {"created_at_0": "2025-01-02", "created_at_1": "03:04:05", "metadata": "{}"}
    data |= {"last_accessed_0": "2025-01-02", "last_accessed_1": "03:04:05", "source": "corrected"}
    answer = client.post(url, data)
    assert answer.status_code == 302, answer.context["adminform"].form.errors
    assert KnowledgeItem.objects.get(pk=3).source == "corrected"
    entry = LogEntry.objects.get()
    assert (entry.user, entry.object_id) == (user, "3")
    assert "Source" in entry.get_change_message()


@pytest.mark.slow_after(2)
@pytest.mark.parametrize(
    "query",
    [
        "?created_at__year=9999",
        "?created_at__year=0&source=a",
        "?created_at__year=2025&created_at__month=13",
        "?created_at__year=9999&created_at__month=12&created_at__day=31",
        "?created_at__year=2025&created_at__day=31",
        "?created_at__lte=x",
    ],
)
def test_dates_that_no_calendar_has(admin_client: Client, items: list[int], query: str) -> None:
    assert admin_client.get(reverse(ITEMS) + query).status_code in (200, 302)
    for form in ("csv", "json"):
        answer = admin_client.get(reverse(EXPORT, args=[form]) + query)
        assert answer.status_code in (200, 400)


@pytest.mark.slow_after(2)
@pytest.mark.parametrize("text", ["²", "٣", "--5", "1_000", "9" * 5000, str(2**63)])
def test_keys_in_addresses_are_an_integers_own_digits(
    admin_client: Client, items: list[int], text: str
) -> None:
    """Of ``²`` and ``--5`` the list made an error, of ``٣`` row 3."""
    for name in ("before", "q", "created_at__year"):
        answer = admin_client.get(reverse(ITEMS), {name: text})
        assert answer.status_code in (200, 302), name
    where = reverse("admin:knowledge_knowledgeitem_change", args=[text])
    assert admin_client.get(where).status_code == 302
    cell = reverse("admin:knowledge_knowledgeitem_cell", args=[text, "content"])
    assert admin_client.get(cell).status_code == 404


def test_more_rows_of_one_moment_than_a_page_has(admin_client: Client, items: list[int]) -> None:
    moment = timezone.make_aware(timezone.datetime(2024, 5, 6))
    KnowledgeItem.objects.update(created_at=moment)
    seen, query = [], "?created_at__year=2024"
    for _ in range(4):
        cl = listed(admin_client, query)
        seen += [row.pk for row in cl.result_list]
        query = cl.older_link
        if not query:
            break
    assert seen == sorted(items, reverse=True)
    assert "before" not in cl.newest_link
    assert "__lte" not in cl.newest_link


def test_a_search_below_all_keys_finds_nothing(
    admin_client: Client, items: list[int], narrow: None
) -> None:
    assert list(listed(admin_client, "?source=a&before=0").result_list) == []


def test_a_search_among_text_keys_looks_at_a_window_too(admin_client: Client, narrow: None) -> None:
    TierMetric.objects.bulk_create(TierMetric(item_id=f"i{n:03}", tier="L0") for n in range(100))
    address = reverse("admin:continuum_tiermetric_changelist")
    seen, query, windows = [], "?q=5", []
    while query:
        cl = admin_client.get(address + query).context["cl"]
        windows.append(cl.window)
        seen += [row.pk for row in cl.result_list]
        query = cl.older_link
    assert windows == [("i060", "i099"), ("i020", "i059"), ("", "i019")]
    assert seen == [f"i{n:03}" for n in range(99, -1, -1) if "5" in str(n)]
    found = admin_client.get(address + "?q=i007").context["cl"].result_list
    assert [row.pk for row in found] == ["i007"]


@pytest.mark.parametrize("order", ["7", "-7", "1"])
def test_another_order_sorts_the_window_and_walks_no_index_beyond_it(
    admin_client: Client, items: list[int], narrow: None, order: str
) -> None:
    with CaptureQueriesContext(connection) as queries:
        cl = listed(admin_client, f"?o={order}")
    assert [row.pk for row in cl.result_list][:1]
    assert cl.window == (91, 130)
    sql = next(q["sql"] for q in queries if "ORDER BY COALESCE" in q["sql"])
    assert sql.count("ORDER BY") == 1


@pytest.mark.parametrize("model", [KnowledgeRelationship, FetchItem, TierAudit])
def test_rows_of_one_parent_are_not_sought_through_the_whole_key(
    admin_client: Client, model: Any
) -> None:
    """Either an index has them in the order wanted, or PostgreSQL cannot use the key's."""
    column = {KnowledgeRelationship: "source", FetchItem: "cycle", TierAudit: "item_id"}[model]
    address = reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")
    cl = admin_client.get(f"{address}?{column}__exact=5").context["cl"]
    assert cl.window is None
    ordered = any(index.fields == [column, "id"] for index in model._meta.indexes)
    assert ordered == (model is KnowledgeRelationship)
    assert ("COALESCE" in str(cl.queryset.query)) != ordered


def test_what_a_row_shows_is_made_once(
    admin_client: Client, items: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[int] = []
    monkeypatch.setattr(
        side_by_side, "legacy_table", lambda row: made.append(row.pk) or "a legacy row"
    )
    page = admin_client.get(reverse("admin:knowledge_knowledgeitem_change", args=[7]))
    assert "a legacy row" in page.content.decode()
    assert made == [7]


def test_the_number_of_rows_is_said_as_what_it_is(
    admin_client: Client, items: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    def heading(query: str = "") -> str:
        page = admin_client.get(reverse(ITEMS) + query).content.decode()
        return " ".join(page.split("<h1", 1)[1].split("</h1>", 1)[0].split())

    assert "130 rows" in heading()
    assert "13 found" in heading("?q=rare")
    monkeypatch.setattr(paginator, "COUNTED", 50)
    assert "about " in heading()


def test_an_empty_list_offers_what_can_be_done(admin_client: Client, items: list[int]) -> None:
    nothing = admin_client.get(reverse(ITEMS) + "?q=nowhere").content.decode()
    assert "Nothing found" in nothing
    assert "All rows were looked at." in nothing
    assert "Create" not in nothing
    KnowledgeItem.objects.all().delete()
    assert "The commands write them" in admin_client.get(reverse(ITEMS)).content.decode()


def test_a_reference_is_completed_from_a_window(
    admin_client: Client, items: list[int], narrow: None
) -> None:
    asked = "?app_label=knowledge&model_name=knowledgerelationship&field_name=source&term="
    address = reverse("admin:autocomplete") + asked

    def offered(term: str) -> list[int]:
        return [int(one["id"]) for one in admin_client.get(address + term).json()["results"]]

    assert offered("rare") == [130, 120, 110, 100]
    assert 7 in offered("7")
    assert offered("") == list(range(130, 90, -1))[: len(offered(""))]
