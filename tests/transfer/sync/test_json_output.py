"""Every JSON that a command prints is JSON, whatever the files hold."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing, suppress
from io import StringIO

import pytest
from django.core.management import call_command

from stillme.transfer.models import QuarantinedRow
from stillme.transfer.reports.json_text import json_text

pytestmark = pytest.mark.only_files("knowledge", "rss", "accuracy")

HOSTILE = "a\u00a0b\u0085c\u00add\x7fe\u0378f\x1b[31m\u202eg\u2028h\ud7ff\ufffe\n\t\"\\'é"
# All together, and each alone.
TEXTS = [HOSTILE, *HOSTILE]


def run(*arguments: str) -> list[object]:
    """The one document that a command prints; only ASCII, as the terminal may know no more."""
    out = StringIO()
    with suppress(SystemExit):
        call_command(*arguments, "--format", "json", stdout=out)
    text = out.getvalue()
    assert text.isascii()
    assert not any((c < " " and c != "\n") or c == "\x7f" for c in text)
    return json.loads(text)


def strings(data: object) -> list[str]:
    if isinstance(data, dict):
        return [text for item in data.items() for part in item for text in strings(part)]
    if isinstance(data, list):
        return [text for member in data for text in strings(member)]
    return [data] if isinstance(data, str) else []


@pytest.fixture
def hostile(legacy, settings):
    """Hostile text in values, keys, undeclared columns, rows to be set aside, and a path."""
    data = legacy(rows=30)
    with closing(sqlite3.connect(data / "knowledge_retention.db")) as db:
        db.execute('ALTER TABLE knowledge_items ADD COLUMN "x\u00a0\u0085\x7f" TEXT')
        for number, text in enumerate(TEXTS, 1):
            db.execute(
                'UPDATE knowledge_items SET content = ?, "x\u00a0\u0085\x7f" = ? WHERE id = ?',
                (text, text, number),
            )
        db.execute("UPDATE knowledge_items SET created_at = ? WHERE id = 1", (HOSTILE,))
        broken = "created_at = 'a\u0085', source = CAST(x'80ff00' AS TEXT)"
        db.execute(f"UPDATE knowledge_items SET {broken} WHERE id = 2")
        db.commit()
    with closing(sqlite3.connect(data / "rss_fetch_history.db")) as db:
        db.execute("UPDATE rss_fetch_items SET link = ? WHERE id = 2", (HOSTILE,))
        db.commit()
    with closing(sqlite3.connect(data / "accuracy_scores.db")) as db:
        db.execute("UPDATE accuracy_scores SET accuracy_score = 9e999 WHERE id = 1")
        db.commit()
    return data


def test_every_document_is_json(hostile, tmp_path) -> None:
    manifest, backup = str(tmp_path / "m\u0085.json"), str(tmp_path / "b\u00a0\x7f")
    assert any("\x85" in text for text in strings(run("inspect_sqlite")))
    run("import_sqlite", "--dry-run")
    run("migration_status")
    run("sync_sqlite", "--install")
    run("import_sqlite")
    run("sync_sqlite", "--once")
    run("sync_sqlite", "--status")
    run("sync_sqlite", "--sweep")
    listed = run("quarantine", "list")
    assert listed["rows"]
    ids = [str(row.pk) for row in QuarantinedRow.objects.order_by("pk")]
    assert run("quarantine", "show", ids[0])["id"] == int(ids[0])
    assert len(run("quarantine", "show", *ids)) == len(ids)
    # The files are loaded side by side: which row is set aside first differs.
    edited = str(QuarantinedRow.objects.get(table="knowledge_items", key="2").pk)
    run("quarantine", "edit", edited, "--column", "source", "--value", HOSTILE)
    run("quarantine", "retry", *ids)
    run("quarantine", "accept", *ids, "--note", HOSTILE)
    with closing(sqlite3.connect(hostile / "knowledge_retention.db")) as db:
        for number, text in enumerate(TEXTS, 1):
            db.execute(
                "UPDATE knowledge_items SET content = ? WHERE id = ?", (text[::-1] + "!", number)
            )
        db.commit()
    found = run("verify_migration", "--manifest", manifest)
    assert "findings" in found
    run("verify_migration", "--level", "counts")
    run("verify_migration", "--check-manifest", manifest)
    run("backup_sqlite", "--to", backup, "--no-vectors")
    run("backup_sqlite", "--check", backup)
    run("cutover", "--dry-run", "--backup", backup)
    despite = [
        w for name in ("quarantine", "proof", "foreign") for w in (f"--despite-{name}", HOSTILE)
    ]
    run("cutover", "--backup", backup, *despite)
    run("rollback_migration", "--dry-run")
    run("rollback_migration", "--to-backup", backup, "--dry-run")
    run("rollback_migration")
    run("rollback_migration", "--to-backup", backup, "--yes")
    run("migration_status")
    run("backup_sqlite", "--restore", backup, "--to", str(tmp_path / "r\u0085"))
    run("sync_sqlite", "--unfreeze")
    run("sync_sqlite", "--remove")


def test_a_text_comes_out_as_it_is(hostile) -> None:
    run("import_sqlite")
    run("quarantine", "accept", "--table", "knowledge_items", "--note", HOSTILE)
    (row, *_) = run("quarantine", "list", "--status", "accepted")["rows"]
    assert row["note"] == HOSTILE
    assert "x\u00a0\u0085\x7f" in row["cells"]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("\x7f", '"\\u007f"'),
        ("\x85\xa0\xad", '"\\u0085\\u00a0\\u00ad"'),
        ("\ud800", '"\\ud800"'),
        ("\\x7f", '"\\\\x7f"'),
        (float("inf"), '"inf"'),
        (float("nan"), '"nan"'),
        ((1.5, None, True), "[\n  1.5,\n  null,\n  true\n]"),
        ({"\x7f": float("-inf")}, '{\n  "\\u007f": "-inf"\n}'),
    ],
)
def test_values(value, text) -> None:
    assert json_text(value) == text
    json.loads(text)


@pytest.mark.slow
def test_a_rehearsal_is_json(hostile) -> None:
    run("rehearse_migration")
