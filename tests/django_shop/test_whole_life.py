"""A Django project leaves its `db.sqlite3`: import, proof, sync, cut-over, writes, the way back.

In between, what Django reads on the one side is compared with what it reads on the other.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.django_shop.support import Project, database_of_its_own

pytestmark = pytest.mark.django_db(transaction=True)

STRANGERS = ROOT.parent / "shared" / "strangers"
WRITES = 1000


def import_all(project: Project) -> int:
    """Migrate and import; nothing is repaired or set aside. Returns the number of rows."""
    project.new("migrate", "-v0")
    said = json.loads(project.new("import_sqlite", "--format", "json"))
    assert not [t for t in said["tables"] if t["repaired"] or t["quarantined"]]
    return sum(table["legacy_rows"] for table in said["tables"])


@pytest.mark.long
def test_a_project_moves_and_goes_back(project: Project) -> None:
    rows = import_all(project)
    said = project.new("verify_migration", "--round-trip")
    assert f"PROVEN: all {rows:,} legacy rows" in said
    assert "migrate` had made gave way" not in said
    assert project.objects("new") == project.objects("old")

    project.new("sync_sqlite", "--install")
    project.shell("old", "from fill import write; write(101)")
    project.new("sync_sqlite", "--once")
    assert project.objects("new") == project.objects("old")
    project.new("migrate", "-v0")
    project.new("verify_migration")
    backup = str(project.file.parent / "backup")
    project.new("backup_sqlite", "--to", backup)
    project.new("cutover", "--backup", backup)

    project.shell("new", f"from fill import write; write({WRITES})")
    moved = project.objects("new")
    project.new("rollback_migration")
    assert project.objects("old") == moved
    project.shell("old", "from fill import write; write(20)")
    project.new("migration_status")
    project.new("verify_migration", status=1)


@pytest.mark.slow
@pytest.mark.skipif(not STRANGERS.is_dir(), reason="../shared/strangers is not there")
def test_the_shared_project_is_proven(tmp_path: Path, django_db_setup: None) -> None:
    site, file = tmp_path / "site", tmp_path / "db.sqlite3"
    shutil.copytree(STRANGERS / "django_shop", site)
    shutil.copy(STRANGERS / "files" / "django_shop.sqlite3", file)
    site.chmod(0o755)
    (site / "new.py").write_text(
        "import json, os\nfrom settings_sqlite import *\n"
        "INSTALLED_APPS = [*INSTALLED_APPS, 'stillme.transfer']\n"
        "DATABASES = {'default': {'ENGINE': 'django.db.backends.postgresql', "
        "**json.loads(os.environ['DATABASE'])}}\n"
        "TRANSFER = {'FILES': {'shop': {'path': os.environ['OLD_FILE']}}}\n"
    )
    (site / "manage.py").unlink()
    (site / "manage.py").write_text((Path(__file__).parent / "site" / "manage.py").read_text())
    with database_of_its_own() as database:
        project = Project(file, database, site, modules="")
        rows = import_all(project)
        said = project.new("verify_migration", "--round-trip")
        assert f"PROVEN: all {rows:,} legacy rows" in said
