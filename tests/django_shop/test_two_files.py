"""Two SQLite files of one project: into one database, or each into one of its own."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.django_shop.support import SITE, Project, database_of_its_own

pytestmark = pytest.mark.django_db(transaction=True)

TWO_FILES = SITE.with_name("two_files")


@pytest.fixture
def project(tmp_path: Path, django_db_setup: None) -> Iterator[Project]:
    with database_of_its_own() as database:
        project = Project(tmp_path / "db.sqlite3", database, TWO_FILES)
        project.transfer = ""
        yield project


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the old files, filled by Django on SQLite."""
    folder = tmp_path_factory.mktemp("two files")
    project = Project(folder / "db.sqlite3", {}, TWO_FILES)
    project.transfer = ""
    project.old("migrate", "-v0")
    project.old("migrate", "-v0", "--database", "stats")
    project.shell("old", "from fill import fill; fill()")
    return folder


@pytest.fixture
def filled(project: Project, files: Path) -> Project:
    """With rows in both files."""
    shutil.copytree(files, project.file.parent, dirs_exist_ok=True)
    return project


@pytest.mark.slow
def test_both_move_into_one_database_and_go_back(filled: Project) -> None:
    project = filled
    project.new("migrate", "-v0")
    said = project.new("import_sqlite")
    assert "stats: its times are read as those of America/New_York, as its entry time_zone" in said
    assert "left stats.django_content_type" in said
    assert "PROVEN: all" in project.new("verify_migration", "--round-trip")
    assert project.objects("new") == project.objects("old")
    project.new("cutover", "--stopped", "--backup", str(project.file.parent / "backup"))
    project.shell("new", "from fill import write; write(40)")
    moved = project.objects("new")
    project.new("rollback_migration")
    assert project.objects("old") == moved
    assert "PROVEN: all" in project.new("verify_migration")


@pytest.mark.long
def test_each_moves_into_a_database_of_its_own(filled: Project) -> None:
    """The project keeps its routers; each file is moved with its target as `default`."""
    project = filled
    project.transfer = (
        "del TRANSFER['FILES']['shop'], TRANSFER['FILES']['stats']['time_zone']\n"
        # The zone is that of the old alias, which stays in the settings.
        "DATABASES['old_stats'] = STATS"
    )
    project.new("migrate", "-v0")
    said = project.new("import_sqlite")
    assert 'as DATABASES["old_stats"]["TIME_ZONE"] says' in said
    assert "PROVEN: all" in project.new("verify_migration", "--round-trip")
    show = "from stats.models import Hit; print(*(h.at.timestamp() for h in Hit.objects.all()))"
    assert project.shell("new", show) == project.shell("old", show)
    assert project.target("SELECT count(*) FROM shop_order") == [[0]]


REFUSED = [
    (
        "DATABASE_ROUTERS = ['project.routers.StatsRouter']; DATABASES['stats'] = SERVER",
        "DATABASE_ROUTERS send stats.Page to 'stats', and the engine fills 'default'",
    ),
    (
        "TRANSFER['FILES']['stats']['models'] = ['stats.Hit']",
        "stats.Hit.page refers to stats.Page, which TRANSFER takes from another file (shop)",
    ),
    (
        "TRANSFER['FILES']['shop']['models'] = ['auth', 'contenttypes', 'shop.Order']",
        "shop.Order.customer refers to shop.Customer, which is not carried (no file has it)",
    ),
    (
        "TRANSFER['FILES']['stats']['models'] = ['state']",
        "TRANSFER[\"FILES\"]['stats'][\"models\"] names 'state', which is no model and no app",
    ),
    (
        "DATABASES['old'] = {**STATS, 'TIME_ZONE': None}",
        "\"time_zone\"] is America/New_York, and DATABASES['old'] of the same file has the "
        "TIME_ZONE UTC",
    ),
    (
        "TRANSFER['FILES']['stats']['time_zone'] = 'Berlin'",
        "TRANSFER[\"FILES\"]['stats'][\"time_zone\"] is 'Berlin', which is no known time zone",
    ),
    (
        "USE_TZ = False",
        "without USE_TZ Django reads the naive times of both databases in TIME_ZONE",
    ),
]


@pytest.mark.parametrize(("settings", "sentence"), REFUSED)
def test_what_would_go_astray_is_refused(project: Project, settings: str, sentence: str) -> None:
    project.transfer = settings
    assert sentence in project.new("check", status=1)


def test_a_table_that_another_file_carries_is_open_where_it_has_rows(filled: Project) -> None:
    project = filled
    project.shell("old", "from shop.models import *; from fill import START\n"
                  "Customer.objects.using('stats').create(name='stray', since=START)")  # fmt: skip
    said = project.new("import_sqlite", "--dry-run", status=1)
    assert "its model shop.Customer is carried from the file shop" in " ".join(said.split())
