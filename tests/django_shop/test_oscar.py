"""A shop of django-oscar's (120 tables) leaves SQLite, is followed, switched, and goes back."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.django_shop.support import SITE, Project, database_of_its_own

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.slow,
    pytest.mark.skipif(
        importlib.util.find_spec("oscar") is None, reason="django-oscar is not installed"
    ),
]


@pytest.fixture
def project(tmp_path: Path, django_db_setup: None) -> Iterator[Project]:
    with database_of_its_own() as database:
        site = SITE.with_name("oscar_shop")
        yield Project(tmp_path / "db.sqlite3", database, site, modules="frobshop.")


def test_a_shop_moves_and_goes_back(project: Project) -> None:
    project.old("migrate", "-v0")
    project.shell("old", "from fill import fill; fill()")
    project.new("migrate", "-v0")
    # Oscar's migrations make a group.
    assert "rows that no import wrote (auth.Group 1)" in project.new("import_sqlite", status=2)
    project.new("empty_target", "--yes")
    project.new("import_sqlite")
    assert "PROVEN: all" in project.new("verify_migration", "--round-trip")
    assert project.objects("new") == project.objects("old")
    project.new("sync_sqlite", "--install")
    project.shell("old", "from fill import fill; fill(5, 'l')")
    project.new("sync_sqlite", "--once")
    assert project.objects("new") == project.objects("old")
    backup = str(project.file.parent / "backup")
    project.new("backup_sqlite", "--to", backup)
    project.new("verify_migration")
    project.new("cutover", "--backup", backup, "--freeze-limit", "300")
    project.shell("new", "from fill import write; write()")
    moved = project.objects("new")
    project.new("rollback_migration", "--freeze-limit", "300")
    assert project.objects("old") == moved
    assert "PROVEN: all" in project.new("verify_migration")
