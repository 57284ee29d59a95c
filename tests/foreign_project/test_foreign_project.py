"""The engine in somebody else's project: stock settings, one app, one file, nothing of StillMe's.

`site/` is that project. Each command is a process of its own, as an operator runs it.
"""

from __future__ import annotations

import json
import os
import secrets
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from django.db import connections

from stillme.postgresql.names import quote
from tests.conftest import ROOT
from tests.fork_server import run_prepared

pytestmark = pytest.mark.django_db(transaction=True)

SITE = Path(__file__).with_name("site")
SCHEMA = """
CREATE TABLE customers (id INTEGER PRIMARY KEY, name TEXT NOT NULL, joined TEXT, nickname TEXT);
CREATE TABLE orders (
    id INTEGER PRIMARY KEY, customer_id INTEGER NOT NULL, amount REAL, notes TEXT, coupon TEXT
);
INSERT INTO customers VALUES (1, 'Ann', '2025-07-01T10:00:00', 'annie');
INSERT INTO customers VALUES (2, 'Bob', '2025-12-01T10:00:00', NULL);
INSERT INTO orders VALUES (1, 1, 9.5, '{"a": 1}', 'X'), (2, 2, NULL, NULL, NULL);
INSERT INTO orders VALUES (3, 9, 1.0, '{}', NULL);
"""
CUSTOMERS = "SELECT id, name, joined_at AT TIME ZONE 'UTC', legacy_extra FROM \"shop_customer\""
ORDERS = 'SELECT id, customer_id, amount, notes FROM "shop_order"'
PAGES = """
from django.contrib.auth.models import Group, User
from django.test import Client
browser = Client()
browser.force_login(User.objects.create_superuser("root", "r@example.org", "x"))
for page in ("", "transfer/run/", "transfer/proof/", "transfer/quarantinedrow/",
             "transfer/quarantinedrow/1/change/", "transfer/run/1/change/"):
    print(page, browser.get(f"/admin/{page}").status_code)
import sys
print([name for name in ("unfold", "knowledge", "vector", "stillme.settings", "stillme.ops")
       if name in sys.modules])
print(sorted(Group.objects.values_list("name", flat=True)))
"""


class Shop:
    """The project on its file and its database."""

    settings = "project.settings"

    def __init__(self, file: Path, database: dict[str, Any]) -> None:
        self.file, self.database = file, database
        with closing(sqlite3.connect(file)) as connection:
            connection.executescript(SCHEMA)

    def run(self, *command: str, status: int = 0) -> str:
        """What a command printed; its exit status is checked."""
        ended = run_prepared(
            ["manage.py", *command],
            SITE,
            {
                **os.environ,
                "DJANGO_SETTINGS_MODULE": self.settings,
                "PYTHONPATH": str(ROOT),
                "DATABASE": json.dumps(self.database),
                "SHOP_FILE": str(self.file),
            },
        )
        said = ended.stdout + ended.stderr
        assert ended.returncode == status, said
        return said

    def legacy(self, sql: str, *parameters: Any) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(self.file)) as connection, connection:
            return connection.execute(sql, parameters).fetchall()

    def target(self, sql: str) -> list[Any]:
        """The rows of a query, as JSON values, by the project's own connection."""
        code = (
            "import json; from django.db import connection; cursor = connection.cursor(); "
            f"cursor.execute({sql!r}); print(json.dumps(cursor.fetchall(), default=str))"
        )
        found: list[Any] = json.loads(self.run("shell", "-v0", "-c", code))
        return found


@pytest.fixture
def shop(tmp_path: Path, django_db_setup: None) -> Iterator[Shop]:
    """A database of its own on the test server."""
    server = connections["default"]
    name = f"foreign_{secrets.token_hex(4)}"
    given = ("HOST", "PORT", "USER", "PASSWORD")
    known = {key: str(server.settings_dict[key] or "") for key in given}
    with server.cursor() as cursor:
        cursor.execute(f"CREATE DATABASE {quote(name)}")
    try:
        yield Shop(tmp_path / "shop.db", {**known, "NAME": name})
    finally:
        with server.cursor() as cursor:
            cursor.execute(f"DROP DATABASE {quote(name)} WITH (FORCE)")


@pytest.fixture
def proven(shop: Shop) -> Shop:
    """Migrated, imported, decided and proven."""
    return prove(shop)


def prove(shop: Shop) -> Shop:
    shop.run("migrate", "-v0")
    said = shop.run("import_sqlite", status=1)
    assert "shop.orders.coupon: no model declares this column" in said
    assert "1 missing_parent" in said
    assert "NOT PROVEN" in shop.run("verify_migration", status=1)
    shop.run("quarantine", "accept", "1", "--note", "of a customer who is gone")
    shop.run("inventory", "leave", "shop.orders.coupon", "--note", "not used any more")
    assert "PROVEN: all 5 legacy rows" in shop.run("verify_migration", "--round-trip")
    return shop


@pytest.mark.long
def test_it_moves_is_proven_and_goes_back(proven: Shop) -> None:
    """One story, since each of its commands is a process of a second."""
    see_rows(proven)
    see_a_wrong_value(proven)
    go_and_come_back(proven)


DELETE_A_GROUP = """
from django.contrib.auth.models import Group
Group.objects.get(name="viewer").delete()
"""


@pytest.fixture
def bare(shop: Shop) -> Shop:
    """Without accounts, admin and content types; migrated, imported, decided and proven."""
    shop.settings = "project.bare"
    assert "no issues" in shop.run("check", "--database", "default")
    return prove(shop)


@pytest.mark.slow
def test_a_project_without_accounts_goes_and_comes_back(bare: Shop) -> None:
    go_and_come_back(bare)


def test_a_project_without_accounts_gets_them_later(bare: Shop) -> None:
    """It has no groups and no console."""
    shop = bare
    shop.settings = "project.settings"
    shop.run("migrate", "-v0")
    assert shop.target("SELECT count(*) FROM auth_group") == [[3]]
    shop.run("shell", "-v0", "-c", DELETE_A_GROUP)
    shop.run("migrate", "-v0")
    assert shop.target("SELECT count(*) FROM auth_group") == [[2]]


def see_rows(proven: Shop) -> None:
    """Local times are of the file's own zone, with its summer time."""
    assert proven.target(f"{CUSTOMERS} ORDER BY id") == [
        [1, "Ann", "2025-07-01 08:00:00", '{"nickname": "annie"}'],
        [2, "Bob", "2025-12-01 09:00:00", None],
    ]
    assert proven.target(f"{ORDERS} ORDER BY id") == [
        [1, 1, 9.5, '{"a": 1}'],
        [2, 2, None, None],
    ]
    said = proven.run("shell", "-v0", "-c", PAGES)
    assert " 200\n" in said
    assert not [line for line in said.splitlines() if line[-3:] in ("302", "403", "404", "500")]
    assert "\n[]\n" in said
    assert "['administrator', 'operator', 'viewer']" in said


def see_a_wrong_value(proven: Shop) -> None:
    proven.target('UPDATE "shop_order" SET amount = 9.25 WHERE id = 2 RETURNING id')
    said = proven.run("verify_migration", status=1)
    assert "public.shop_order:amount" in said
    proven.target('UPDATE "shop_order" SET amount = NULL WHERE id = 2 RETURNING id')


def go_and_come_back(proven: Shop) -> None:
    proven.run("sync_sqlite", "--install")
    names = [name for (name,) in proven.legacy("SELECT name FROM sqlite_master")]
    assert "transfer_change" in names
    assert not [name for name in names if "stillme" in name.lower()]
    proven.legacy("INSERT INTO customers VALUES (5, 'Eve', '2025-08-01T10:00:00', NULL)")
    proven.legacy("INSERT INTO orders VALUES (7, 5, 3.25, NULL, 'Y')")
    proven.legacy("UPDATE orders SET amount = 11 WHERE id = 1")
    proven.run("sync_sqlite", "--once")
    assert proven.target(f"{ORDERS} WHERE id IN (1, 7) ORDER BY id") == [
        [1, 1, 11.0, '{"a": 1}'],
        [7, 5, 3.25, None],
    ]
    proven.run("verify_migration")
    backup = str(proven.file.parent / "backup")
    proven.run("backup_sqlite", "--to", backup)
    proven.run("cutover", "--backup", backup)
    # Root gets past the seal, and to the trigger.
    refused = r"The application has moved to PostgreSQL|attempt to write a readonly database"
    with pytest.raises(sqlite3.Error, match=refused):
        proven.legacy("DELETE FROM orders")

    proven.target('UPDATE "shop_order" SET amount = 99.5 WHERE id = 1 RETURNING id')
    proven.target("INSERT INTO \"shop_customer\" (name) VALUES ('Zed') RETURNING id")
    proven.run("rollback_migration")
    assert proven.legacy("SELECT amount, coupon FROM orders WHERE id = 1") == [(99.5, "X")]
    assert proven.legacy("SELECT id, name FROM customers WHERE name = 'Zed'") == [(6, "Zed")]
    proven.legacy("DELETE FROM orders WHERE id = 2")
    assert "Traceback" not in proven.run("migration_status")
