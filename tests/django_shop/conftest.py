"""The old file is filled once a process, the database migrated once; tests take copies."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.django_shop.support import Project, database_of_its_own


@pytest.fixture(scope="session")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The old file, filled by Django on SQLite."""
    file = tmp_path_factory.mktemp("stall") / "db.sqlite3"
    project = Project(file, {})
    project.old("migrate", "-v0")
    project.shell("old", "from fill import fill; fill()")
    return file


@pytest.fixture(scope="session")
def migrated(filled: Path, django_db_setup: None, django_db_blocker: Any) -> Iterator[str]:
    """A database that the project's `migrate` has made, to be copied."""
    with django_db_blocker.unblock(), database_of_its_own() as database:
        Project(filled, database).new("migrate", "-v0")
        yield database["NAME"]


@pytest.fixture
def migrated_project(filled: Path, tmp_path: Path, migrated: str) -> Iterator[Project]:
    """A copy of the file, and a database as `migrate` leaves it."""
    file = tmp_path / "db.sqlite3"
    shutil.copy(filled, file)
    with database_of_its_own(migrated) as database:
        yield Project(file, database)


@pytest.fixture
def project(filled: Path, tmp_path: Path, django_db_setup: None) -> Iterator[Project]:
    """A copy of the file, and an empty database."""
    file = tmp_path / "db.sqlite3"
    shutil.copy(filled, file)
    with database_of_its_own() as database:
        yield Project(file, database)
