"""Foreseeable mistakes: one sentence, status 2, and nothing written."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from stillme.transfer.models import Run
from stillme.transfer.sqlite.reading.connect import open_legacy
from tests.fork_server import run_python
from tests.transfer.load.support import content, query

pytestmark = pytest.mark.django_db(transaction=True)
ROOT = Path(__file__).parents[3]


def refused(*arguments: str) -> str:
    """The sentence a command ends with. It must have status 2."""
    with pytest.raises(CommandError) as caught:
        call_command(*arguments, stdout=StringIO())
    assert caught.value.returncode == 2
    return str(caught.value)


@pytest.mark.slow_after(1)
@pytest.mark.parametrize("command", ["import_sqlite", "verify_migration"])
def test_a_file_that_is_no_database(legacy: Path, command: str) -> None:
    (legacy / "rss_fetch_history.db").write_text("this is not a database, it is a letter")
    assert "rss_fetch_history.db is not a SQLite database" in refused(command)
    assert query("SELECT count(*) FROM rss.fetch_items") == [(0,)]


def test_a_truncated_file(legacy: Path) -> None:
    path = legacy / "rss_fetch_history.db"
    path.write_bytes(path.read_bytes()[:9000])
    assert "damaged or truncated" in refused("import_sqlite")


def test_a_locked_file(legacy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from stillme.transfer.steps.loading import plan

    def impatient(*arguments: Any, **options: Any) -> Any:
        return take_snapshot(*arguments, **{**options, "patience": 0.2})

    take_snapshot = plan.take_snapshot
    monkeypatch.setattr(plan, "take_snapshot", impatient)
    monkeypatch.setitem(open_legacy.__kwdefaults__ or {}, "timeout", 0.2)
    with closing(sqlite3.connect(legacy / "knowledge_retention.db")) as writer:
        writer.execute("BEGIN EXCLUSIVE")
        assert "locked by another writer" in refused("import_sqlite")


def test_no_file_at_all(legacy: Path) -> None:
    for path in legacy.glob("*.db*"):
        path.unlink()
    sentence = refused("import_sqlite")
    assert str(legacy) in sentence
    assert "LEGACY_DATA_DIR" in sentence
    assert not Run.objects.filter(status="completed").exists()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_folder_without_permission(legacy: Path) -> None:
    legacy.chmod(0o000)
    try:
        assert "permission denied" in refused("import_sqlite").lower()
    finally:
        legacy.chmod(0o700)


def test_names_that_do_not_exist(legacy: Path) -> None:
    assert "no legacy table 'nope'" in refused("import_sqlite", "--table", "nope")
    assert "no legacy file 'nope'" in refused("verify_migration", "--file", "nope")
    assert "--chunk-rows must be 1 or more" in refused("import_sqlite", "--chunk-rows", "0")


@pytest.mark.slow_after(1)
@pytest.mark.parametrize("zone", ["Mars/Olympus", "America", "../../etc"])
def test_a_time_zone_that_does_not_exist(legacy: Path, settings: Any, zone: str) -> None:
    settings.LEGACY_TIME_ZONE = zone
    for command in ("import_sqlite", "verify_migration", "inspect_sqlite"):
        assert "is no IANA time zone" in refused(command)


def test_a_target_that_is_not_migrated(legacy: Path) -> None:
    query("ALTER TABLE rss.fetch_items RENAME TO fetch_items_away")
    try:
        assert "run `manage.py migrate` first" in refused("import_sqlite")
    finally:
        query("ALTER TABLE rss.fetch_items_away RENAME TO fetch_items")


def test_no_server_says_so_and_keeps_the_password(legacy: Path) -> None:
    environment = {
        **os.environ,
        "DATABASE_URL": "postgresql://someone:hunter2@127.0.0.1:1/stillme",
        "LEGACY_DATA_DIR": str(legacy),
        "SECRET_KEY": "only-for-tests",
    }
    done = run_python(["manage.py", "import_sqlite"], ROOT, environment)
    assert done.returncode == 2
    assert "No PostgreSQL answers" in done.stderr
    assert "hunter2" not in done.stdout + done.stderr
    assert "Traceback" not in done.stderr


def test_another_importer_is_at_work(legacy: Path) -> None:
    from stillme.transfer.postgresql.locks import exclusive

    with exclusive("default"):
        assert "wait until it has ended" in refused("import_sqlite")


def test_json_is_the_only_thing_on_standard_output(legacy: Path) -> None:
    out = StringIO()
    call_command("import_sqlite", "--format", "json", "--jobs", "1", stdout=out)
    answer = json.loads(out.getvalue())
    assert answer["conserved"] is True
    assert {table["table"] for table in answer["tables"]} >= {"rss_fetch_items", "tier_metrics"}


def test_a_ledger_of_another_file(
    legacy: Path, tmp_path: Path, use_legacy_files: Callable[[Path], None]
) -> None:
    """Another folder is refused; the same bytes at another place, or --moved, are not."""
    call_command("import_sqlite", stdout=StringIO())
    loaded = content()
    copied = shutil.copytree(legacy, tmp_path / "copied")
    use_legacy_files(copied)
    call_command("import_sqlite", stdout=StringIO())
    with closing(sqlite3.connect(copied / "knowledge_retention.db")) as connection:
        connection.execute("DELETE FROM learning_sessions WHERE id = 3")
        connection.commit()
    use_legacy_files(shutil.copytree(copied, tmp_path / "other"))
    sentence = refused("import_sqlite")
    assert f"was loaded from {copied / 'knowledge_retention.db'}" in sentence
    assert "--moved" in sentence
    assert content() == loaded
    call_command("import_sqlite", "--moved", "--prune", "--yes", stdout=StringIO())
    assert query("SELECT id FROM knowledge.learning_sessions WHERE id = 3") == []
