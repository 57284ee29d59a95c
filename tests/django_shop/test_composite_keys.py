"""Models with a `CompositePrimaryKey`: moved, proven, followed, switched, and carried back."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.django_shop.support import SITE, Project, database_of_its_own, on_both_sides

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def pairs(tmp_path: Path, django_db_setup: None) -> Iterator[Project]:
    """The project, migrated on both sides, with rows in the file."""
    with on_both_sides(tmp_path, "pairs") as project:
        yield project


@pytest.mark.long
def test_it_is_followed_switched_and_carried_back(pairs: Project) -> None:
    said = json.loads(pairs.new("import_sqlite", "--format", "json"))
    assert not [t for t in said["tables"] if t["repaired"] or t["quarantined"]]
    assert "PROVEN: all" in pairs.new("verify_migration", "--round-trip")
    assert pairs.objects("new") == pairs.objects("old")

    pairs.new("sync_sqlite", "--install")
    pairs.shell("old", "from fill import write; write()")
    # What no delete trigger fires for: the row that a REPLACE pushes out of a unique column.
    pairs.legacy(
        "INSERT OR REPLACE INTO stock_seat (hall, row, number, ticket) "
        "SELECT hall, row, 77, ticket FROM stock_seat WHERE ticket IS NOT NULL LIMIT 1"
    )
    pairs.new("sync_sqlite", "--once")
    assert pairs.objects("new") == pairs.objects("old")
    assert "PROVEN: all" in pairs.new("verify_migration", "--round-trip")

    backup = str(pairs.file.parent / "backup")
    pairs.new("backup_sqlite", "--to", backup)
    pairs.new("cutover", "--backup", backup)
    pairs.shell("new", "from fill import write; write(200)")
    moved = pairs.objects("new")
    pairs.new("rollback_migration")
    assert pairs.objects("old") == moved
    assert "PROVEN: all" in pairs.new("verify_migration")


def aside(project: Project) -> dict[tuple[str, str], str]:
    """(table, key) -> reason of the rows in quarantine."""
    rows = project.target(
        "SELECT \"table\", key, reason FROM transfer.quarantined_row WHERE status <> 'repaired'"
    )
    return {(table, key): reason for table, key, reason in rows}


@pytest.mark.slow
def test_rows_that_the_target_cannot_hold(pairs: Project) -> None:
    """An orphan, a part that is no number, one that is too long, one that is NULL."""
    five, seven = (f"{number:032x}" for number in (5, 7))
    pairs.legacy("PRAGMA foreign_keys = OFF")
    pairs.legacy(
        "UPDATE stock_line SET product_id = 'gone' WHERE order_id = 1 AND product_id = 'é'"
    )
    pairs.legacy("UPDATE stock_seat SET number = 'x' WHERE hall = ? AND number = 0", five)
    pairs.legacy(
        "UPDATE stock_seat SET \"row\" = 'a long row' WHERE hall = ? AND number = 0", seven
    )
    pairs.new("import_sqlite")
    found = {
        ("stock_line", '["gone", 1]'): "missing_parent",
        ("stock_seat", f'["{five}", "r 0", "x"]'): "bad_key",
        ("stock_seat", f'["{seven}", "a long row", 0]'): "too_long",
    }
    assert aside(pairs) == found
    assert "rows in quarantine nobody has decided about" in pairs.new("verify_migration", status=1)

    pairs.new("sync_sqlite", "--install")
    pairs.shell("old", "from stock.models import Product; Product.objects.create(sku='gone')")
    pairs.legacy("UPDATE stock_seat SET number = 9 WHERE number = 'x'")
    pairs.legacy("DELETE FROM stock_seat WHERE \"row\" = 'a long row'")
    pairs.new("sync_sqlite", "--once")
    assert aside(pairs) == {}
    assert "PROVEN: all" in pairs.new("verify_migration", "--round-trip")


LINE, SEAT = "UPDATE stock_line SET {} WHERE {}", "UPDATE stock_seat SET {} WHERE {}"
# A change of the target, and what undoes it.
CHANGES = [
    (
        LINE.format("product_id = 'a'", "product_id = 'é' AND order_id = 1"),
        LINE.format("product_id = 'é'", "product_id = 'a' AND order_id = 1"),
    ),
    (
        LINE.format("order_id = 2", "product_id = 'a' AND order_id = 3"),
        LINE.format("order_id = 3", "product_id = 'a' AND order_id = 2"),
    ),
    (
        LINE.format("price = price + 1", "order_id = 2"),
        LINE.format("price = price - 1", "order_id = 2"),
    ),
    (SEAT.format("number = 2", "number = 3"), SEAT.format("number = 3", "number = 2")),
    (SEAT.format("\"row\" = 'r 0 '", "number = 3"), SEAT.format("\"row\" = 'r 0'", "number = 3")),
    (
        "ALTER TABLE stock_seat DROP CONSTRAINT stock_seat_pkey",
        'ALTER TABLE stock_seat ADD PRIMARY KEY (hall, "row", number)',
    ),
    (
        "ALTER TABLE stock_seat DROP CONSTRAINT stock_seat_pkey, "
        'ADD UNIQUE (hall, "row", number), ADD PRIMARY KEY (hall, number)',
        "ALTER TABLE stock_seat DROP CONSTRAINT stock_seat_pkey, "
        'DROP CONSTRAINT stock_seat_hall_row_number_key, ADD PRIMARY KEY (hall, "row", number)',
    ),
]


@pytest.mark.slow
def test_a_changed_key_is_found(pairs: Project) -> None:
    pairs.new("import_sqlite")
    for change, back in CHANGES:
        pairs.execute(change)
        assert "NOT PROVEN" in pairs.new("verify_migration", status=1), change
        pairs.execute(back)
    assert "PROVEN: all" in pairs.new("verify_migration")
    pairs.execute("DELETE FROM stock_line WHERE order_id = 2 AND product_id = 'é'")
    assert "NOT PROVEN" in pairs.new("verify_migration", status=1)
    pairs.new("import_sqlite", "--overwrite")
    assert "PROVEN: all" in pairs.new("verify_migration")


DAY_IN_A_KEY = """

class Rate(models.Model):
    day = models.DateField()
    code = models.CharField(max_length=3)
    pk = models.CompositePrimaryKey("day", "code")
"""


@pytest.mark.slow
def test_a_part_that_no_key_can_have_is_a_sentence(tmp_path: Path) -> None:
    site = tmp_path / "site"
    shutil.copytree(SITE.with_name("pairs"), site)
    models = site / "stock" / "models.py"
    models.write_text(models.read_text() + DAY_IN_A_KEY)
    with database_of_its_own() as database:
        project = Project(tmp_path / "db.sqlite3", database, site)
        for command in ("check", "import_sqlite"):
            said = project.new(command, status=1 if command == "check" else 2)
            assert "stock.Rate.day is in the key of stock.Rate, and a key holds whole" in said
