"""The simple roads: switch while the application is stopped; empty the target and begin again."""

from __future__ import annotations

import json

import pytest
from django.contrib.auth import get_user_model
from django.db import connection

from knowledge.models import KnowledgeItem
from stillme.transfer.errors import StateError
from stillme.transfer.inventory.selection import Selection
from stillme.transfer.models import FileState, QuarantinedRow, Run
from stillme.transfer.quarantine import decisions
from stillme.transfer.registry import legacy_models
from stillme.transfer.steps import cutover as cutover_step
from stillme.transfer.steps import install_capture as install_step
from stillme.transfer.steps.install_capture import capture_reports, remove_capture
from tests.transfer.verify.support import judge

from .switching import files_there, roll_back
from .test_commands import run

pytestmark = pytest.mark.only_files("knowledge", "accuracy")

States = FileState.State


def states():
    return {file.name: standing(file.name) for file in files_there()}


def standing(name):
    found = FileState.objects.filter(pk=name).values_list("state", flat=True).first()
    return found or States.ABSENT


def accept_everything():
    decisions.accept("default", decisions.select_rows("default"), "a test", "test")


def test_one_command_between_import_and_switch(legacy, tmp_path):
    legacy(variant="current")
    assert run("import_sqlite")[0] == 0
    accept_everything()
    status, text = run("cutover", "--stopped", "--backup", str(tmp_path / "backup"))
    assert status == 0, text
    assert "PROVEN: all" in text
    assert text.index("PROVEN") < text.index("Live on PostgreSQL")
    assert run("backup_sqlite", "--check", str(tmp_path / "backup"))[0] == 0
    assert set(states().values()) == {States.LIVE}
    KnowledgeItem.objects.create(content="after", source="s", knowledge_type="k")
    assert run("rollback_migration")[0] == 0
    assert not judge().findings.total


def test_as_json_it_is_one_document(legacy, tmp_path):
    legacy(variant="clean")
    assert run("import_sqlite")[0] == 0
    accept_everything()
    status, text = run("cutover", "--stopped", "--backup", str(tmp_path / "b"), "--format", "json")
    assert status == 0, text
    assert json.loads(text)["files"] == ["knowledge", "accuracy"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "decided", "said"),
    [
        ((), True, "backup: none was named"),
        (("--backup",), False, "rows are open"),
        (("--backup", "--freeze-limit", "0"), True, "freeze-limit"),
    ],
    ids=["no backup", "undecided rows", "a wrong option"],
)
def test_a_refusal_takes_capture_out_again(legacy, tmp_path, arguments, decided, said):
    data = legacy(variant="current")
    assert run("import_sqlite")[0] == 0
    before = {path.name: path.read_bytes() for path in data.iterdir()}
    if decided:
        accept_everything()
    backup = [str(tmp_path / "backup")] if "--backup" in arguments else []
    status, text = run("cutover", "--stopped", *arguments[:1], *backup, *arguments[1:])
    assert (status, said in text) == (2, True), text
    assert set(states().values()) == {States.ABSENT}
    assert {report.health for report in capture_reports("default", Selection())} == {"absent"}
    assert before.keys() == {path.name for path in data.iterdir()}


@pytest.mark.slow
@pytest.mark.only_files("knowledge", "rss")
def test_a_file_that_cannot_be_captured_leaves_no_triggers_in_the_others(legacy, monkeypatch):
    legacy()
    real = install_step._install_one

    def fails(alias, file, report):
        if file.name == "rss":
            raise StateError("the second one fails")
        real(alias, file, report)

    monkeypatch.setattr(install_step, "_install_one", fails)
    assert run("cutover", "--stopped")[0] == 2
    assert {report.health for report in capture_reports("default", Selection())} == {"absent"}


@pytest.mark.slow
def test_what_fails_after_the_mark_takes_nothing_back(legacy, tmp_path, monkeypatch):
    legacy()
    assert run("import_sqlite")[0] == 0
    accept_everything()

    def dies(alias, files):
        raise KeyboardInterrupt

    monkeypatch.setattr(cutover_step, "_sealed", dies)
    status, text = run("cutover", "--stopped", "--backup", str(tmp_path / "backup"))
    assert (status, "Interrupted" in text) == (2, True)
    assert set(states().values()) == {States.LIVE}
    assert {report.health for report in capture_reports("default", Selection())} == {"healthy"}


@pytest.mark.slow
def test_capture_that_was_there_stays_where_it_is_refused(data):
    status, text = run("cutover", "--stopped")
    assert (status, "rows are open" in text) == (2, True)
    assert {report.health for report in capture_reports("default", Selection())} == {"healthy"}


def test_emptied_and_begun_again(data):
    get_user_model().objects.create_user("somebody")
    status, text = run("empty_target", "--yes")
    assert (status, "sync_sqlite --remove" in text) == (2, True)
    remove_capture("default", Selection())
    files = {path.name: path.read_bytes() for path in data.glob("*.db")}
    status, text = run("empty_target", "--yes")
    assert status == 0, text
    assert files == {path.name: path.read_bytes() for path in data.glob("*.db")}
    for model in legacy_models():
        assert not model.target_model().objects.exists(), model
    assert not QuarantinedRow.objects.exists()
    assert not Run.objects.exists()
    assert get_user_model().objects.filter(username="somebody").exists()
    assert KnowledgeItem.objects.create(content="c", source="s", knowledge_type="k").pk == 1
    KnowledgeItem.objects.all().delete()
    assert run("import_sqlite")[0] == 0
    assert not judge().findings.total


@pytest.mark.slow
def test_the_only_copy_is_not_emptied_and_a_frozen_target_is(live):
    status, text = run("empty_target", "--yes")
    assert (status, "is live" in text) == (2, True)
    roll_back()
    remove_capture("default", Selection())
    assert run("empty_target", "--yes")[0] == 0
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM rss.fetch_items")
        assert cursor.fetchone() == (0,)
    KnowledgeItem.objects.create(content="c", source="s", knowledge_type="k").delete()


def test_it_asks_for_the_name_of_the_database(data, monkeypatch):
    remove_capture("default", Selection())
    monkeypatch.setattr("builtins.input", lambda prompt: "yes")
    status, text = run("empty_target")
    assert (status, "was not typed" in text) == (2, True)
    assert KnowledgeItem.objects.exists()
    monkeypatch.setattr("builtins.input", lambda prompt: connection.settings_dict["NAME"])
    assert run("empty_target")[0] == 0
    assert not KnowledgeItem.objects.exists()


def test_it_asks_nothing_where_nothing_was_loaded(db, monkeypatch):
    monkeypatch.setattr("builtins.input", lambda prompt: pytest.fail(prompt))
    status, text = run("empty_target")
    assert (status, "nothing was loaded" in text) == (0, True)
    # A history without rows is still something to lose.
    Run.objects.create(command="import_sqlite")
    monkeypatch.setattr("builtins.input", lambda prompt: "no")
    status, text = run("empty_target")
    assert (status, "was not typed" in text) == (2, True)
    assert Run.objects.exists()


@pytest.mark.slow
def test_bare_quarantine_lists_and_says_what_to_do(data):
    status, text = run("quarantine")
    assert status == 0
    assert "manage.py quarantine accept --reason" in text
    accept_everything()
    assert "quarantine accept" not in run("quarantine")[1]
