"""A list's filters: values with their numbers of rows, ranges, and choices that a person saved."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.test import Client

from knowledge.models import KnowledgeItem
from stillme.pages.lists import big_list, checked_list, frequent
from stillme.pages.models import SavedFilter
from tests.console.support import HOSTILE, staff

pytestmark = pytest.mark.django_db

PAGE = "/admin/knowledge/knowledgeitem/"
START = datetime(2025, 3, 1, tzinfo=UTC)


def items(*kinds: str) -> list[KnowledgeItem]:
    """One for each kind, a day and a score of a tenth apart."""
    rows = [
        KnowledgeItem(
            content="text",
            source="here",
            knowledge_type=kind,
            retention_score=at / 10,
            created_at=START + timedelta(days=at),
        )
        for at, kind in enumerate(kinds)
    ]
    return KnowledgeItem.objects.bulk_create(rows)


def offered(client: Client, **given: str) -> list[str]:
    cl = client.get(PAGE, given).context["cl"]
    return [choice["display"] for choice in cl.filter_specs[0].choices(cl)]


def found(client: Client, **given: str) -> list[float]:
    cl = client.get(PAGE, given).context["cl"]
    return sorted(row.retention_score for row in cl.result_list)


def test_values_are_counted_among_what_the_other_filters_choose(
    client: Client, django_user_model: Any
) -> None:
    items("a", "b", "b", "c", "")
    staff(client, django_user_model, "view_knowledgeitem")
    assert offered(client) == ["All", "b (2)", "(empty) (1)", "a (1)", "c (1)"]
    # The filter of the values themselves leaves the others to choose.
    assert offered(client, knowledge_type="a") == offered(client)
    assert offered(client, retention_score__gte="0.2") == ["All", "(empty) (1)", "b (1)", "c (1)"]
    assert offered(client, created_at__gte="2025-03-03") == ["All", "(empty) (1)", "b (1)", "c (1)"]
    assert offered(client, knowledge_type="gone")[-1] == "gone (0)"


def test_of_a_large_table_a_part_is_counted_and_said(
    client: Client, django_user_model: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (big_list, checked_list, frequent):
        monkeypatch.setattr(module, "SAMPLED", 3)
    monkeypatch.setattr(big_list, "WINDOW", 2)
    items("a", "b", "b", "c", "c")
    staff(client, django_user_model, "view_knowledgeitem")
    assert offered(client) == ["All (counted: 3 rows)", "c (2)", "b (1)"]
    assert offered(client, knowledge_type="c") == ["All (counted: 2 rows)", "c (2)"]


RANGES = {
    "from a number": ({"retention_score__gte": "0.3"}, [0.3, 0.4]),
    "to a number": ({"retention_score__lte": "0.1"}, [0.0, 0.1]),
    "an empty end": ({"retention_score__gte": "0.4", "retention_score__lte": ""}, [0.4]),
    "between days": ({"created_at__gte": "2025-03-02", "created_at__lt": "2025-03-04"}, [0.1, 0.2]),
    "both": ({"created_at__gte": "2025-03-02", "retention_score__lte": "0.2"}, [0.1, 0.2]),
}


@pytest.mark.filterwarnings("error::RuntimeWarning")
@pytest.mark.parametrize(("given", "scores"), RANGES.values(), ids=RANGES)
def test_a_range_chooses_rows(
    client: Client, django_user_model: Any, given: dict[str, str], scores: list[float]
) -> None:
    items(*"abcde")
    staff(client, django_user_model, "view_knowledgeitem")
    assert found(client, **given) == scores
    said = client.get(PAGE, given).content.decode()
    for name, value in given.items():
        assert f'name="{name}" value="{value}"' in said


@pytest.mark.parametrize(
    "given", ["retention_score__gte=x", "created_at__gte=never", "created_at__lt=2025-13-45"]
)
def test_a_wrong_range_is_told(client: Client, django_user_model: Any, given: str) -> None:
    staff(client, django_user_model, "view_knowledgeitem")
    assert client.get(f"{PAGE}?{given}").headers["Location"] == f"{PAGE}?e=1"


def test_a_choice_is_saved_for_oneself_and_removed(client: Client, django_user_model: Any) -> None:
    items("a")
    staff(client, django_user_model, "view_knowledgeitem")
    query = "knowledge_type=a&q=text"
    form = {"list": "knowledge.knowledgeitem", "query": f"{query}&p=2", "name": f" {HOSTILE} "}
    assert client.post("/admin/saved/", form).headers["Location"] == f"{PAGE}?{query}"
    client.post("/admin/saved/", form)
    kept = SavedFilter.objects.get()
    said = client.get(PAGE).content.decode()
    assert f'href="?{query.replace("&", "&amp;")}"' in said
    assert "/remove/" in said
    assert HOSTILE not in said
    other = Client()
    colleague = django_user_model.objects.create_user("other", is_staff=True)
    colleague.user_permissions.set(Permission.objects.filter(codename="view_knowledgeitem"))
    other.force_login(colleague)
    assert "/remove/" not in other.get(PAGE).content.decode()
    assert other.post(f"/admin/saved/{kept.pk}/remove/").status_code == 404
    assert client.get(f"/admin/saved/{kept.pk}/remove/").status_code == 405
    client.post(f"/admin/saved/{kept.pk}/remove/")
    assert not SavedFilter.objects.exists()


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"name": " "}, 302),
        ({"query": "p=3"}, 302),
        ({"query": "q=" + "x" * 3_000}, 302),
        ({"list": "nothing.here"}, 400),
        ({"list": "rss.fetchitem"}, 403),
    ],
    ids=["no name", "no choice", "too long", "no list", "not mine to see"],
)
def test_what_cannot_be_saved(
    client: Client, django_user_model: Any, change: dict[str, str], status: int
) -> None:
    staff(client, django_user_model, "view_knowledgeitem")
    form = {"list": "knowledge.knowledgeitem", "query": "q=text", "name": "mine"} | change
    assert client.post("/admin/saved/", form).status_code == status
    assert not SavedFilter.objects.exists()
