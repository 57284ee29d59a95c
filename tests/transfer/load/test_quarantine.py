"""The quarantine: look, edit, retry, accept; decisions survive the next import."""

from __future__ import annotations

import json
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from stillme.transfer.errors import TransferError
from stillme.transfer.models import QuarantinedRow
from stillme.transfer.plumbing.stored_cells import unpack_cell
from stillme.transfer.steps.rows import packed
from tests.transfer.load.support import change, query, run_import

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.only_files("rss")]


def command(*arguments: str) -> str:
    out = StringIO()
    call_command("quarantine", *arguments, stdout=out)
    return out.getvalue()


@pytest.fixture
def bad(legacy: Path) -> QuarantinedRow:
    """A title that is not UTF-8, imported."""
    change(
        legacy,
        "rss",
        "UPDATE rss_fetch_items SET title = CAST(x'61ff62' AS TEXT) WHERE id = "
        "(SELECT min(id) FROM rss_fetch_items WHERE instr(title, char(0)) = 0)",
    )
    run_import()
    return QuarantinedRow.objects.get(reason="invalid_utf8")


def test_the_whole_row_is_kept(bad: QuarantinedRow) -> None:
    assert unpack_cell(bad.cells["title"]) == ("text", b"a\xffb")
    assert bad.column == "title"
    assert "invalid_utf8" in command("list")
    assert "'a\\\\xffb'" in command("show", str(bad.pk))
    assert json.loads(command("show", str(bad.pk), "--format", "json"))["key"] == bad.key


def test_a_retry_without_an_edit_stays_set_aside(bad: QuarantinedRow) -> None:
    out = StringIO()
    with pytest.raises(SystemExit) as ended:
        call_command("quarantine", "retry", str(bad.pk), stdout=out)
    assert ended.value.code == 1
    assert "Not UTF-8" in out.getvalue()
    bad.refresh_from_db()
    assert bad.status == "open"


def test_edit_and_retry_loads_the_row(bad: QuarantinedRow) -> None:
    command("edit", str(bad.pk), "--column", "title", "--value", "a title")
    assert "1 row loaded" in command("retry", str(bad.pk))
    title = "SELECT item_title FROM rss.fetch_items WHERE id = %s"
    assert query(title, int(str(bad.key))) == [("a title",)]
    bad.refresh_from_db()
    assert (bad.status, unpack_cell(bad.cells["title"])) == ("repaired", ("text", b"a\xffb"))


def test_an_edited_row_survives_the_next_import(bad: QuarantinedRow, legacy: Path) -> None:
    command("edit", str(bad.pk), "--column", "title", "--value", "a title")
    command("retry", str(bad.pk))
    change(legacy, "rss", "UPDATE rss_fetch_items SET summary = 'other' WHERE id > 20")
    result = run_import(prune=True)
    bad.refresh_from_db()
    assert bad.status == "repaired"
    assert sum(table.outcome.vanished_count for table in result.tables) == 0
    title = "SELECT item_title FROM rss.fetch_items WHERE id = %s"
    assert query(title, int(str(bad.key))) == [("a title",)]


def test_accepting_needs_a_reason_and_survives_the_next_import(
    bad: QuarantinedRow, legacy: Path
) -> None:
    with pytest.raises(CommandError, match="needs a reason"):
        command("accept", str(bad.pk))
    command("accept", str(bad.pk), "--note", "a broken feed")
    change(legacy, "rss", "UPDATE rss_fetch_items SET summary = 'other' WHERE id > 20")
    run_import()
    bad.refresh_from_db()
    assert (bad.status, bad.note) == ("accepted", "a broken feed")


@pytest.mark.slow
def test_a_changed_bad_row_is_open_again(bad: QuarantinedRow, legacy: Path) -> None:
    command("accept", str(bad.pk), "--note", "a broken feed")
    change(
        legacy,
        "rss",
        f"UPDATE rss_fetch_items SET title = CAST(x'fe' AS TEXT) WHERE id = {bad.key}",
    )
    run_import()
    bad.refresh_from_db()
    assert (bad.status, unpack_cell(bad.cells["title"])) == ("open", ("text", b"\xfe"))


def test_a_row_mended_in_the_legacy_file_loads(bad: QuarantinedRow, legacy: Path) -> None:
    change(legacy, "rss", f"UPDATE rss_fetch_items SET title = 'good' WHERE id = {bad.key}")
    run_import()
    bad.refresh_from_db()
    assert bad.status == "repaired"
    title = "SELECT item_title FROM rss.fetch_items WHERE id = %s"
    assert query(title, int(str(bad.key))) == [("good",)]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("show", "999999"), "There is no quarantined row 999999"),
        (("list", "--reason", "nonsense"), "No row in quarantine has the reason 'nonsense'"),
        (("retry", "--table", "nonsense"), "No row in quarantine has the table 'nonsense'"),
        (("retry",), "Say which rows"),
        (("list", "--status", "nope"), "There is no status"),
    ],
)
def test_wrong_input(bad: QuarantinedRow, arguments: tuple[str, ...], sentence: str) -> None:
    with pytest.raises(CommandError, match=sentence):
        command(*arguments)


def test_editing_a_column_that_is_not_there(bad: QuarantinedRow) -> None:
    with pytest.raises(CommandError, match="has no column 'nope'"):
        command("edit", str(bad.pk), "--column", "nope", "--value", "x")
    with pytest.raises(CommandError, match="is no integer"):
        command("edit", str(bad.pk), "--column", "cycle_id", "--value", "x", "--as", "integer")


@pytest.mark.slow
def test_a_row_too_large_to_be_kept_stops_the_import(
    legacy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packed, "MOST_KEPT_BYTES", 70_000)
    update = "UPDATE rss_fetch_items SET title = 'a' || char(0) || '{}' WHERE id = 2"
    change(legacy, "rss", update.format("b" * 70_000))
    with pytest.raises(TransferError, match=r"Row 2 of rss_fetch_items .* its title in the legacy"):
        run_import()
    change(legacy, "rss", update.format("b"))
    run_import()
    assert QuarantinedRow.objects.filter(table="rss_fetch_items", key="2").exists()


@pytest.mark.slow
def test_a_record_that_was_changed_by_hand_is_written_anew(bad: QuarantinedRow) -> None:
    original = bad.cells["title"]
    query("UPDATE transfer.quarantined_row SET cells = jsonb_set(cells, '{title}', '[7]')")
    assert "damaged" in command("show", str(bad.pk))
    with pytest.raises(CommandError, match=r"changed by hand .* import_sqlite --overwrite"):
        command("retry", str(bad.pk))
    run_import(overwrite=True)
    bad.refresh_from_db()
    assert bad.cells["title"] == original


@pytest.mark.slow
@pytest.mark.parametrize("cells", ["[]", "null", "5", '{"title": 7}'])
def test_a_record_without_cells_is_written_anew(bad: QuarantinedRow, cells: str) -> None:
    original = bad.cells
    query("UPDATE transfer.quarantined_row SET cells = %s", cells)
    assert "damaged" in command("show", str(bad.pk))
    with pytest.raises(CommandError, match=r"changed by hand .* import_sqlite --overwrite"):
        command("retry", str(bad.pk))
    run_import(overwrite=True)
    bad.refresh_from_db()
    assert bad.cells == original


@pytest.mark.slow
@pytest.mark.parametrize("edits", ["[1]", '{"title": 7}', '{"more": ["integer", 1]}'])
def test_edits_that_are_none_are_taken_off(bad: QuarantinedRow, edits: str) -> None:
    query("UPDATE transfer.quarantined_row SET repairs = %s", edits)
    run_import(overwrite=True)
    assert QuarantinedRow.objects.get(reason="invalid_utf8").repairs == {}
