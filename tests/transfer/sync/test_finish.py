"""`cutover --finish`: nothing of the engine stays on either side, and nothing leads back."""

from __future__ import annotations

import json
import sqlite3
import stat
from contextlib import closing

import pytest
from django.apps import apps
from django.core.management import call_command
from django.db import connection
from django.db.migrations.recorder import MigrationRecorder

from knowledge.models import KnowledgeItem
from rss.models import FetchItem
from stillme.ops import distribute
from stillme.transfer.models import FileState, ReverseChange, Run
from stillme.transfer.quarantine import decisions
from stillme.transfer.steps.sealing import finish as finishing

from .switching import files_there
from .test_commands import run

pytestmark = pytest.mark.only_files("knowledge", "rss")


@pytest.fixture
def decided(live):
    """Cut over, every row in quarantine decided, and something written since."""
    decisions.accept("default", decisions.select_rows("default"), "a test", "test")
    KnowledgeItem.objects.create(content="since", source="s", knowledge_type="k")
    return live


def schema(path):
    with closing(sqlite3.connect(f"file:{path}?immutable=1", uri=True)) as db:
        return db.execute("SELECT type, name FROM sqlite_master ORDER BY 1, 2").fetchall()


def names_of(kind):
    catalogue = {
        "triggers": "SELECT tgname FROM pg_trigger WHERE NOT tgisinternal",
        "schemas": "SELECT nspname FROM pg_namespace",
    }
    with connection.cursor() as cursor:
        cursor.execute(catalogue[kind])
        return [name for (name,) in cursor.fetchall()]


def states():
    return set(FileState.objects.values_list("state", flat=True))


def test_from_the_cut_over_to_the_preflight_of_distribute(decided):
    assert names_of("triggers")
    status, text = run("cutover", "--finish", "--yes")
    assert status == 0, text
    assert "PROVEN as of the cut-over" in text
    assert states() == {"finished"}
    assert names_of("triggers") == []
    assert not ReverseChange.objects.exists()
    for file in files_there():
        assert not [name for _, name in schema(file.path) if "stillme" in name], file.name
        assert not file.path.stat().st_mode & stat.S_IWUSR
    assert KnowledgeItem.objects.filter(content="since").exists()
    with connection.cursor() as cursor:
        schemas = sorted(distribute.DOMAINS)
        assert distribute._column(cursor, distribute.TRIGGERS, schemas) == []
        cursor.execute(distribute.FOLLOWED)
        assert cursor.fetchall() == []


@pytest.mark.slow_after(1)
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("rollback_migration",), "nothing to roll back"),
        (("rollback_migration", "--dry-run"), "nothing to roll back"),
        (("import_sqlite",), "closed the way back"),
        (("verify_migration",), "cannot be told from a loss"),
        (("sync_sqlite", "--install"), "closed the way back"),
        (("sync_sqlite", "--remove"), "closed the way back"),
        (("sync_sqlite", "--once"), "closed the way back"),
        (("empty_target", "--yes"), "the only copy"),
        (("cutover", "--finish"), "finished already"),
        (("cutover",), "closed the way back"),
    ],
    ids=" ".join,
)
def test_nothing_leads_on(decided, arguments, said):
    assert run("cutover", "--finish", "--yes")[0] == 0
    status, text = run(*arguments)
    assert (status, said in text) == (2, True), text
    assert KnowledgeItem.objects.filter(content="since").exists()


@pytest.mark.slow
def test_the_backup_is_not_laid_over_it_and_the_status_is_calm(decided, tmp_path):
    assert run("backup_sqlite", "--to", str(tmp_path / "b"))[0] == 0
    assert run("cutover", "--finish", "--yes")[0] == 0
    assert run("rollback_migration", "--to-backup", str(tmp_path / "b"), "--yes")[0] == 2
    gone = files_there()
    for file in gone:
        file.path.unlink()
    status, text = run("migration_status", "--format", "json")
    assert status == 0
    told = {file["file"]: (file["state"], file["problem"]) for file in json.loads(text)["files"]}
    assert {told[file.name] for file in gone} == {("finished", "")}


@pytest.mark.slow
def test_a_loss_is_found_before_anything_is_given_up(decided):
    FetchItem.objects.order_by("pk").first().delete()
    ReverseChange.objects.all().delete()
    status, text = run("cutover", "--finish", "--yes")
    assert (status, "Nothing was finished" in text) == (1, True)
    assert states() == {"live"}
    assert names_of("triggers")


@pytest.mark.slow
def test_the_loss_may_be_taken_by_name(decided):
    FetchItem.objects.order_by("pk").first().delete()
    ReverseChange.objects.all().delete()
    found = run("cutover", "--finish", "--yes", "--format", "json")
    assert (found[0], json.loads(found[1])["exit_status"]) == (1, 1)
    assert run("cutover", "--finish", "--yes", "--despite-proof", "it was us")[0] == 0
    assert Run.objects.filter(options__unproven="it was us").exists()


def test_it_asks_and_takes_no_other_word(decided, monkeypatch):
    monkeypatch.setattr("builtins.input", lambda prompt: "yes")
    assert run("cutover", "--finish")[0] == 2
    assert run("cutover", "--finish", "--format", "json")[0] == 2
    assert states() == {"live"}


@pytest.mark.slow
def test_killed_after_the_mark_it_goes_on(decided, monkeypatch):
    real = finishing.capture.remove

    def dies(path, **options):
        if path.name.startswith("rss"):
            raise KeyboardInterrupt
        return real(path, **options)

    monkeypatch.setattr(finishing.capture, "remove", dies)
    assert run("cutover", "--finish", "--yes")[0] == 2
    assert states() == {"finished"}
    monkeypatch.setattr(finishing.capture, "remove", real)
    assert run("cutover", "--finish", "--yes")[0] == 0
    for file in files_there():
        assert not [name for _, name in schema(file.path) if "stillme" in name], file.name
    assert run("cutover", "--finish", "--yes")[0] == 2


@pytest.mark.slow
def test_only_a_live_file_is_finished(data):
    status, text = run("cutover", "--finish", "--yes")
    assert (status, "needs it to be live" in text) == (2, True)


def test_the_records_go_into_an_archive_and_the_schema_goes(decided, tmp_path):
    kept = tmp_path / "records.json"
    assert run("cutover", "--archive", str(kept))[0] == 2
    assert run("cutover", "--finish", "--yes")[0] == 0
    held = sum(m.objects.count() for m in apps.get_app_config("transfer").get_models())
    try:
        status, text = run("cutover", "--finish", "--yes", "--archive", str(kept))
        assert status == 0, text
        assert kept.stat().st_mode & 0o777 == 0o600
        rows = json.loads(kept.read_text(encoding="utf-8"))
        assert len(rows) == held
        assert {"transfer.quarantinedrow", "transfer.proof"} <= {row["model"] for row in rows}
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT count(*) FROM information_schema.tables WHERE table_schema = 'transfer'"
            )
            assert cursor.fetchone() == (0,)
        item = KnowledgeItem.objects.get(content="since")
        item.delete()
        call_command("migrate", verbosity=0)
        for command in ("import_sqlite", "verify_migration", "migration_status", "empty_target"):
            status, text = run(command)
            assert (status, "records went into an archive" in text) == (2, True), text
    finally:
        MigrationRecorder(connection).migration_qs.filter(app="transfer").delete()
        call_command("migrate", verbosity=0)
