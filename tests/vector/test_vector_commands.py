"""The vector folder in `import_sqlite` and `verify_migration`, beside the mapped files."""

from __future__ import annotations

import io
import json
import shutil

import pytest
from django.core.management import CommandError, call_command

from knowledge.models import KnowledgeItem
from stillme.transfer.errors import LegacyFileError, TransferError
from stillme.transfer.models import Proof, QuarantinedRow, RunTable
from stillme.transfer.quarantine import decisions
from stillme.transfer.steps import back_up
from tests.vector.chroma_files import ADD, ChromaFiles
from vector.judge import run as verification
from vector.models import Item

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def files(tmp_path, settings):
    settings.LEGACY_VECTOR_DIR = tmp_path / "vector_db"
    made = ChromaFiles(settings.LEGACY_VECTOR_DIR)
    collection = made.collection("stillme_knowledge")
    for n in range(5):
        collection.write(ADD, f"k{n}", [float(n), 1.0, 2.0, 3.0], f"doc {n}", {"n": n})
    return made


def run(name, *arguments):
    """(exit status, output) of a command."""
    out = io.StringIO()
    try:
        call_command(name, *arguments, stdout=out)
    except SystemExit as error:
        return error.code, out.getvalue()
    return 0, out.getvalue()


def test_import_and_proof_of_the_vector_store_alone(files):
    status, text = run("import_sqlite", "--file", "vector", "--format", "json")
    (table,) = json.loads(text)["tables"]
    assert (status, table["file"], table["table"], table["loaded"]) == (
        0, "vector", "vector_db.stillme_knowledge", 5,
    )  # fmt: skip
    assert RunTable.objects.get().loaded == 5
    status, text = run("verify_migration", "--file", "vector")
    assert status == 0
    assert "PROVEN" in text
    assert "5" in text
    assert Proof.objects.get().report["files"]["vector"]["sha256"]


@pytest.mark.parametrize("command", ["import_sqlite", "verify_migration"])
def test_without_the_four_files_it_must_be_named(files, tmp_path, use_legacy_files, command):
    use_legacy_files(tmp_path)
    with pytest.raises(CommandError, match="or name what is there: --file vector"):
        run(command)


@pytest.mark.parametrize("command", ["import_sqlite", "verify_migration"])
def test_without_numpy_it_is_not_read(files, monkeypatch, command):
    monkeypatch.setattr("vector.legacy.find_spec", lambda name: None)
    with pytest.raises(CommandError, match="numpy, which is not installed: run `pip install"):
        run(command, "--file", "vector")
    assert not Item.objects.exists()


@pytest.mark.slow
def test_a_manifest_is_of_what_was_judged(files, tmp_path, monkeypatch):
    """What is written while the judge is at work is no part of the proof."""
    run("import_sqlite", "--file", "vector")
    path = str(tmp_path / "manifest.json")
    assert run("verify_migration", "--file", "vector", "--manifest", path)[0] == 0
    assert run("verify_migration", "--check-manifest", path)[0] == 0
    original = verification._Judge.judge

    def judge(*arguments):
        files.collection("late")
        return original(*arguments)

    monkeypatch.setattr(verification._Judge, "judge", judge)
    assert run("verify_migration", "--file", "vector", "--manifest", path)[0] == 0
    status, text = run("verify_migration", "--check-manifest", path)
    assert status == 1
    assert "vector (" in text
    shutil.rmtree(files.folder)
    assert "differs vector" in run("verify_migration", "--check-manifest", path)[1]


def test_a_difference_ends_with_status_1(files):
    run("import_sqlite", "--file", "vector")
    Item.objects.filter(embedding_id="k2").update(document="another")
    status, text = run("verify_migration", "--file", "vector")
    assert status == 1
    assert "k2" in text


@pytest.mark.slow
def test_an_open_row_ends_with_status_1_and_an_accepted_one_with_0(files):
    files.db.execute("DELETE FROM embeddings_queue WHERE id = 'k3'")
    assert run("import_sqlite", "--file", "vector")[0] == 0
    assert run("verify_migration", "--file", "vector")[0] == 1
    (row,) = QuarantinedRow.objects.all()
    assert (row.key, row.reason, row.file) == ("k3", "no_vector", "vector")
    QuarantinedRow.objects.update(status="accepted")
    assert run("verify_migration", "--file", "vector")[0] == 0


@pytest.mark.slow
def test_counts_alone(files):
    run("import_sqlite", "--file", "vector")
    assert run("verify_migration", "--file", "vector", "--level", "counts")[0] == 0
    Item.objects.filter(embedding_id="k2").delete()
    assert run("verify_migration", "--file", "vector", "--level", "counts")[0] == 1


def test_dry_run_writes_nothing(files):
    status, text = run("import_sqlite", "--file", "vector", "--dry-run", "--format", "json")
    assert (status, json.loads(text)["tables"][0]["loaded"]) == (0, 5)
    assert not Item.objects.exists()


def test_live_sync_refuses_it_in_a_sentence(files):
    with pytest.raises(CommandError, match="running ChromaDB holds its index") as caught:
        call_command("sync_sqlite", "--install", "--file", "vector", stdout=io.StringIO())
    assert caught.value.returncode == 2


def test_a_retry_of_its_quarantined_rows_is_refused_in_a_sentence(files):
    files.db.execute("DELETE FROM embeddings_queue WHERE id = 'k3'")
    run("import_sqlite", "--file", "vector")
    with pytest.raises(TransferError, match="import_sqlite"):
        decisions.retry("default", list(QuarantinedRow.objects.all()))


def test_status_names_the_store_its_rows_and_the_next_step(files):
    files.db.execute("DELETE FROM embeddings_queue WHERE id = 'k3'")
    assert "next, vector: stop its writers: manage.py import_sqlite" in run("migration_status")[1]
    run("import_sqlite", "--file", "vector")
    (store,) = json.loads(run("migration_status", "--format", "json")[1])["stores"]
    assert (store["tables"], store["loaded"], store["quarantine_open"]) == (1, 4, 1)
    assert "next, vector: manage.py verify_migration" in run("migration_status")[1]
    run("quarantine", "accept", "--reason", "no_vector", "--note", "its operation is gone")
    assert run("verify_migration", "--file", "vector")[0] == 0
    assert "next, vector: nothing, if nobody has written" in run("migration_status")[1]


@pytest.mark.slow
def test_the_proof_names_the_collection_how_exact_it_is_and_what_it_cannot_do(files):
    run("import_sqlite", "--file", "vector")
    status, text = run("verify_migration", "--file", "vector", "--round-trip")
    assert status == 0
    assert "vector.items (stillme_knowledge)" in text
    assert "5 vectors bit-identical (queue 5)" in text
    assert "--round-trip is for files" in text


@pytest.mark.slow
def test_a_sample_says_how_many_rows_it_compared(files):
    run("import_sqlite", "--file", "vector")
    assert "every row compared" in run("verify_migration", "--file", "vector", "--sample", "9")[1]


@pytest.mark.parametrize("command", ["import_sqlite", "verify_migration"])
def test_nothing_there_to_read_proves_nothing(files, settings, command):
    settings.LEGACY_VECTOR_DIR = files.folder / "elsewhere"
    with pytest.raises(CommandError, match="set LEGACY_VECTOR_DIR") as caught:
        call_command(command, "--file", "vector", stdout=io.StringIO())
    assert caught.value.returncode == 2


def test_a_collection_named_as_a_table_is_told_of_the_option_for_it(files):
    with pytest.raises(CommandError, match="--file vector"):
        call_command("verify_migration", "--table", "vector_db.x", stdout=io.StringIO())


def test_an_unknown_file_names_the_vector_store_among_the_known():
    with pytest.raises(CommandError, match="vector"):
        call_command("import_sqlite", "--file", "nobody", stdout=io.StringIO())


@pytest.mark.slow
def test_with_the_four_files(samples, tmp_path, use_legacy_files):
    shutil.copytree(samples / "current" / "data", tmp_path / "data")
    use_legacy_files(tmp_path / "data")
    assert run("import_sqlite", "--jobs", "1")[0] == 0
    assert KnowledgeItem.objects.exists()
    assert Item.objects.count() == 330
    QuarantinedRow.objects.update(status="accepted")
    status, text = run("verify_migration", "--jobs", "1")
    assert status == 0, text


@pytest.mark.slow
def test_a_missing_folder_is_noted(samples, tmp_path, use_legacy_files):
    shutil.copytree(samples / "clean" / "data", tmp_path / "data")
    use_legacy_files(tmp_path / "data")
    status, text = run("import_sqlite", "--jobs", "1")
    assert status == 0
    assert "vector: " in text
    assert not Item.objects.exists()


def test_a_folder_that_may_not_be_read_is_a_sentence(files, monkeypatch):
    """Also in the status, which tells of the other files all the same."""

    def refused(*given, **more):
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as patch:
        patch.setattr("pathlib.Path.is_file", refused)
        status, text = run("migration_status")
        assert status == 0
        assert "next, vector" in text
    with monkeypatch.context() as patch:
        patch.setattr("vector.chroma.snapshot._copy_segments", refused)
        with pytest.raises(CommandError, match="No permission to read all of the vector store"):
            call_command("import_sqlite", "--file", "vector")
        status, text = run("inspect_sqlite", "--file", "vector")
        assert status == 1
        assert "a store could not be read, and is not among them" in " ".join(text.split())
    with monkeypatch.context() as patch:
        patch.setattr("stillme.transfer.steps.syncing.file_condition.absence", lambda _: None)
        status, text = run("migration_status")
        assert status == 0
        assert "its folder may not be read" in text


@pytest.mark.parametrize(
    "command",
    [
        ("inspect_sqlite", "--file", "vector"),
        ("import_sqlite", "--file", "vector"),
        ("import_sqlite", "--file", "vector", "--dry-run"),
        ("verify_migration", "--file", "vector"),
        ("quarantine",),
        ("quarantine", "show", "--reason", "nul_in_text"),
    ],
    ids=" ".join,
)
def test_names_that_look_like_markup_are_shown_as_they_are(tmp_path, settings, command):
    settings.LEGACY_VECTOR_DIR = tmp_path / "odd"
    made = ChromaFiles(settings.LEGACY_VECTOR_DIR).collection("a[/b]:smile:")
    made.write(ADD, "[/x]", [1.0, 2.0, 3.0, 4.0], "a NUL: \0 [/z]", {"[/k]": 1})
    if command[0] != "inspect_sqlite":
        assert run("import_sqlite", "--file", "vector")[0] == 0
    _, text = run(*command)
    assert "vector_db.a[/b]:smile:" in text or "vector.items (a[/b]:smile:)" in text


def test_a_commit_into_the_log_is_a_change_during_a_backup(files, tmp_path, monkeypatch, settings):
    files.db.execute("PRAGMA journal_mode = wal")
    copy_database = back_up.copy_database

    def write_after(*given):
        copied = copy_database(*given)
        files.collection("late")
        return copied

    monkeypatch.setattr(back_up, "copy_database", write_after)
    with pytest.raises(LegacyFileError, match="changed while it was copied"):
        back_up._back_up_folder(settings.LEGACY_VECTOR_DIR, tmp_path / "copy")
