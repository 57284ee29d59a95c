"""The read-only SQL page: for superusers, one bounded query, nothing else, all of it recorded."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.admin.models import LogEntry

from knowledge.models import KnowledgeItem
from stillme.pages import sql
from tests.console.support import HOSTILE, staff

PAGE = "/admin/sql/"
# What is asked, and a part of what PostgreSQL says against it.
REFUSED = {
    "a write": ("DELETE FROM knowledge.knowledge_items", "syntax error"),
    "a write within": (
        "WITH gone AS (DELETE FROM knowledge.knowledge_items RETURNING 1) SELECT * FROM gone",
        "data-modifying",
    ),
    "a second statement": ("SELECT 1; DROP TABLE knowledge.knowledge_items", "multiple commands"),
    "an end of the transaction": ("SELECT 1; COMMIT; SELECT 2", "multiple commands"),
    "a write by a function": ("SELECT setval('auth_user_id_seq', 1)", "read-only|denied"),
    "a way out of read-only": ("SELECT set_config('transaction_read_only', 'off', true)", ""),
    "a file of the server": ("SELECT pg_read_file('/etc/hostname')", "denied"),
    "a program": ("COPY (SELECT 1) TO PROGRAM 'true'", "syntax error"),
    "too long": ("SELECT pg_sleep(10)", "timeout"),
    "nonsense": ("SELECT % FROM", "syntax error"),
}


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(("query", "says"), REFUSED.values(), ids=REFUSED)
def test_whatever_is_not_a_short_query_is_refused(
    admin_client: Any, monkeypatch: pytest.MonkeyPatch, query: str, says: str
) -> None:
    monkeypatch.setattr(sql, "TIMEOUT", 500)
    KnowledgeItem.objects.create(content="stays", source="", knowledge_type="")
    answer = admin_client.post(PAGE, {"query": query}).context["answer"]
    assert answer.problem
    assert any(part in answer.problem for part in says.split("|"))
    assert KnowledgeItem.objects.get().content == "stays"
    assert LogEntry.objects.get().change_message == query


@pytest.mark.django_db(transaction=True)
def test_a_query_is_answered_and_recorded(
    admin_client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sql, "ROWS", 3)
    query = f"SELECT n, '{HOSTILE} 100%' AS text, NULL AS nothing FROM generate_series(1, 9) n;"
    page = admin_client.post(PAGE, {"query": query})
    assert page.context["answer"].columns == ["n", "text", "nothing"]
    assert len(page.context["answer"].rows) == 3
    assert "The first 3 rows" in page.content.decode()
    assert HOSTILE not in page.content.decode()
    assert LogEntry.objects.get().user.username == "admin"
    # The role and the limits end with the transaction.
    assert KnowledgeItem.objects.create(content="", source="", knowledge_type="").pk


@pytest.mark.django_db(transaction=True)
def test_an_empty_page_names_the_tables_and_gives_a_query_that_runs(admin_client: Any) -> None:
    page = admin_client.get(PAGE)
    assert "The rows will be here." in page.content.decode()
    assert '"knowledge"."knowledge_items"' in page.context["tables"]
    assert '"auth_user"' in page.context["tables"]
    for table in page.context["tables"]:
        answer = admin_client.post(PAGE, {"query": f"SELECT count(*) FROM {table}"})
        assert not answer.context["answer"].problem, table


@pytest.mark.django_db
def test_nobody_else_may(client: Any, django_user_model: Any) -> None:
    staff(client, django_user_model, "view_knowledgeitem", "change_knowledgeitem", "view_run")
    assert client.get(PAGE).status_code == 403
    assert client.post(PAGE, {"query": "SELECT 1"}).status_code == 403
    assert not LogEntry.objects.exists()
