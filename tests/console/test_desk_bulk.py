"""Many quarantined rows at once, for operators; nothing at all for who may only look."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from stillme.transfer.console.desk import bulk
from stillme.transfer.models import QuarantinedRow
from stillme.transfer.plumbing.stored_cells import pack_cell
from tests.console.support import HOSTILE, quarantined_row, staff

pytestmark = pytest.mark.django_db

LIST = "admin:transfer_quarantinedrow_changelist"


def _post(client: Any, rows: list[QuarantinedRow], **more: str) -> Any:
    selected = {"action": "accept_rows", "_selected_action": [row.pk for row in rows]}
    return client.post(reverse(LIST), {**selected, **more}, follow=True)


def _statuses() -> list[str]:
    return list(QuarantinedRow.objects.order_by("pk").values_list("status", flat=True))


def test_the_reason_is_asked_once_and_kept_with_every_row(admin_client: Any) -> None:
    rows = [quarantined_row(key=str(n)) for n in range(3)]
    asked = _post(admin_client, rows[:2]).content.decode()
    assert "the 2 selected" in asked
    assert "all 3" in asked
    assert _statuses() == ["open"] * 3
    done = _post(admin_client, rows[:2], reason_given=" test rows ", scope="selected")
    assert "2 rows accepted as left out" in done.content.decode()
    assert _statuses() == ["accepted", "accepted", "open"]
    rows[0].refresh_from_db()
    assert (rows[0].note, rows[0].decided_by) == ("test rows", "admin")
    entries = LogEntry.objects.all()
    assert {e.object_id for e in entries} == {str(row.pk) for row in rows[:2]}
    assert {e.change_message for e in entries} == {"Accepted as left out: test rows"}


def test_all_rows_of_the_same_fault_and_no_others(admin_client: Any) -> None:
    rows = [quarantined_row(key=str(n)) for n in range(3)]
    other = quarantined_row(reason="another")
    decided = quarantined_row(status="repaired")
    _post(admin_client, rows[:1], reason_given="the clock was wrong", scope="same")
    assert _statuses() == ["accepted"] * 3 + ["open", "repaired"]
    other.refresh_from_db()
    decided.refresh_from_db()
    assert (other.note, decided.note) == ("", "")


def test_without_a_reason_nothing_is_decided(admin_client: Any) -> None:
    rows = [quarantined_row()]
    page = _post(admin_client, rows, reason_given="  ", scope="selected")
    assert "Say why the rows are left out." in page.content.decode()
    assert _statuses() == ["open"]


def test_different_faults_are_never_widened(admin_client: Any) -> None:
    rows = [quarantined_row(), quarantined_row(reason="another")]
    quarantined_row(key="3")
    assert "all 2" not in _post(admin_client, rows).content.decode()
    _post(admin_client, rows, reason_given="both are tests", scope="same")
    assert _statuses() == ["accepted", "accepted", "open"]


def test_a_decision_is_bounded_and_costs_the_same(admin_client: Any, monkeypatch: Any) -> None:
    def cost(count: int) -> int:
        rows = [quarantined_row(key=str(n)) for n in range(count)]
        with CaptureQueriesContext(connection) as asked:
            _post(admin_client, rows[:1], reason_given="why", scope="same")
        return len(asked)

    assert cost(40) == cost(2)
    monkeypatch.setattr(bulk, "ACCEPTED", 5)
    rows = [quarantined_row(key=str(n)) for n in range(8)]
    page = _post(admin_client, rows[:1], reason_given="why", scope="same").content.decode()
    assert "5 rows accepted" in page
    assert "Still open of these: 3 rows" in page


def test_retry_in_bulk_says_why_and_leaves_a_history(admin_client: Any) -> None:
    rows = [quarantined_row(key=None, table="rss_fetch_cycles") for _ in range(2)]
    data = {"action": "retry_rows", "_selected_action": [row.pk for row in rows]}
    page = admin_client.post(reverse(LIST), data, follow=True).content.decode()
    assert "has no key" in page
    assert "0 loaded, 2 set aside" in page
    assert LogEntry.objects.filter(change_message__contains="has no key").count() == 2
    assert _statuses() == ["open", "open"]


def test_a_viewer_is_asked_nothing_and_posts_nothing(client: Any, django_user_model: Any) -> None:
    staff(client, django_user_model, "view_quarantinedrow")
    row = quarantined_row()
    url = reverse("admin:transfer_quarantinedrow_change", args=[row.pk])
    for page in (client.get(url), client.get(reverse(LIST))):
        assert page.status_code == 200
        assert b'name="decision"' not in page.content
        assert b'value="accept_rows"' not in page.content
    for action in ("accept_rows", "retry_rows"):
        data = {"action": action, "_selected_action": [row.pk], "reason_given": "no"}
        assert client.post(reverse(LIST), data).status_code == 403
    assert client.post(url, {"decision": "retry"}).status_code == 403
    assert _statuses() == ["open"]
    assert not LogEntry.objects.exists()


def test_the_list_reads_no_cells_and_shows_beginnings(admin_client: Any) -> None:
    quarantined_row(key="k" * 10_000, sentence="s" * 10_000)
    with CaptureQueriesContext(connection) as asked:
        page = admin_client.get(reverse(LIST)).content.decode()
    assert '"cells"' not in " ".join(query["sql"] for query in asked)
    assert "k" * 61 not in page
    assert "k" * 60 + "…" in page
    assert "s" * 1001 not in page


def test_ten_megabytes_make_a_small_page_and_all_bytes_can_be_saved(admin_client: Any) -> None:
    stored = (HOSTILE + "\u202eabc").encode() + b"\xff" + b"x" * 10_000_000
    cells = {"id": ["integer", 1], "status": pack_cell("text", stored)}
    row = quarantined_row(cells=cells, column="status")
    page = admin_client.get(reverse("admin:transfer_quarantinedrow_change", args=[row.pk]))
    assert len(page.content) < 300_000
    text = page.content.decode()
    assert HOSTILE not in text
    assert "\u202e" not in text
    assert "10,000,0" in text
    cell = reverse("admin:transfer_quarantinedrow_cell", args=[row.pk])
    saved = admin_client.get(cell, {"column": "status"})
    assert saved.content == stored
    assert saved["Content-Type"] == "application/octet-stream"
    assert saved["Content-Disposition"].startswith("attachment")
    assert admin_client.get(cell, {"column": "no such"}).status_code == 404


def test_bytes_of_a_cell_are_not_for_everybody(client: Any, django_user_model: Any) -> None:
    staff(client, django_user_model)
    cell = reverse("admin:transfer_quarantinedrow_cell", args=[quarantined_row().pk])
    assert client.get(cell, {"column": "status"}).status_code == 403


def test_a_single_decision_is_in_the_history_in_words(admin_client: Any) -> None:
    row = quarantined_row()
    url = reverse("admin:transfer_quarantinedrow_change", args=[row.pk])
    asked = {"cell": "", "storage": "text", "value": "", "decision": "accept"}
    answer = admin_client.post(url, {**asked, "reason_given": "a test row"}, follow=True)
    assert "Accepted as left out: a test row" in answer.content.decode()
    assert LogEntry.objects.get().change_message == "Accepted as left out: a test row"


def test_a_repaired_row_is_not_decided_again(admin_client: Any) -> None:
    row = quarantined_row(status="repaired")
    url = reverse("admin:transfer_quarantinedrow_change", args=[row.pk])
    asked = {"decision": "accept", "reason_given": "no"}
    assert admin_client.post(url, asked).status_code == 403
    assert _statuses() == ["repaired"]
