"""Rows that `migrate` makes by itself give way to the file's: content types, permissions, site."""

from __future__ import annotations

import pytest

from tests.django_shop.support import Project

pytestmark = pytest.mark.django_db(transaction=True)

TYPES = "SELECT id, app_label, model FROM django_content_type ORDER BY id"
PERMISSIONS = "SELECT id, content_type_id, codename FROM auth_permission ORDER BY id"


@pytest.fixture
def small(migrated_project: Project) -> Project:
    """Nothing is carried but Django's own rows, which stand under other ids in the file."""
    project = migrated_project
    project.transfer = '{"LEAVE_OUT": ["stall", "admin", "sessions"]}'
    project.legacy("UPDATE django_content_type SET id = id + 100")
    project.legacy(
        "UPDATE auth_permission SET id = id + 1000, content_type_id = content_type_id + 100"
    )
    project.legacy("UPDATE auth_group_permissions SET permission_id = permission_id + 1000")
    return project


@pytest.mark.long
def test_the_ids_of_the_file_win(small: Project) -> None:
    said = small.new("import_sqlite")
    assert "17 rows of contenttypes.ContentType that `migrate` had made gave way" in said
    assert "1 row of sites.Site that `migrate` had made gave way" in said
    for query in (TYPES, PERMISSIONS, "SELECT id, domain, name FROM django_site"):
        assert small.target(query) == [list(row) for row in small.legacy(query)]
    # Another `migrate` adds none, nor does another import take any away.
    small.new("migrate", "-v0")
    assert "gave way" not in small.new("import_sqlite")
    assert "PROVEN: all" in small.new("verify_migration")


@pytest.mark.slow
def test_rows_that_something_refers_to_stay(small: Project) -> None:
    code = (
        "from django.contrib.auth.models import Group, Permission; "
        "Group.objects.create(name='early').permissions.set(Permission.objects.all()[:2])"
    )
    small.shell("new", code)
    before = small.target(PERMISSIONS)
    said = small.new("import_sqlite", "--overwrite", status=2)
    assert "2 rows of auth_group_permissions in PostgreSQL refer to rows of auth_permission" in said
    assert small.target(PERMISSIONS) == before
    small.target("WITH gone AS (DELETE FROM auth_group_permissions RETURNING 1) SELECT 1")
    small.target("WITH gone AS (DELETE FROM auth_group RETURNING 1) SELECT 1")
    small.new("import_sqlite")
    assert "PROVEN: all" in small.new("verify_migration")


def test_rows_of_a_data_migration_are_told_and_taken_out(small: Project) -> None:
    """Group 2 has the name of the file's group 1."""
    code = "from django.contrib.auth.models import Group; make = Group.objects.create; "
    small.shell("new", code + "make(name='a'); make(name='editors')")
    said = small.new("import_sqlite", status=2)
    assert "rows that no import wrote (auth.Group 2)" in said
    assert small.target("SELECT name FROM auth_group ORDER BY name") == [["a"], ["editors"]]
    small.new("empty_target", "--yes")
    small.new("import_sqlite")
    assert "PROVEN: all" in small.new("verify_migration")


@pytest.mark.slow
def test_a_proof_under_settings_that_left_more_out_does_not_count(small: Project) -> None:
    small.new("import_sqlite")
    assert "PROVEN: all" in small.new("verify_migration")
    assert "none that counts" not in small.new("migration_status")
    small.transfer = '{"LEAVE_OUT": ["stall", "admin"]}'
    said = small.new("migration_status")
    assert "none that counts: the last one was made when the settings or models said" in said
    small.legacy("INSERT INTO django_session VALUES ('k', 'd', '2025-01-01 00:00:00')")
    assert "missing_row: public.django_session" in small.new("verify_migration", status=1)
