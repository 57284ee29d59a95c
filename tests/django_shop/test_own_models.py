"""The project's own models as the mapping: what is refused, and what is said of it."""

from __future__ import annotations

import pytest

from tests.django_shop.support import CENTS, Project

pytestmark = pytest.mark.django_db(transaction=True)

REFUSED = [
    ('{"FIELDS": {}}', "stall.Item.cents is a stall.fields.CentsField, whose values nobody here"),
    ('{"FIELDS": {"stall.fields.CentsField": 1}}', "says 1: give a kind of stillme.transfer.kinds"),
    (f'{{"FIELDS": {CENTS}, "LEAVE_OUT": ["nothing"]}}', "'nothing', which is no model and no app"),
    (
        f'{{"FIELDS": {CENTS}, "LEAVE_OUT": ["stall.Ticket"]}}',
        "stall.Opinion.ticket refers to stall.Ticket, which is not carried (it is left out)",
    ),
    (
        f'{{"FIELDS": {CENTS}, "FILES": {{"a": {{"path": "a.db"}}, "b": {{"path": "b.db"}}}}}}',
        "TRANSFER names 2 files of which no app declares a LegacyModel (a, b): say in the entry",
    ),
]
NOTHING = [
    (f'{{"FIELDS": {CENTS}, "FILES": {{}}}}', "The settings name no legacy file: set TRANSFER"),
    (
        '{"LEAVE_OUT": ["stall", "admin", "auth", "contenttypes", "sessions", "sites"]}',
        "No model is carried from a legacy file: TRANSFER leaves all of them out",
    ),
]


@pytest.mark.slow_after(1)
@pytest.mark.parametrize(("transfer", "sentence"), REFUSED)
def test_a_mapping_that_is_not_whole_is_refused(
    project: Project, transfer: str, sentence: str
) -> None:
    project.transfer = transfer
    assert sentence in project.new("check", status=1)
    assert sentence in project.new("import_sqlite", status=2)


@pytest.mark.slow_after(1)
@pytest.mark.parametrize(("transfer", "sentence"), NOTHING)
def test_settings_that_move_nothing(project: Project, transfer: str, sentence: str) -> None:
    project.transfer = transfer
    assert sentence in project.new("import_sqlite", "--dry-run", status=2)


MIGRATIONS = [
    (
        "DELETE FROM django_migrations WHERE app = 'stall'",
        "the file lacks migrations of the project (stall.0001_initial): run `manage.py migrate`",
    ),
    (
        "UPDATE django_migrations SET name = '0001_first' WHERE app = 'stall'",
        "the file lacks migrations of the project (stall.0001_initial) and has others "
        "(stall.0001_first): run `manage.py migrate`",
    ),
    (
        "INSERT INTO django_migrations (app, name, applied) VALUES ('stall', '0002_later', '2026')",
        "`manage.py migrate stall --prune` on the SQLite file",
    ),
]


@pytest.mark.slow_after(1)
@pytest.mark.parametrize(("change", "sentence"), MIGRATIONS)
def test_other_migrations_are_refused(project: Project, change: str, sentence: str) -> None:
    project.legacy(change)
    assert sentence in project.new("import_sqlite", "--dry-run", status=2)


def test_a_default_database_that_is_still_the_file(project: Project) -> None:
    """DATABASES was forgotten, or names nothing: it is said what to do, and nothing is written."""
    server, sqlite = project.database, "django.db.backends.sqlite3"
    project.database = {"ENGINE": sqlite, "NAME": str(project.file)}
    before = project.file.read_bytes()
    sentence = 'DATABASES["default"] has the ENGINE django.db.backends.sqlite3'
    assert f"(transfer.W001) {sentence}" in project.new("check")
    assert f"CommandError: {sentence}" in project.new("migrate", status=2)
    assert f"CommandError: {sentence}" in project.new("import_sqlite", status=2)
    assert project.file.read_bytes() == before
    project.database = {**server, "NAME": "nowhere"}
    said = project.new("import_sqlite", status=2)
    assert "There is no database nowhere: make it with `createdb`." in said
