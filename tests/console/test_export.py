"""Exports of long rows, and what a CSV cell says."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from knowledge.models import KnowledgeItem
from stillme.pages.lists import export
from stillme.pages.lists.export import batches, columns, csv_cell, csv_line

pytestmark = pytest.mark.django_db
MB = 1_000_000


def item(**fields: Any) -> KnowledgeItem:
    given: dict[str, Any] = {"content": "c", "source": "s", "knowledge_type": "k"}
    return KnowledgeItem.objects.create(**given | fields)


def held(rows: Any) -> list[int]:
    """How many bytes of text each query of an export brought."""
    found = batches(rows, columns(KnowledgeItem))
    return [sum(len(str(cell)) for row in batch for cell in row) for batch in found]


def test_long_rows_are_fetched_a_few_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export, "BYTES", 2 * MB)
    for _ in range(4):
        item(content="x" * MB, metadata={"a": "y" * MB})
    for _ in range(30):
        item()
    sizes = held(KnowledgeItem.objects.all())
    assert max(sizes) < 2.1 * MB
    assert len(sizes) == 5
    assert sum(sizes) > 8 * MB


def test_one_row_larger_than_a_batch_comes_alone() -> None:
    item()
    item(content="x" * 10 * MB)
    item(metadata={"a": "y" * 10 * MB})
    item()
    keys = [[row[0] for row in batch] for batch in batches(KnowledgeItem.objects.all(), ["id"])]
    assert [len(batch) for batch in keys] == [1, 1, 1, 1]
    with CaptureQueriesContext(connection) as queries:
        assert len(list(batches(KnowledgeItem.objects.all(), columns(KnowledgeItem)))) == 4
    assert all("LIMIT" in query["sql"] for query in queries.captured_queries)


@pytest.mark.parametrize(
    ("cells", "line"),
    [
        ([None, "", "a"], ',"",a'),
        (['q"', "a,b", "a\r\nb", " a", "\\."], '"q""","a,b","a\r\nb"," a","\\."'),
        ([1, -1.5, True], "1,-1.5,True"),
    ],
)
def test_a_csv_record(cells: list[Any], line: str) -> None:
    assert csv_line(cells) == line + "\r\n"


@pytest.mark.parametrize(
    "text",
    [
        "=1+1",
        "+x",
        "-x",
        "@x",
        "\t=1",
        "\r=1",
        "\n=1",
        " =1",
        '"=1',
        "\ufeff=1",
        "\uff1d1",
        "\u200b@x",
    ],
)
def test_what_a_spreadsheet_would_run_is_text(text: str) -> None:
    assert csv_cell(text) == f"'{text}"
    assert csv_cell(f"a{text}") == f"a{text}"


@pytest.mark.parametrize("text", ["-5", "+1.5", "", "plain", "https://example.org/?a=b"])
def test_what_it_would_not_run_stays(text: str) -> None:
    assert csv_cell(text) == text


def test_postgresql_reads_null_and_empty_text_back(admin_client: Client) -> None:
    texts = ["plain", "", "NULL", "'", 'q"u,o\r\nte', "\\."]
    for text in texts:
        item(content=text, last_accessed=None, metadata={} if text else None)
    answer = admin_client.get(reverse("admin:knowledge_knowledgeitem_export", args=["csv"]))
    written = b"".join(answer.streaming_content)
    with connection.cursor() as cursor:
        cursor.execute("CREATE TEMP TABLE back (LIKE knowledge.knowledge_items)")
        with cursor.copy("COPY back FROM STDIN (FORMAT csv, HEADER match)") as copy:
            copy.write(written)
        cursor.execute("SELECT content, last_accessed, metadata IS NULL FROM back ORDER BY id")
        assert cursor.fetchall() == [(text, None, not text) for text in texts]
        cursor.execute("DROP TABLE back")
