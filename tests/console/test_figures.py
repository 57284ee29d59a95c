"""Numbers, times and references in a reader's form, the exact value on hover and in exports."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils.html import strip_tags

from knowledge.models import KnowledgeItem, KnowledgeRelationship
from stillme.pages.cells import breakable, listed_text
from stillme.pages.figures import figure_html

THIRD = 5 / 6
MOMENT = datetime(2025, 3, 4, 15, 6, 7, 890123, tzinfo=UTC)
EAST = timezone(timedelta(hours=7))


@pytest.mark.parametrize(
    ("value", "shown", "exact"),
    [
        (None, "—", None),
        (0, "0", None),
        (999, "999", None),
        (1234567, "1,234,567", "1234567"),
        (-1234567, "-1,234,567", "-1234567"),
        (THIRD, "0.8333", repr(THIRD)),
        (0.25, "0.25", None),
        (1.0, "1", "1.0"),
        # Rounded, and that shows: no score becomes a full one.
        (0.99999, "1.0000", "0.99999"),
        (-0.0, "-0", "-0.0"),
        (0.00001234567, "1.235e-05", "1.234567e-05"),
        (1234.5, "1,234.5", "1234.5"),
        (1.5e300, "1.5e+300", None),
        (math.inf, "inf", None),
        (math.nan, "nan", None),
        (MOMENT, "2025-03-04 15:06:07 UTC", "2025-03-04T15:06:07.890123+00:00"),
        (MOMENT.astimezone(EAST), "2025-03-04 22:06:07 UTC+07:00", "22:06:07.890123+07:00"),
        (datetime(1, 1, 1, tzinfo=UTC), "0001-01-01 00:00:00 UTC", "0001-01-01T00:00:00+00:00"),
    ],
)
def test_what_is_shown_and_what_is_exact(value: Any, shown: str, exact: str | None) -> None:
    html = figure_html(value)
    if exact is None:
        assert html == shown
    else:
        assert strip_tags(html) == shown
        assert f'{exact}">' in html


@pytest.mark.parametrize(
    ("text", "html"),
    [
        (None, "—"),
        ("", '<span class="console-note" title="&#x27;&#x27;">(empty)</span>'),
        ("\n ", '<span class="console-note" title="&#x27;\\n &#x27;">(blank)</span>'),
        ("a text of short words", "a text of short words"),
        (
            "see https://example.org/news?a=<1>",
            "see https://<wbr>example.<wbr>org/<wbr>news?<wbr>a=<wbr>&lt;1&gt;",
        ),
        ("x" * 30, f"{'x' * 14}<wbr>{'x' * 14}<wbr>xx"),
    ],
)
def test_a_text_of_a_list_may_break(text: str | None, html: str) -> None:
    assert listed_text(text) == html


@pytest.mark.parametrize("word", ["." * 40, "e\u0301" * 30, "a.b" * 20, "https://x"])
def test_no_character_is_lost_where_a_word_breaks(word: str) -> None:
    assert strip_tags(breakable(word)) == word


@pytest.fixture
def related(db: None, client: Client) -> KnowledgeRelationship:
    """Two items, one with an unkind text, and a link between them; a superuser is logged in."""
    client.force_login(User.objects.create_superuser("root"))
    first = KnowledgeItem.objects.create(
        content="Water <b>boils</b> at 100 degrees " + "x" * 500,
        source="book",
        knowledge_type="fact",
        retention_score=THIRD,
        access_count=1234567,
        created_at=MOMENT,
    )
    second = KnowledgeItem.objects.create(content="Ice floats", source="b", knowledge_type="fact")
    return KnowledgeRelationship.objects.create(
        source=first, target=second, relationship_type="leads to", strength=THIRD
    )


def page(client: Client, model: str, key: Any = None) -> str:
    """A list, or the page of a row."""
    name = f"admin:knowledge_{model}_" + ("changelist" if key is None else "change")
    answer = client.get(reverse(name, args=[] if key is None else [key]))
    assert answer.status_code == 200
    return answer.content.decode()


def test_a_reference_is_its_parents_name_and_key(
    client: Client, related: KnowledgeRelationship
) -> None:
    first, second = related.source_id, related.target_id
    link = f'href="{reverse("admin:knowledge_knowledgeitem_change", args=[second])}"'
    pages = {
        "list": page(client, "knowledgerelationship"),
        "row": page(client, "knowledgerelationship", related.pk),
        "related rows": page(client, "knowledgeitem", first),
    }
    for name, html in pages.items():
        assert f"{link}><bdi>fact #{second}: Ice floats</bdi>" in html, name
        assert "<b>boils" not in html, name
    assert f"fact #{first}: Water &lt;b&gt;boils" in pages["list"]


def test_a_number_and_a_time_are_exact_on_hover(
    client: Client, related: KnowledgeRelationship
) -> None:
    for html in (page(client, "knowledgeitem"), page(client, "knowledgeitem", related.source_id)):
        for exact, shown in (
            (THIRD, "0.8333"),
            (1234567, "1,234,567"),
            (MOMENT.isoformat(), "2025-03-04 <span>15:06:07 UTC</span>"),
        ):
            assert f'title="{exact}">{shown}</span>' in html


def test_a_reference_that_leads_nowhere_shows_its_key(
    client: Client, related: KnowledgeRelationship
) -> None:
    # As in a table of a project whose reference has no constraint.
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL DEFERRED")
        cursor.execute("UPDATE knowledge.knowledge_relationships SET target_id = 4711")
    for html in (
        page(client, "knowledgerelationship"),
        page(client, "knowledgerelationship", related.pk),
        page(client, "knowledgeitem", related.source_id),
    ):
        assert "<bdi>#4711</bdi>" in html
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM knowledge.knowledge_relationships")


def test_an_export_is_exact(client: Client, related: KnowledgeRelationship) -> None:
    answer = client.get(reverse("admin:knowledge_knowledgerelationship_export", args=["json"]))
    (row,) = json.loads(b"".join(answer.streaming_content))  # type: ignore[attr-defined]
    assert (row["strength"], row["source_id"]) == (THIRD, related.source_id)


def test_parents_are_asked_once_for_each_column(
    client: Client, related: KnowledgeRelationship
) -> None:
    page(client, "knowledgerelationship")
    with CaptureQueriesContext(connection) as queries:
        page(client, "knowledgerelationship")
    of_items = [q["sql"] for q in queries if 'FROM "knowledge"."knowledge_items"' in q["sql"]]
    assert len(of_items) == 2
    assert all("LEFT(" in sql for sql in of_items)


def test_a_list_is_sorted_by_what_is_stored(client: Client, related: KnowledgeRelationship) -> None:
    # The sixth column is the strength; the name of a column sorts as before.
    address = reverse("admin:knowledge_knowledgerelationship_changelist")
    assert client.get(f"{address}?o=-5").context["cl"].get_ordering_field_columns() == {5: "desc"}
