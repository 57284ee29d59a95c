"""The search over all tables: words without accents, with an index and without, and its bounds."""

from __future__ import annotations

import re
import unicodedata
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext

from knowledge.models import KnowledgeItem, LearningSession
from rss.models import FetchCycle
from stillme.pages.glance import grouped
from stillme.pages.search import find as finding
from stillme.pages.search.tables import Table, tables
from stillme.pages.search.words import SEARCHED, fold, snippet, text_search_query, words_of
from stillme.postgresql.statements import fetch_all
from tests.console.support import HOSTILE, staff

PAGE = "/admin/search/"
# Found by these words: what is asked, a text that has it, a text that has not.
CASES = {
    "accents left out": ("hoc may", "Học máy là một lĩnh vực", "Hạc và mây"),
    "accents given": ("học máy", "hoc may viet khong dau", "hac"),
    "another letter of its own": ("da nang", "ở Đà Nẵng", "ở Hà Nội"),
    "composed of marks": ("trí tuệ", unicodedata.normalize("NFD", "Trí Tuệ nhân tạo"), "tri thức"),
    "the beginning of a word": ("ethic", "Ethics of data", "bioethics"),
    "all of the words": ("data policy", "policy of open data", "open data"),
    "parts of an address": ("example path", "https://www.example.org/a-path?b=1", "examination"),
    "joined by a line": ("metrics", "tier_metrics", "tiermetrics"),
    "a part of a number": ("25", "0.25 of all", "125"),
    "another script": ("знание", "Знание модель", "незнание"),
    "letters of markup": ("script", HOSTILE, "transcript"),
}


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """The limits would stay for the rest of the test's transaction."""
    monkeypatch.setattr(grouped, "TIMEOUT", 60_000)
    monkeypatch.setattr(finding, "SECONDS", 60)
    monkeypatch.setattr(finding, "QUICK", 60_000)


def table(model: Any) -> Table:
    return next(one for one in tables() if one.model is model)


def keys(words: str, found: Any = KnowledgeItem) -> list[Any]:
    return [hit.key for hit in finding.find([table(found)], words_of(words), words)[0].hits]


@pytest.mark.django_db
@pytest.mark.parametrize(("asked", "has", "has_not"), CASES.values(), ids=CASES)
def test_the_words_are_found_by_either_way_and_marked(asked: str, has: str, has_not: str) -> None:
    """What PostgreSQL's text search finds, the regular expression finds as well."""
    for text in (has, has_not):
        KnowledgeItem.objects.create(content=text, source="", knowledge_type="")
    row = KnowledgeItem.objects.get(content=has)
    assert keys(asked) == [row.pk]
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT id FROM knowledge.knowledge_items WHERE {table(KnowledgeItem).document} "
            "@@ to_tsquery('simple', %s)",
            [text_search_query(words_of(asked))],
        )
        assert cursor.fetchall() == [(row.pk,)]
    marked = re.findall("<mark>(.*?)</mark>", snippet(has, words_of(asked)))
    assert {fold(mark) for mark in marked} == set(words_of(asked))


def test_a_snippet_is_one_line_to_read() -> None:
    shown = snippet("Q: gì?\r\n\tA: học máy\u202e", ["hoc"])
    assert shown == "Q: gì? A: <mark>học</mark> máy\\u202e"


@pytest.mark.django_db(transaction=True)
def test_an_index_finds_what_is_not_among_the_newest_rows(
    monkeypatch: pytest.MonkeyPatch, client: Any, django_user_model: Any, capsys: Any
) -> None:
    monkeypatch.setattr(finding, "NEWEST", 3)
    long = "x" * 3_000_000 + " Học"
    texts = ["Đạo đức học", long, *["nothing"] * 5]
    rows = [KnowledgeItem(content=t, source="", knowledge_type="") for t in texts]
    KnowledgeItem.objects.bulk_create(rows)
    staff(client, django_user_model, "view_knowledgeitem")
    said = client.get(PAGE, {"q": "hoc"}).content.decode()
    assert "only the newest 3 rows were looked at" in said
    assert "manage.py search_index --create knowledge.knowledge_items" in said
    name = "knowledge.knowledge_items"
    call_command("search_index", "--create", name)
    call_command("search_index", "--create", name)
    assert f"{name} has its index." in capsys.readouterr().out
    oldest = KnowledgeItem.objects.order_by("pk").values_list("pk", flat=True)[0]
    assert keys("hoc") == [oldest]
    said = client.get(PAGE, {"q": "hoc"}).content.decode()
    assert "newest" not in said
    assert "đức <mark>học</mark>" in said
    # A row with a text of any length can still be written.
    KnowledgeItem.objects.create(content=" ".join(map(str, range(400_000))), source="", **_TYPE)
    call_command("search_index", "--drop", name)
    assert "no index over content, source, knowledge_type" in capsys.readouterr().out
    assert not table(KnowledgeItem).indexes("default")


_TYPE = {"knowledge_type": ""}


@pytest.mark.django_db(transaction=True)
def test_words_of_many_rows_do_not_keep_the_index_busy(
    monkeypatch: pytest.MonkeyPatch, client: Any, django_user_model: Any
) -> None:
    texts = [*["often"] * 9, "seldom", *["nothing"] * 3]
    rows = [KnowledgeItem(content=text, source="", **_TYPE) for text in texts]
    made = [item.pk for item in KnowledgeItem.objects.bulk_create(rows)]
    call_command("search_index", "--create", "knowledge.knowledge_items")
    asked: list[str] = []

    def slow(alias: str, table: Any, words: list[str], rare: list[str]) -> Any:
        asked.extend(rare)
        return fetch_all(connection, "SELECT pg_sleep(5)")

    monkeypatch.setattr(finding, "_by_index", slow)
    monkeypatch.setattr(finding, "QUICK", 50)
    staff(client, django_user_model, "view_knowledgeitem")
    # Among the newest rows there are more than the page shows: the index is not asked.
    found = finding.find([table(KnowledgeItem)], ["often"], "often")[0]
    assert [hit.key for hit in found.hits] == made[8:3:-1]
    assert (found.more, found.note, asked) == (True, "", [])
    monkeypatch.setattr(finding, "NEWEST", 4)
    monkeypatch.setattr(finding, "FIRST", 2)
    said = client.get(PAGE, {"q": "seldom"}).content.decode()
    assert asked == ["seldom"]
    assert f"/admin/knowledge/knowledgeitem/{made[9]}/change/" in said
    assert "o many rows may have these words that only the newest 4 rows were looked at" in said
    call_command("search_index", "--drop", "knowledge.knowledge_items")


@pytest.mark.django_db(transaction=True)
def test_a_frequent_word_is_looked_for_in_the_rows_of_the_rare_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    texts = ["common rare", "rare", "Đường rare", *["common"] * 9]
    rows = [KnowledgeItem(content=text, source="", **_TYPE) for text in texts]
    made = [item.pk for item in KnowledgeItem.objects.bulk_create(rows)]
    call_command("search_index", "--create", "knowledge.knowledge_items")
    monkeypatch.setattr(finding, "FIRST", 8)
    monkeypatch.setattr(finding, "FREQUENT", 4)
    with CaptureQueriesContext(connection) as queries:
        assert keys("common rare") == made[:1]
    asked = [query["sql"] for query in queries if "to_tsquery" in query["sql"]]
    assert len(asked) == 1
    assert "to_tsquery('simple', 'rare:*')" in asked[0]
    assert keys("duong rare") == [made[2]]
    # Where all are frequent the least frequent is looked up.
    monkeypatch.setattr(finding, "FREQUENT", 0)
    assert keys("common rare") == made[:1]
    call_command("search_index", "--drop", "knowledge.knowledge_items")


def test_a_table_that_is_not_there_is_named() -> None:
    said = r"No such table is searched: rss\.nothing\. Choose"
    with pytest.raises(CommandError, match=said) as refused:
        call_command("search_index", "--create", "rss.nothing")
    assert refused.value.returncode == 2


@pytest.mark.django_db
def test_only_tables_that_one_may_see_are_searched(client: Any, django_user_model: Any) -> None:
    KnowledgeItem.objects.create(content="a secret", source="", **_TYPE)
    session = LearningSession.objects.create(session_type="open", content_learned="no secret")
    staff(client, django_user_model, "view_learningsession")
    said = client.get(PAGE, {"q": "secret"}).content.decode()
    assert f"/admin/knowledge/learningsession/{session.pk}/change/" in said
    assert "knowledgeitem" not in said
    client.logout()
    staff_without = django_user_model.objects.create_user("other", is_staff=True)
    client.force_login(staff_without)
    assert client.get(PAGE).status_code == 403


@pytest.mark.django_db
def test_texts_are_escaped_and_a_number_finds_a_key(client: Any, django_user_model: Any) -> None:
    cycle = FetchCycle.objects.create(
        cycle_number=1, started_at="2025-01-01T00:00Z", status=HOSTILE, error_message="\u202eabc"
    )
    staff(client, django_user_model, "view_fetchcycle")
    said = client.get(PAGE, {"q": "alert abc"}).content.decode()
    assert HOSTILE not in said
    assert "\\u202e<mark>abc</mark>" in said
    said = client.get(PAGE, {"q": str(cycle.pk)}).content.decode()
    assert f"/admin/rss/fetchcycle/{cycle.pk}/change/" in said


@pytest.mark.django_db
@pytest.mark.parametrize(
    "asked",
    ["", "   ", "%%% ***", "²", "a" * 3_000, "' OR 1=1 --", "!&|:*()", "e " * 400, "\ud83d"],
)
def test_odd_words_are_answered(client: Any, django_user_model: Any, asked: str) -> None:
    KnowledgeItem.objects.create(content="e", source="", **_TYPE)
    staff(client, django_user_model, "view_knowledgeitem")
    assert client.get(PAGE, {"q": asked.encode("utf-8", "replace")}).status_code == 200


@pytest.mark.django_db
def test_a_page_asks_a_bounded_number_of_queries(client: Any, django_user_model: Any) -> None:
    """Session, person, permissions; of each table its index, four around the search, its end."""
    staff(client, django_user_model, "view_knowledgeitem", "view_fetchitem", "view_tieraudit")
    with CaptureQueriesContext(
        connection,
    ) as queries:
        client.get(PAGE, {"q": "anything"})
    assert len(queries) <= 5 + 3 * 7
    texts = [query["sql"] for query in queries if "newest" in query["sql"]]
    assert len(texts) == 3
    assert all(f"LIMIT {finding.NEWEST}" in sql and str(SEARCHED) in sql for sql in texts)


@pytest.mark.django_db
def test_a_search_that_takes_too_long_says_so(
    monkeypatch: pytest.MonkeyPatch, client: Any, django_user_model: Any
) -> None:
    monkeypatch.setattr(finding, "SECONDS", -1)
    staff(client, django_user_model, "view_knowledgeitem")
    assert "had taken too long" in client.get(PAGE, {"q": "anything"}).content.decode()
