"""The commands: what they print, and the status they end with."""

from __future__ import annotations

import io
import json
import re
import sqlite3

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from knowledge.models import KnowledgeItem
from stillme.transfer.models import Run
from stillme.transfer.sqlite.capture import freeze
from stillme.transfer.sqlite.capture.freeze import frozen_until
from stillme.transfer.steps import rehearse
from stillme.transfer.steps.back_up import back_up
from stillme.transfer.steps.rehearse import Rehearsal, RehearsedStep

from .equal import differences
from .switching import DESPITE
from .test_capture import tables_of
from .test_follow import state, write


def run(*arguments):
    """(exit status, output)"""
    out = io.StringIO()
    try:
        call_command(*arguments, stdout=out)
    except SystemExit as end:
        return end.code, out.getvalue()
    except CommandError as error:
        return error.returncode, out.getvalue() + str(error)
    return 0, out.getvalue()


@pytest.mark.long
@pytest.mark.only_files("knowledge", "rss")
def test_the_whole_way(legacy):
    data = legacy(variant="current")
    status, text = run("migration_status")
    assert status == 0
    assert "sync_sqlite --install" in text
    status, text = run("sync_sqlite", "--install")
    assert (status, "probes passed" in text) == (0, True)
    status, text = run("sync_sqlite", "--status", "--format", "json")
    assert {f["capture"] for f in json.loads(text)} == {"healthy"}
    status, text = run("cutover")
    assert status == 2
    assert "needs it to be following" in text
    status, text = run("sync_sqlite", "--once")
    assert status == 0, text
    status, text = run("cutover", "--dry-run")
    assert status == 1
    assert "NO-GO" in text
    status, text = run("cutover", "--dry-run", *DESPITE)
    assert status == 0
    assert "overridden: a test" in text
    status, text = run("cutover", "--freeze-limit", "0")
    assert status == 2
    status, text = run("cutover")
    assert status == 2
    assert "--despite-" in text
    status, text = run("cutover", "--despite-proof", " ")
    assert (status, "wants the reason" in text) == (2, True)
    status, text = run("cutover", *DESPITE)
    assert status == 0, text
    assert Run.objects.get(command="cutover", status="completed").options["overrides"]
    assert "DATABASE_URL" in text
    assert "locked out for" in text
    KnowledgeItem.objects.create(content="x", source="y", knowledge_type="z")
    status, text = run("migration_status", "--format", "json")
    found = {f["file"]: f for f in json.loads(text)["files"]}
    assert found["knowledge"]["state"] == "live"
    assert found["knowledge"]["written_since_cutover"] == 1
    status, text = run("import_sqlite")
    assert status == 2
    assert "rollback_migration" in text
    status, text = run("sync_sqlite", "--remove")
    assert status == 2
    status, text = run("rollback_migration", "--dry-run")
    assert status == 0
    assert "What a rollback would carry back" in text
    status, text = run("rollback_migration")
    assert status == 0, text
    assert differences() == {}
    status, text = run("rollback_migration")
    assert status == 2
    assert "nothing to roll back" in text
    status, text = run("sync_sqlite", "--once", "--format", "json")
    assert status == 0
    status, text = run("sync_sqlite", "--sweep")
    assert "nothing bypassed capture" in text
    status, text = run("sync_sqlite", "--remove")
    assert status == 0
    assert sqlite3.connect(data / "rss_fetch_history.db").execute(
        "SELECT count(*) FROM sqlite_master WHERE name LIKE 'stillme%'"
    ).fetchone() == (0,)


def backup(folder):
    back_up(folder, with_stores=False)
    return folder


@pytest.mark.slow
def test_restore_says_what_is_lost_and_asks(legacy, tmp_path, monkeypatch):
    data = legacy()
    folder = backup(tmp_path / "backup")
    run("sync_sqlite", "--install")
    run("sync_sqlite", "--once")
    run("cutover", "--backup", str(folder), *DESPITE)
    KnowledgeItem.objects.create(content="lost by the restore", source="y", knowledge_type="z")
    monkeypatch.setattr("builtins.input", lambda prompt: "no")
    status, text = run("rollback_migration", "--to-backup", str(folder))
    assert status == 2
    assert "1 row written in PostgreSQL since the cut-over" in text
    assert state("knowledge") == "live"
    status, text = run("rollback_migration", "--to-backup", str(folder), "--yes")
    assert status == 0, text
    assert state("knowledge") == "rolled back"
    path = data / "knowledge_retention.db"
    query = "SELECT count(*) FROM knowledge_items WHERE content = 'lost by the restore'"
    assert sqlite3.connect(path).execute(query).fetchone() == (0,)
    write(path, "UPDATE knowledge_items SET content = 'old application writes'")
    status, text = run("sync_sqlite", "--once")
    assert status == 2
    assert run("sync_sqlite", "--install")[0] == 0
    options = ("--prune", "--yes", "--replaced", "--prune-share", "100")
    assert run("import_sqlite", "--overwrite", "--jobs", "1", *options)[0] == 0
    assert run("sync_sqlite", "--once")[0] == 0


def test_restore_refuses_an_unsound_backup(legacy, tmp_path):
    legacy()
    folder = backup(tmp_path / "backup")
    with (folder / "rss_fetch_history.db").open("r+b") as stream:
        stream.seek(5000)
        stream.write(b"damage")
    status, text = run("rollback_migration", "--to-backup", str(folder), "--yes")
    assert status == 2
    assert "SHA-256" in text
    (folder / "manifest.json").unlink()
    status, text = run("rollback_migration", "--to-backup", str(folder), "--yes")
    assert status == 2
    assert "manifest.json" in text


@pytest.mark.slow
def test_a_freeze_left_behind_is_lifted(legacy):
    data = legacy()
    run("sync_sqlite", "--install")
    run("sync_sqlite", "--once")
    path = data / "rss_fetch_history.db"
    freeze(path, tables_of_file(path), seconds=None)
    _, text = run("migration_status")
    assert "sync_sqlite --unfreeze" in text
    status, text = run("sync_sqlite", "--unfreeze")
    assert (status, text.count(" free "), "frozen" in text.partition("Capture")[2]) == (0, 4, False)
    assert frozen_until(sqlite3.connect(path)) is None
    freeze(path, tables_of_file(path), seconds=None)
    run("sync_sqlite", "--once")
    assert frozen_until(sqlite3.connect(path)) is None


def tables_of_file(path):
    return [t for t in tables_of(path) if t.name.startswith("rss_")]


@pytest.mark.slow
def test_rehearsal_touches_nothing(legacy):
    data = legacy()
    before = {p.name: p.read_bytes() for p in data.glob("*.db")}
    status, text = run("rehearse_migration")
    assert status == 0, text
    assert "bit for bit" in text
    # Orphans are set aside; nothing else is found.
    assert len(re.findall(r"^proof.* equal; [1-9][0-9]* rows set aside", text, re.M)) == 2
    assert {p.name: p.read_bytes() for p in data.glob("*.db")} == before
    assert not KnowledgeItem.objects.exists()
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_database WHERE datname LIKE 'stillme_rehearsal%'")
        assert cursor.fetchone() == (0,)


def test_a_rehearsal_whose_proof_finds_something_is_not_fine():
    result = Rehearsal()
    for name, proof in (("proof", (0, 7)), ("proof after the rollback", (2, 0))):
        result.steps.append(RehearsedStep(name, 0.1, *rehearse.proven(*proof)))
    assert [step.outcome for step in result.steps] == [
        "equal; 7 rows set aside, decided or not",
        "2 findings",
    ]
    assert not result.ok
