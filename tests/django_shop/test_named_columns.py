"""Foreign keys to a column that is not the primary key (`to_field`), all the way there and back."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.django_shop.support import Project, on_both_sides

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def lands(tmp_path: Path, django_db_setup: None) -> Iterator[Project]:
    """The project, migrated on both sides, with rows in the file."""
    with on_both_sides(tmp_path, "named") as project:
        yield project


def aside(project: Project) -> dict[tuple[str, str], str]:
    """(table, key) -> reason of the rows in quarantine, without those of many-to-many tables."""
    rows = project.target(
        "SELECT \"table\", key, reason FROM transfer.quarantined_row WHERE status <> 'repaired'"
    )
    return {(table, key): reason for table, key, reason in rows if table.count("_") == 1}


@pytest.mark.slow
def test_it_moves_and_goes_back(lands: Project) -> None:
    said = json.loads(lands.new("import_sqlite", "--format", "json"))
    assert not [t for t in said["tables"] if t["repaired"] or t["quarantined"]]
    assert "PROVEN: all" in lands.new("verify_migration", "--round-trip")
    assert lands.objects("new") == lands.objects("old")
    lands.new("cutover", "--stopped", "--backup", str(lands.file.parent / "backup"))
    # A many-to-many table's capture function has a name that was cut.
    assert "PROVEN as of the cut-over" in lands.new("verify_migration")
    lands.shell("new", "from fill import write; write()")
    moved = lands.objects("new")
    lands.new("rollback_migration")
    assert lands.objects("old") == moved
    assert "PROVEN: all" in lands.new("verify_migration")


@pytest.mark.slow
def test_orphans_are_set_aside_and_come_back(lands: Project) -> None:
    """Land 2 cannot be loaded; town 1 names nothing, town 2 the land in other letters."""
    lands.legacy("UPDATE lands_land SET name = 'a name that is too long' WHERE id = 2")
    lands.legacy("UPDATE lands_town SET land_id = 'zz' WHERE id = 1")
    lands.legacy("UPDATE lands_town SET land_id = 'A1' WHERE id = 2")
    lands.legacy("UPDATE lands_letter SET line_id = 7 WHERE id = 3")
    lands.new("import_sqlite")
    towns = {("lands_town", str(key)): "missing_parent" for key in (1, 2, 4, 5, 6)}
    letters = {("lands_letter", str(key)): "missing_parent" for key in (1, 2, 3, 4, 5, 6)}
    assert aside(lands) == {("lands_land", "2"): "too_long", **towns, **letters}
    assert "rows in quarantine nobody has decided about" in lands.new("verify_migration", status=1)

    lands.legacy("UPDATE lands_land SET name = 'short' WHERE id = 2")
    lands.legacy("UPDATE lands_town SET land_id = 'a1'")
    lands.legacy("UPDATE lands_letter SET line_id = 100")
    lands.new("import_sqlite")
    assert aside(lands) == {}
    assert "PROVEN: all" in lands.new("verify_migration")


@pytest.mark.slow
def test_a_judge_that_is_shown_an_orphan_in_the_target_says_so(lands: Project) -> None:
    lands.new("import_sqlite")
    lands.target(
        "WITH q AS (SELECT set_config('session_replication_role', 'replica', true)), "
        "u AS (UPDATE lands_land SET code = 'q' FROM q WHERE id = 1 RETURNING 1) SELECT * FROM u"
    )
    said = lands.new("verify_migration", status=1)
    assert "foreign_key: public.lands_town:land_id" in said


@pytest.mark.slow
def test_a_parent_that_gets_another_name(lands: Project) -> None:
    """Together with its children, as an application does it; and without them, which is mended."""
    lands.new("import_sqlite")
    lands.legacy("UPDATE lands_land SET code = 'a2' WHERE id = 1")
    lands.legacy("UPDATE lands_town SET land_id = 'a2' WHERE land_id = 'a1'")
    lands.new("import_sqlite")
    assert "PROVEN: all" in lands.new("verify_migration")

    lands.new("sync_sqlite", "--install")
    lands.new("sync_sqlite", "--once")
    lands.legacy("UPDATE lands_land SET code = 'a3' WHERE id = 1")
    lands.new("sync_sqlite", "--once")
    towns = {("lands_town", str(key)): "missing_parent" for key in (1, 2, 3)}
    assert towns.items() <= aside(lands).items()
    assert "rows in quarantine" in lands.new("verify_migration", status=1)
    lands.legacy("UPDATE lands_town SET land_id = 'a3' WHERE id IN (1, 2)")
    lands.legacy("INSERT INTO lands_land (id, code, name) VALUES (9, 'a2', 'again')")
    lands.new("sync_sqlite", "--once")
    assert aside(lands) == {}
    assert lands.objects("new") == lands.objects("old")
    assert "PROVEN: all" in lands.new("verify_migration", "--round-trip")


@pytest.mark.slow
def test_rows_that_postgresql_alone_refuses(lands: Project) -> None:
    """A text that no index entry holds, a sum beyond its type; and what refers to them."""
    long = "".join(chr(0x4E00 + place * 37 % 20_000) for place in range(5_000))
    lands.legacy("UPDATE lands_note SET text = ? WHERE id = 1", long)
    lands.legacy(
        "INSERT INTO lands_note (id, legacy, columns, legacy_columns, legacy_extra, text) "
        "VALUES (7, 2147483647, 1, 0, '{}', 'sum'), (8, 2147483647, 0, 0, '{}', 'fits')"
    )
    lands.new("import_sqlite")
    refused = {("lands_note", str(key)): "refused_by_target" for key in (1, 7)}
    assert aside(lands) == {**refused, ("lands_note", "2"): "missing_parent"}
    said = lands.new("verify_migration", status=1)
    assert "NOT PROVEN: 3 rows in quarantine nobody has decided about" in said

    lands.legacy("UPDATE lands_note SET text = 'short' WHERE id = 1")
    lands.legacy("UPDATE lands_note SET columns = -1 WHERE id = 7")
    lands.new("import_sqlite")
    assert aside(lands) == {}
    assert "PROVEN: all" in lands.new("verify_migration", "--round-trip")
    assert lands.objects("new") == lands.objects("old")

    # A follower is told of it, of rows that PostgreSQL has by now.
    lands.new("sync_sqlite", "--install")
    lands.new("sync_sqlite", "--once")
    lands.legacy("UPDATE lands_note SET columns = 1 WHERE id = 7")
    lands.legacy("UPDATE lands_note SET text = ? WHERE id = 1", long)
    lands.new("sync_sqlite", "--once")
    assert aside(lands) == {**refused, ("lands_note", "2"): "missing_parent"}
    lands.legacy("UPDATE lands_note SET text = 'short', columns = 0 WHERE id IN (1, 7)")
    lands.new("sync_sqlite", "--once")
    assert aside(lands) == {}
    assert lands.objects("new") == lands.objects("old")
