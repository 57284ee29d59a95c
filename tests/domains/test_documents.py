"""Documents at the limits of values.md: written and read by services, models and console."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.urls import reverse

from knowledge import api
from knowledge.models import KnowledgeItem
from knowledge.services import KnowledgeRetention
from tests.console.support import staff

pytestmark = pytest.mark.django_db
retention = KnowledgeRetention()


def nested(levels: int, core: Any = 1) -> Any:
    """A document of so many levels, its innermost value one of them."""
    document = core
    for _ in range(levels - 1):
        document = {"a": document}
    return document


def stored(key: Any) -> Any:
    return KnowledgeItem.objects.get(pk=key).metadata


@pytest.mark.parametrize("levels", [254, 499, 500])
def test_a_service_writes_and_reads_a_document_as_deep_as_it_may_be(levels: int) -> None:
    key = retention.add_knowledge("c", "s", metadata=nested(levels))
    assert json.dumps(stored(key)) == json.dumps(nested(levels))
    retention.add_knowledge("c", "s", metadata=nested(levels, "\0\ud800"))
    [found] = KnowledgeItem.objects.exclude(pk=key).values_list("metadata", flat=True)
    assert json.dumps(found) == json.dumps(nested(levels, "\ufffd\ufffd"))


@pytest.mark.parametrize("levels", [501, 990, 5000])
def test_a_service_refuses_a_deeper_one_as_any_failure(levels: int) -> None:
    document: Any = 1
    for _ in range(levels - 1):
        document = [document]
    assert retention.add_knowledge("c", "s", metadata=document) == -1
    assert not KnowledgeItem.objects.exists()


def called_within(calls: int, function: Callable[[], Any]) -> Any:
    return called_within(calls - 1, function) if calls else function()


def test_a_document_too_deep_for_the_place_of_its_call_is_refused_in_a_sentence(
    caplog: pytest.LogCaptureFixture,
) -> None:
    retention.add_knowledge("c", "s", metadata=nested(500))
    write = partial(retention.add_knowledge, "c", "s", metadata=nested(500))
    read = partial(retention.get_retained_knowledge, min_retention_score=0)
    for call, fallback in ((write, -1), (read, [])):
        caplog.clear()
        assert called_within(500, call) == fallback
        assert "A document has at most 500 levels, fewer where" in caplog.text
    with pytest.raises(ValueError, match="at most 500 levels"):
        called_within(500, lambda: api.item_add(content="c", source="s", metadata=nested(500)))
    assert KnowledgeItem.objects.count() == 1


FLOATS = {"a": 1e16, "b": -1.5e300, "1e+16": "1e+16", '\\"1e+16': [1e22, 10**16, 1e-7, 1.0]}


def test_a_float_stays_a_float() -> None:
    key = retention.add_knowledge("c", "s", metadata={**FLOATS, "zero": -0.0})
    assert repr(stored(key)["a"]) == "1e+16"
    # Keys of jsonb come in PostgreSQL's order; 1e16 and 10**16 are equal, their texts are not.
    text = json.dumps({**FLOATS, "zero": 0.0}, sort_keys=True)
    assert json.dumps(stored(key), sort_keys=True) == text


def test_half_surrogates_pairs_and_backslashes_are_told_apart() -> None:
    text = "\\u0000 \\\0 \U0001f600 \ud83d \\ud83d \ude00\ud83d \x7f \udfff\\"
    key = retention.add_knowledge("c", "s", metadata={text: [text]})
    whole = "\\u0000 \\\ufffd \U0001f600 \ufffd \\ud83d \ufffd\ufffd \x7f \ufffd\\"
    assert stored(key) == {whole: [whole]}


NUMBERS = ("1e400", "1e5000", "-1e131071", "9" * 131_072, "0." + "1" * 16_383, "1.5e308")


@pytest.mark.slow_after(2)
@pytest.mark.parametrize("number", NUMBERS, ids=lambda number: number[:9])
def test_every_number_of_postgresql_is_read_and_written_back(
    admin_client: Client, number: str
) -> None:
    """Python refused an integer of more than 4,300 digits, and with it the row."""
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO knowledge.knowledge_items (content, source, knowledge_type, metadata) "
            "VALUES ('c', 's', 'general', jsonb_build_object('n', %s::jsonb)) "
            "RETURNING id, metadata::text",
            [number],
        )
        key, text = cursor.fetchone()
    row = KnowledgeItem.objects.get(pk=key)
    row.save()
    with connection.cursor() as cursor:
        cursor.execute("SELECT metadata::text FROM knowledge.knowledge_items")
        [(after,)] = cursor.fetchall()
    if not number.startswith("0."):
        assert after == text
    for name in ("changelist", "change"):
        where = [key] if name == "change" else []
        page = admin_client.get(reverse(f"admin:knowledge_knowledgeitem_{name}", args=where))
        assert page.status_code == 200
    for form in ("csv", "json"):
        answer = admin_client.get(reverse("admin:knowledge_knowledgeitem_export", args=[form]))
        body = b"".join(answer.streaming_content).decode()
        assert after[:50] in body.replace('""', '"')


@pytest.mark.slow_after(2)
@pytest.mark.parametrize(
    "typed", ["NaN", '{"n": Infinity}', '{"n": -1e400}', "[" * 501 + "]" * 501, "[" * 20_000,
              '["\\u0000"]', '["\\ud800"]', '{"\\u0000": 1}', "9" * 200_000, '{"n": 1e999999}'],
    ids=lambda typed: typed[:12],
)  # fmt: skip
def test_a_form_refuses_what_the_target_cannot_hold(
    client: Client, django_user_model: Any, typed: str
) -> None:
    """Each of these ended the page with an error of the server's."""
    staff(client, django_user_model, "view_knowledgeitem", "change_knowledgeitem")
    row = KnowledgeItem.objects.create(content="c", source="s", knowledge_type="general")
    address = reverse("admin:knowledge_knowledgeitem_change", args=[row.pk])
    form = client.get(address).context["adminform"].form
    given = {name: form.get_initial_for_field(field, name) for name, field in form.fields.items()}
    sent = {name: value for name, value in given.items() if value is not None}
    answer = client.post(address, {**sent, "metadata": typed})
    assert answer.status_code == 200
    assert "metadata" in answer.context["adminform"].form.errors
