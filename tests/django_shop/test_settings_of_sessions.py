"""What a setting of the database or the role does to a project of Django's own backend."""

from __future__ import annotations

import pytest

from tests.django_shop.support import Project

pytestmark = pytest.mark.django_db(transaction=True)


def set_for_sessions(project: Project, setting: str) -> None:
    """Let each later session of the project's database begin with it."""
    project.execute(f'ALTER DATABASE "{project.database["NAME"]}" SET {setting}')


@pytest.mark.slow
def test_a_table_that_another_one_hides_is_a_finding(migrated_project: Project) -> None:
    project = migrated_project
    project.transfer = '{"LEAVE_OUT": ["stall", "admin"]}'
    project.new("import_sqlite")
    project.execute("CREATE SCHEMA early")
    set_for_sessions(project, "search_path = early, public")
    assert "PROVEN: all" in project.new("verify_migration")
    project.execute("CREATE TABLE early.django_session (LIKE public.django_session)")
    said = project.new("verify_migration", status=1)
    assert "public.django_session expected the table that Django uses found the one in the" in said
    assert "NOT PROVEN: 1 finding" in said


@pytest.mark.slow
def test_times_that_django_cannot_read_are_told(migrated_project: Project) -> None:
    set_for_sessions(migrated_project, "DateStyle = German")
    for command in ("import_sqlite", "verify_migration", "migration_status"):
        assert "SET DateStyle TO ISO" in migrated_project.new(command, status=2)
