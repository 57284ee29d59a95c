"""The desk: open rows first and counted, a cell's text in the form, NUL replaced by U+FFFD."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.contrib import admin
from django.contrib.admin.models import LogEntry
from django.urls import reverse

from stillme.transfer.console import sidebar
from stillme.transfer.console.desk.form import LONGEST, shown_cell
from stillme.transfer.console.desk.nul import without_nul
from stillme.transfer.models import QuarantinedRow
from stillme.transfer.plumbing.stored_cells import pack_cell, unpack_cell
from tests.console.support import HOSTILE, quarantined_row, staff
from tests.made_once import put_samples
from tests.transfer.load.support import change, query, run_import

pytestmark = pytest.mark.django_db

LIST = "admin:transfer_quarantinedrow_changelist"
ASKED = {"cell": "", "storage": "text", "value": "", "decision": "", "reason_given": ""}


def text(value: str | bytes) -> list[Any]:
    """A stored text."""
    return pack_cell("text", value if isinstance(value, bytes) else value.encode())


def page_of(row: QuarantinedRow) -> str:
    """The address of a row's page."""
    return reverse("admin:transfer_quarantinedrow_change", args=[row.pk])


def faulty(cell: list[Any], **more: Any) -> QuarantinedRow:
    """A row whose title is at fault."""
    cells = {"id": ["integer", 7], "title": cell, "odd": text("another text")}
    return quarantined_row(cells=cells, column="title", **more)


@pytest.mark.slow_after(4)
@pytest.mark.parametrize(
    ("packed", "storage", "shown", "is_whole"),
    [
        (text("Tiếng Việt\nin two lines"), "text", "Tiếng Việt\nin two lines", True),
        (text(""), "text", "", True),
        (["integer", -7], "integer", "-7", True),
        (pack_cell("real", 0.1), "real", "0.1", True),
        (["null", None], "null", "", True),
        (text("a\0b"), "text", "a\ufffdb", False),
        (text(b"a\xffb"), "text", "a\ufffdb", False),
        (text("a\r\nb"), "text", "a\nb", False),
        (pack_cell("blob", b"\0\1"), "text", "", False),
        (text("x" * (LONGEST + 1)), "text", "", False),
        (["text", "not base64!"], "text", "", False),
    ],
)
def test_a_cell_in_the_form(packed: Any, storage: str, shown: str, is_whole: bool) -> None:
    found = shown_cell(packed)
    assert (found.storage, found.text, found.note == "") == (storage, shown, is_whole)
    if is_whole and storage == "text":
        assert unpack_cell(packed)[1] == found.text.encode()


def test_the_cell_at_fault_is_in_the_form(admin_client: Any) -> None:
    row = faulty(text(f"yesterday {HOSTILE}"))
    answer = admin_client.get(page_of(row))
    html = answer.content.decode()
    assert "yesterday &lt;script&gt;alert(1)&lt;/script&gt;</textarea>" in html
    assert HOSTILE not in html
    assert '<option value="title" selected>' in html
    assert 'href="?cell=odd#id_value"' in html
    other = admin_client.get(page_of(row) + "?cell=odd").content.decode()
    assert "another text</textarea>" in other
    assert '<option value="odd" selected>' in other
    assert admin_client.get(page_of(row) + "?cell=none").status_code == 200


@pytest.mark.slow_after(3)
@pytest.mark.parametrize(
    ("given", "repairs"),
    [
        # What came with the form and was left alone is no edit.
        ({"cell": "title", "value": "one\r\ntwo"}, {}),
        ({"cell": "title", "value": "one\r\ntwo", "decision": "accept", "reason_given": "x"}, {}),
        ({"cell": "title", "value": "one\r\n2"}, {"title": text("one\n2")}),
        ({"cell": "title", "storage": "null", "value": "x"}, {"title": ["null", None]}),
        ({"cell": "id", "storage": "integer", "value": "8"}, {"id": ["integer", 8]}),
        ({"cell": "", "value": "one\r\ntwo"}, {}),
        # The text of one cell never becomes that of another.
        ({"cell": "odd", "value": "one\r\ntwo"}, {}),
    ],
)
def test_what_the_form_writes(admin_client: Any, given: dict[str, str], repairs: Any) -> None:
    row = faulty(text("one\ntwo"), table="rss_fetch_items")
    admin_client.post(page_of(row), {**ASKED, "came_with": "title", **given})
    row.refresh_from_db()
    assert row.repairs == repairs
    assert row.status == ("accepted" if given.get("decision") == "accept" else "open")


def test_a_text_that_a_form_would_change_is_chosen_by_a_person(admin_client: Any) -> None:
    row = faulty(text("a\0b"))
    html = admin_client.get(page_of(row)).content.decode()
    assert "a\ufffdb</textarea>" in html
    assert '<option value="title" selected>' not in html
    assert "U+FFFD stands for U+0000" in html


def test_open_rows_come_first_and_are_counted(admin_client: Any, monkeypatch: Any) -> None:
    assert " open</span>" not in " ".join(admin_client.get(reverse(LIST)).content.decode().split())
    rows = [quarantined_row(key=str(n), status=s) for n, s in enumerate(("open", "accepted") * 2)]
    answer = admin_client.get(reverse(LIST))
    assert [row.pk for row in answer.context["cl"].result_list] == [
        rows[at].pk for at in (2, 0, 3, 1)
    ]
    assert "2 open </span>" in " ".join(answer.content.decode().split())
    monkeypatch.setattr(sidebar, "MOST", 1)
    assert "1+ open" in admin_client.get(reverse(LIST)).content.decode()


def test_open_rows_come_first_over_all_pages(admin_client: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(admin.site._registry[QuarantinedRow], "list_per_page", 3)
    states = ("open", "accepted", "repaired") * 4
    rows = [quarantined_row(key=str(n), status=status) for n, status in enumerate(states)]
    wanted = [row.pk for row in sorted(rows, key=lambda row: (row.status != "open", -row.pk))]

    def listed(query: str) -> list[int]:
        found = admin_client.get(f"{reverse(LIST)}?{query}").context["cl"].result_list
        return [row.pk for row in found]

    assert [key for number in (1, 2, 3, 4) for key in listed(f"p={number}")] == wanted
    assert listed("status__exact=open&p=2") == wanted[3:4]
    assert listed("status__exact=accepted") == [row.pk for row in rows[10::-3][:3]]
    # An order that a person chose stays: the first column is the key.
    assert listed("o=1") == [row.pk for row in rows[:3]]


def test_a_sentence_is_shown_whole(admin_client: Any) -> None:
    quarantined_row(sentence="w" * 500)
    assert "w" * 500 in admin_client.get(reverse(LIST)).content.decode()


@pytest.mark.parametrize(
    ("cells", "mended"),
    [
        ({"a": text("x\0y\0")}, {"a": "x\ufffdy\ufffd"}),
        ({"a": text("x\0"), "b": text("\0"), "c": text("z")}, {"a": "x\ufffd", "b": "\ufffd"}),
        # Bytes are no text, and what is not UTF-8 is for a person.
        ({"a": pack_cell("blob", b"\0"), "b": text(b"\0\xff"), "n": ["integer", 0]}, {}),
    ],
)
def test_every_nul_of_every_text_is_replaced(cells: Any, mended: dict[str, str]) -> None:
    row = QuarantinedRow(cells=cells)
    assert {name: new for name, (_, new) in without_nul(row).items()} == mended


def _nul(client: Any, rows: list[QuarantinedRow], **more: str) -> Any:
    chosen = {"action": "replace_nul", "_selected_action": [row.pk for row in rows]}
    return client.post(reverse(LIST), {**chosen, **more}, follow=True)


def test_a_viewer_replaces_nothing(client: Any, django_user_model: Any) -> None:
    staff(client, django_user_model, "view_quarantinedrow")
    row = faulty(text("a\0b"), reason="nul_in_text")
    assert _nul(client, [row], confirmed="1").status_code == 403
    row.refresh_from_db()
    assert (row.status, row.repairs) == ("open", {})


def test_rows_with_another_fault_are_left_alone(admin_client: Any) -> None:
    row = faulty(text("a\0b"))
    html = _nul(admin_client, [row], confirmed="1").content.decode()
    assert "None of the selected rows is open because of a NUL" in html
    assert QuarantinedRow.objects.get().repairs == {}


@pytest.fixture
def with_nul(tmp_path: Path, use_legacy_files: Any, transactional_db: None) -> list[QuarantinedRow]:
    """Two rows of the feeds' file that were set aside because of a NUL."""
    put_samples(tmp_path, rows=60)
    use_legacy_files(tmp_path)
    change(
        tmp_path,
        "rss",
        "UPDATE rss_fetch_items SET title = '<b>' || char(0) || 'é', summary = char(0) "
        "WHERE id IN (SELECT id FROM rss_fetch_items WHERE instr(title, char(0)) = 0 LIMIT 2)",
    )
    run_import()
    rows = QuarantinedRow.objects.filter(reason="nul_in_text", table="rss_fetch_items")
    found = [row for row in rows if row.cells["title"] == text("<b>\0é")]
    assert len(found) == 2
    return found


def test_nul_is_replaced_in_bulk_after_a_preview(
    admin_client: Any, with_nul: list[QuarantinedRow]
) -> None:
    html = _nul(admin_client, with_nul).content.decode()
    assert "<code>&lt;b&gt;\\x00é</code>" in html
    assert "<code>&lt;b&gt;\ufffdé</code>" in html
    keys = [row.pk for row in with_nul]
    assert set(QuarantinedRow.objects.filter(pk__in=keys).values_list("status", flat=True)) == {
        "open"
    }
    assert "2 loaded, 0 set aside" in _nul(admin_client, with_nul, confirmed="1").content.decode()
    for row in QuarantinedRow.objects.filter(pk__in=keys):
        # The record says by whom, and keeps the original.
        assert (row.status, row.note, row.decided_by) == (
            "repaired",
            "Edited and retried.",
            "admin",
        )
        assert row.cells["title"] == text("<b>\0é")
        items = "SELECT item_title, summary FROM rss.fetch_items WHERE id = %s"
        assert query(items, int(str(row.key))) == [("<b>\ufffdé", "\ufffd")]
        assert LogEntry.objects.filter(object_id=str(row.pk)).count() == 1


def test_nul_is_replaced_from_the_rows_page(
    admin_client: Any, with_nul: list[QuarantinedRow]
) -> None:
    assert 'value="nul"' in admin_client.get(page_of(with_nul[0])).content.decode()
    # The second row: one text is edited by hand in the same step, the other one replaced.
    for row, by_hand, title in (
        (with_nul[0], {}, "<b>\ufffdé"),
        (with_nul[1], {"cell": "title", "value": "by hand"}, "by hand"),
    ):
        asked = {**ASKED, "decision": "nul", **by_hand}
        assert "1 loaded" in admin_client.post(page_of(row), asked, follow=True).content.decode()
        row.refresh_from_db()
        assert (row.status, row.repairs["title"]) == ("repaired", text(title))
        assert row.repairs["summary"] == text("\ufffd")
