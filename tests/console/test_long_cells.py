"""Cells of 10 MB: what no page shows is not fetched, and the whole is there to be saved."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import User
from django.db import connection
from django.db.backends.utils import CursorWrapper
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from accuracy.models import AccuracyScore
from knowledge.models import KnowledgeItem, KnowledgeRelationship
from rss.models import FetchCycle, FetchItem
from stillme.pages import clipped
from tests.console.support import staff

pytestmark = pytest.mark.django_db
MB = 1_000_000
HUGE = "ế" + "x" * 10 * MB


@pytest.fixture
def fetched(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The size of every row that Django fetched."""
    sizes: list[int] = []

    def noted(rows: Any) -> Any:
        sizes.extend(sum(len(str(cell)) for cell in row) for row in rows)
        return rows

    def fetchmany(self: CursorWrapper, *given: Any) -> Any:
        return noted(self.cursor.fetchmany(*given))

    def fetchone(self: CursorWrapper) -> Any:
        row = self.cursor.fetchone()
        return row if row is None else noted([row])[0]

    monkeypatch.setattr(CursorWrapper, "fetchmany", fetchmany, raising=False)
    monkeypatch.setattr(CursorWrapper, "fetchone", fetchone, raising=False)
    return sizes


@contextmanager
def bounded(fetched: list[int], most: int) -> Iterator[None]:
    fetched.clear()
    yield
    assert fetched, "nothing was noted"
    assert sum(fetched) < most


def item(**fields: Any) -> KnowledgeItem:
    given: dict[str, Any] = {"content": "c", "source": "s", "knowledge_type": "k"}
    return KnowledgeItem.objects.create(**given | fields)


def page(client: Client, model: str, key: Any) -> Any:
    answer = client.get(reverse(f"admin:{model}_change", args=[key]))
    assert answer.status_code == 200
    return answer


def test_what_is_noted_includes_a_long_cell(fetched: list[int]) -> None:
    item(content=HUGE)
    assert KnowledgeItem.objects.get().content == HUGE
    assert max(fetched) > 10 * MB


def test_lists_fetch_no_long_cell(admin_client: Client, fetched: list[int]) -> None:
    item(content=HUGE, source=HUGE, knowledge_type=HUGE, metadata={"a": HUGE})
    AccuracyScore.objects.create(
        question=HUGE, actual_answer=HUGE, context_used=HUGE, accuracy_score=1, scoring_method="m"
    )
    for name in ("knowledge_knowledgeitem", "accuracy_accuracyscore"):
        for query in ("", "?q=ế", "?o=3"):
            with bounded(fetched, 20_000):
                answer = admin_client.get(reverse(f"admin:{name}_changelist") + query)
            assert answer.context["cl"].result_count == 1
            assert len(answer.content) < 300_000


def test_a_row_is_shown_by_the_beginnings_of_its_cells(
    admin_client: Client, fetched: list[int]
) -> None:
    row = item(content=HUGE, metadata={"a": HUGE})
    with bounded(fetched, 100_000):
        text = page(admin_client, "knowledge_knowledgeitem", row.pk).content.decode()
    assert len(text) < 300_000
    assert "10,000,003 bytes, the first 20,000 here" in text
    assert "bytes of JSON, the first 20,000 here" in text


@pytest.mark.parametrize("name", ["content", "metadata"])
def test_the_whole_cell_is_saved_in_pieces(
    admin_client: Client, fetched: list[int], monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(clipped, "PIECE", 2 * MB)
    row = item(content=HUGE, metadata={"a": HUGE})
    link = f"/admin/knowledge/knowledgeitem/{row.pk}/cell/{name}/"
    assert (
        f'href="{link}"' in page(admin_client, "knowledge_knowledgeitem", row.pk).content.decode()
    )
    fetched.clear()
    answer = admin_client.get(link)
    whole = b"".join(answer.streaming_content).decode()
    assert whole == (HUGE if name == "content" else f'{{"a": "{HUGE}"}}')
    assert 0 < max(fetched) <= 2 * MB
    assert "attachment" in answer["Content-Disposition"]
    assert answer["Content-Type"] == "text/plain; charset=utf-8"


def test_cells_that_are_not_there_and_who_may_not(admin_client: Client, client: Client) -> None:
    row = item()
    address = "/admin/knowledge/knowledgeitem/{}/cell/{}/"
    for key, name in (
        (row.pk, "id"),
        (row.pk, "nothing"),
        (row.pk + 1, "content"),
        ("x", "source"),
    ):
        assert admin_client.get(address.format(key, name)).status_code == 404
    client.force_login(User.objects.create_user("nobody", is_staff=True))
    assert client.get(address.format(row.pk, "content")).status_code == 403


@pytest.mark.slow
def test_related_rows_and_parents_come_as_beginnings(
    admin_client: Client, fetched: list[int]
) -> None:
    cycle = FetchCycle.objects.create(cycle_number=1, started_at=timezone.now())
    for _ in range(3):
        FetchItem.objects.create(
            cycle=cycle, item_title=HUGE, status_reason=HUGE, fetch_timestamp=timezone.now()
        )
    with bounded(fetched, 100_000):
        text = page(admin_client, "rss_fetchcycle", cycle.pk).content.decode()
    assert text.count("xxxx…") == 6
    link = KnowledgeRelationship.objects.create(
        source=item(content=HUGE), target=item(content=HUGE), relationship_type="cites"
    )
    with bounded(fetched, 100_000):
        page(admin_client, "knowledge_knowledgerelationship", link.pk)


def corrector(client: Client, users: Any) -> User:
    names = [f"{kind}_{model}" for kind in ("view", "change") for model in ("knowledgeitem",)]
    names += ["view_knowledgerelationship", "change_knowledgerelationship"]
    return staff(client, users, *names)


def test_a_long_cell_is_no_form_field_and_stays_as_it_is(
    client: Client, django_user_model: Any, fetched: list[int]
) -> None:
    corrector(client, django_user_model)
    row = item(content=HUGE, source="wrong")
    with bounded(fetched, 100_000):
        answer = page(client, "knowledge_knowledgeitem", row.pk)
        form = answer.context["adminform"].form
    assert "content" not in form.fields
    assert "source" in form.fields
    assert "Too long or too deep to be shown or corrected here" in answer.content.decode()
    data = {name: value for name, value in form.initial.items() if value is not None}
    moments = ("created_at", "last_accessed")
    data |= {f"{name}_0": "2025-01-02" for name in moments} | {"metadata": "{}"}
    data |= {f"{name}_1": "03:04:05" for name in moments}
    data |= {"source": "corrected", "content": "must not be written"}
    posted = client.post(reverse("admin:knowledge_knowledgeitem_change", args=[row.pk]), data)
    assert posted.status_code == 302
    row.refresh_from_db()
    assert (row.source, row.content) == ("corrected", HUGE)
    assert "Source" in LogEntry.objects.get().get_change_message()


def test_a_cell_below_the_limit_is_a_form_field(client: Client, django_user_model: Any) -> None:
    corrector(client, django_user_model)
    row = item(content="x" * clipped.EDIT)
    form = page(client, "knowledge_knowledgeitem", row.pk).context["adminform"].form
    assert form.initial["content"] == row.content
    assert "content" in form.fields


def test_parents_are_offered_by_their_beginnings(
    client: Client, django_user_model: Any, fetched: list[int]
) -> None:
    corrector(client, django_user_model)
    link = KnowledgeRelationship.objects.create(
        source=item(content=HUGE), target=item(content=HUGE), relationship_type="cites"
    )
    with bounded(fetched, 100_000):
        page(client, "knowledge_knowledgerelationship", link.pk)
    asked = "?app_label=knowledge&model_name=knowledgerelationship&field_name=source&term=x"
    with bounded(fetched, 100_000):
        answer = client.get(reverse("admin:autocomplete") + asked)
    assert len(answer.json()["results"]) == 2


def test_a_long_legacy_cell_is_read_as_far_as_it_is_shown(
    admin_client: Client, tmp_path: Path, use_legacy_files: Any
) -> None:
    use_legacy_files(tmp_path)
    with closing(sqlite3.connect(tmp_path / "rss_fetch_history.db")) as file:
        file.execute("CREATE TABLE rss_fetch_cycles (id INTEGER PRIMARY KEY, error_message, odd)")
        file.execute("INSERT INTO rss_fetch_cycles VALUES (7, ?, 3)", (HUGE,))
        file.commit()
    cycle = FetchCycle.objects.create(
        id=7, cycle_number=1, started_at=timezone.now(), error_message=HUGE
    )
    text = page(admin_client, "rss_fetchcycle", cycle.pk).content.decode()
    assert "10,000,003 bytes" in text
    assert "are not compared here" in text
    assert len(text) < 400_000


@pytest.mark.parametrize("levels", [150, 950, 3000])
def test_a_document_that_python_cannot_read_is_shown_as_its_text(
    admin_client: Client, levels: int
) -> None:
    """PostgreSQL takes thousands of levels; an application may have stored them."""
    row = item(metadata={"a": 1})
    deep = "[" * levels + "]" * levels
    with connection.cursor() as cursor:
        cursor.execute("UPDATE knowledge.knowledge_items SET metadata = %s", [deep])
    text = page(admin_client, "knowledge_knowledgeitem", row.pk).content.decode()
    assert deep[:150] in text
    assert "Too long or too deep" in text
    link = f"/admin/knowledge/knowledgeitem/{row.pk}/cell/metadata/"
    assert b"".join(admin_client.get(link).streaming_content).decode() == deep
    for form in ("csv", "json"):
        answer = admin_client.get(reverse("admin:knowledge_knowledgeitem_export", args=[form]))
        assert deep in b"".join(answer.streaming_content).decode()
    assert admin_client.get(reverse("admin:knowledge_knowledgeitem_changelist")).status_code == 200


def test_documents_of_some_levels_are_shown_as_before(admin_client: Client) -> None:
    document: Any = 1
    for _ in range(100):
        document = {"a": document}
    assert not clipped.is_deep(document)
    assert clipped.is_deep([document])
    row = item(metadata=document)
    text = page(admin_client, "knowledge_knowledgeitem", row.pk).content.decode()
    assert "too deep" not in text


def test_a_deep_document_is_not_corrected_in_a_form(
    client: Client, django_user_model: type[User]
) -> None:
    row = item()
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE knowledge.knowledge_items SET metadata = %s", ["[" * 3000 + "]" * 3000]
        )
    staff(client, django_user_model, "view_knowledgeitem", "change_knowledgeitem")
    text = page(client, "knowledge_knowledgeitem", row.pk).content.decode()
    assert 'name="content"' in text
    assert 'name="metadata"' not in text
