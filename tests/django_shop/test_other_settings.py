"""Two checkouts with other settings on one target, or on one file, after the cut-over."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.django_shop.support import Project, database_of_its_own

pytestmark = pytest.mark.django_db(transaction=True)

LESS = '"LEAVE_OUT": ["stall", "admin", "sessions"]'
MORE = '"LEAVE_OUT": ["stall", "admin"]'


@pytest.fixture
def live(migrated_project: Project, tmp_path: Path) -> Iterator[Project]:
    """Switched, sessions and all; then PostgreSQL got a session."""
    project = migrated_project
    project.transfer = f"{{{MORE}}}"
    project.new("cutover", "--stopped", "--backup", str(tmp_path / "backup"))
    project.execute("INSERT INTO django_session VALUES ('new', 'd', now())")
    return project


def test_settings_that_carry_less_than_the_cut_over(live: Project, tmp_path: Path) -> None:
    live.transfer = f"{{{LESS}}}"
    backup = ("--to-backup", str(tmp_path / "backup"), "--yes")
    for command in (
        ("rollback_migration",),
        ("rollback_migration", "--dry-run"),
        ("rollback_migration", *backup),
        ("cutover", "--finish", "--yes", "--despite-proof", "a test"),
    ):
        said = live.new(*command, status=2)
        assert "public.django_session went to PostgreSQL with the cut-over" in said
    live.transfer = f"{{{MORE}}}"
    assert "1 row written in PostgreSQL" in live.new("rollback_migration", *backup[:2], "--dry-run")
    live.new("rollback_migration")
    assert live.legacy("SELECT count(*) FROM django_session WHERE session_key = 'new'") == [(1,)]


def test_settings_that_give_the_file_another_name(live: Project, tmp_path: Path) -> None:
    live.transfer = f'{{"FILES": {{"other": {{"path": {str(live.file)!r}}}}}, {MORE}}}'
    for command in (
        ("import_sqlite", "--overwrite"),
        ("sync_sqlite", "--install"),
        ("sync_sqlite", "--remove"),
        ("empty_target", "--yes"),
        ("rollback_migration", "--to-backup", str(tmp_path / "backup"), "--yes"),
    ):
        assert "In this database stall is live" in live.new(*command, status=2)
    assert "frozen, but not by a cut-over into" in live.new("sync_sqlite", "--unfreeze", status=2)
    live.transfer = f"{{{MORE}}}"
    assert "PROVEN as of the cut-over" in live.new("verify_migration")


@pytest.mark.slow
def test_a_row_that_other_settings_set_aside(migrated_project: Project) -> None:
    project = migrated_project
    project.transfer = f"{{{MORE}}}"
    project.legacy("INSERT INTO django_session VALUES ('k', 'd', 'never')")
    project.new("import_sqlite")
    project.transfer = f"{{{LESS}}}"
    said = project.new("quarantine", "retry", "--reason", "unreadable_time", status=2)
    assert "do not carry django_session of stall" in said


def test_another_database_does_not_open_the_file(live: Project, migrated: str) -> None:
    with database_of_its_own(migrated) as database:
        live.database, right = database, live.database
        said = live.new("migration_status")
        assert "frozen, but not by a cut-over into this database" in " ".join(said.split())
        assert "read the problem" in said
        live.new("sync_sqlite", "--unfreeze", status=2)
        live.database = right
    assert "PROVEN as of the cut-over" in live.new("verify_migration")
