"""What a file holds steers no terminal and breaks no output: escapes, markup, ends of lines."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable
from contextlib import closing, suppress
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from stillme.transfer.findings import Event, Finding, FindingKind
from stillme.transfer.management.base import VisibleConsole
from stillme.transfer.models import QuarantinedRow
from stillme.transfer.reports.terminal.switching import render_list
from stillme.transfer.reports.terminal.syncing import SyncProgress
from stillme.transfer.steps.readiness.lines import RED, Line
from stillme.visible import in_one_line, visible
from tests.made_once import put_samples
from tests.transfer.load.support import FILES, query

KEYS = ["[/b] one", "\x1b[31mtwo\x1b[0m [bold]", "three\nlines\u202e"]
SHOWN = ["[/b] one", r"\x1b[31mtwo\x1b[0m [bold]", r"three\nlines\u202e"]


@pytest.fixture
def legacy(
    tmp_path: Path, use_legacy_files: Callable[[Path], None], transactional_db: None
) -> Path:
    put_samples(tmp_path, rows=5, variant="clean", files=["continuum"])
    use_legacy_files(tmp_path)
    for key in KEYS:
        change(tmp_path, "INSERT INTO tier_metrics (item_id, tier) VALUES (?, 'L0')", key)
    return tmp_path


def change(directory: Path, statement: str, *values: object) -> None:
    with closing(sqlite3.connect(directory / FILES["continuum"])) as connection, connection:
        connection.execute(statement, values)


def run(command: str, *arguments: str) -> str:
    out = StringIO()
    # Status 1: differences.
    with suppress(SystemExit):
        call_command(command, *arguments, stdout=out, stderr=out)
    text = out.getvalue()
    assert "\x1b" not in text
    assert "\u202e" not in text
    return text


def test_keys_of_rows_that_are_left_alone(legacy: Path) -> None:
    run("import_sqlite")
    query("UPDATE continuum.tier_metrics SET surprise_score = 0.7")
    change(legacy, "UPDATE tier_metrics SET surprise_score = 0.2")
    text = run("import_sqlite")
    assert all(key in text for key in SHOWN)
    text = run("verify_migration")
    assert all(f"id={key} expected 0.2 found 0.7" in text for key in SHOWN)
    assert "what helps value: `manage.py import_sqlite` brings in" in text


def test_keys_of_rows_that_vanished(legacy: Path) -> None:
    run("import_sqlite")
    change(legacy, "DELETE FROM tier_metrics WHERE item_id LIKE '%one' OR item_id LIKE '%two%'")
    text = run("import_sqlite")
    assert SHOWN[0] in text
    assert SHOWN[1] in text
    assert "what helps extra_row: `manage.py import_sqlite --prune`" in run("verify_migration")


def test_rows_in_quarantine_and_their_edits(legacy: Path) -> None:
    for key in KEYS:
        change(legacy, "UPDATE tier_metrics SET surprise_score = ? WHERE item_id = ?", "[/x]", key)
    run("import_sqlite")
    text = run("quarantine", "list")
    assert all(f"tier_metrics {key} not_a_number" in text for key in SHOWN)
    for record in QuarantinedRow.objects.filter(table="tier_metrics"):
        edit = ["--column", "surprise_score", "--value", "[/y]\x1b[2J"]
        run("quarantine", "edit", str(record.pk), *edit)
        text = run("quarantine", "show", str(record.pk))
        assert r"'[/y]\x1b[2J'" in text
        assert in_one_line(record.key or "") in text


def test_names_of_columns_and_tables(legacy: Path) -> None:
    change(legacy, 'ALTER TABLE tier_metrics ADD COLUMN "[red]a\x1b[1m[/]" TEXT')
    change(legacy, 'CREATE TABLE "[/odd]\x1b[2J" (a)')
    text = run("inspect_sqlite")
    assert r"extra table: [/odd]\x1b[2J" in text
    assert r"tier_metrics.[red]a\x1b[1m[/]" in text
    assert re.search(r"^\[red\]a\\x1b\[1m\[/\]  +null", text, re.M)
    assert "left alone" not in run("import_sqlite")
    run("verify_migration", "--round-trip")


def test_a_sentence_of_refusal(legacy: Path) -> None:
    with pytest.raises(CommandError, match=r"no legacy file '\\x1b\[31mrss'"):
        run("import_sqlite", "--file", "\x1b[31mrss")


def test_the_list_before_a_cut_over() -> None:
    out = StringIO()
    line = Line(RED, "a [b] file", "key '[/b]\x1b[1m'", "look at [/c]")
    render_list(VisibleConsole(file=out, width=80), "text", [line])
    assert r"a [b] file: key '[/b]\x1b[1m' -> look at [/c]" in out.getvalue()


def test_keys_that_bypassed_capture() -> None:
    """The follower would end with an error of rich's."""
    out = StringIO()
    progress = SyncProgress(VisibleConsole(file=out, width=400), quiet=False)
    keys = {"tier_metrics": ["[/a]", ":smile:", "\x1b[1m"]}
    progress.on_event(Event("sweep", {"file": "continuum", "keys": keys}))
    progress.on_event(Event("notice", {"message": "table [/b] of :smile:"}))
    assert r"([/a], :smile:, \x1b[1m)" in out.getvalue()
    assert "table [/b] of :smile:" in out.getvalue()


def test_what_has_no_shape_is_spelled() -> None:
    assert visible("Tiếng Việt, 日本語 👍\n") == "Tiếng Việt, 日本語 👍\n"
    assert visible("\x00\x7f\x9b\u2028\ud800") == r"\x00\x7f\x9b\u2028\ud800"
    finding = Finding(FindingKind.MISSING_ROW, "a.b:c\r", "\r\n")
    assert finding.sentence() == r"missing_row: a.b:c\r id=\r\n"
