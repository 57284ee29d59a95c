"""A project with apps that nobody here wrote, on Django's backend and on ours: there and back."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.django_shop.support import SITE, Project, database_of_its_own

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]

OTHERS = SITE.with_name("others")
APPS = ("taggit", "guardian", "simple_history")
ENGINES = ("django.db.backends.postgresql", "stillme.postgresql")


@pytest.fixture(params=ENGINES)
def project(
    request: pytest.FixtureRequest, tmp_path: Path, django_db_setup: None
) -> Iterator[Project]:
    if missing := [name for name in APPS if importlib.util.find_spec(name) is None]:
        pytest.skip(f"{missing[0]} is not installed (requirements.txt has it)")
    with database_of_its_own() as database:
        yield Project(tmp_path / "db.sqlite3", {"ENGINE": request.param, **database}, OTHERS)


def test_it_moves_and_goes_back(project: Project) -> None:
    project.old("migrate", "-v0")
    project.shell("old", "from fill import fill; fill()")
    project.new("migrate", "-v0")
    # guardian makes a user of its own after every `migrate`, on either side under another key.
    assert "board.Member 1" in project.new("import_sqlite", status=2)
    project.new("empty_target", "--yes")
    project.new("import_sqlite")
    assert "PROVEN: all" in project.new("verify_migration", "--round-trip")
    assert project.objects("new") == project.objects("old")
    project.new("cutover", "--stopped", "--backup", str(project.file.parent / "backup"))
    project.shell("new", "from fill import write; write(60)")
    moved = project.objects("new")
    project.new("rollback_migration")
    assert project.objects("old") == moved
    assert "PROVEN: all" in project.new("verify_migration")
    project.new("cutover", "--stopped", "--backup", str(project.file.parent / "second"))
    kept = project.file.parent / "records.json"
    project.new("cutover", "--finish", "--yes", "--archive", str(kept))
    kinds = {row["model"] for row in json.loads(kept.read_text())}
    assert {"transfer.run", "transfer.proof"} <= kinds
