"""Emptying the target after a test that committed.

Django truncates every table and makes content types and permissions anew: a third of a second a
test, since each truncated table costs files on the disk. Tests leave few rows in few tables, so
deleting those costs a hundredth of it.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from django.db import connections, transaction

# What `migrate` put there, and every test finds.
KEPT = {
    "django_migrations",
    "django_content_type",
    "auth_permission",
    "auth_group",
    "auth_group_permissions",
}

START_AGAIN = """
    SELECT setval(format('%I.%I', schemaname, sequencename), start_value, false)
    FROM pg_sequences WHERE last_value IS NOT NULL AND schemaname <> 'public'
"""


ITEMS = '"vector"."items"'
OWN_EXTENSION = """
    SELECT FROM pg_extension WHERE extname = 'vector' AND extowner = current_user::regrole
"""


def empty_after_test(test_case: Any) -> None:
    """In the place of `TransactionTestCase._fixture_teardown`."""
    for alias in test_case._databases_names(include_mirrors=False):
        empty_database(alias)


def empty_database(alias: str = "default") -> None:
    """Delete every row but those that `migrate` makes, and what pgvector left."""
    with connections[alias].cursor() as cursor:
        # Whether it is installed, with which indexes, is not to depend on what ran before.
        cursor.execute(OWN_EXTENSION)
        if cursor.rowcount:
            cursor.execute("DROP EXTENSION vector CASCADE")
    names = connections[alias].introspection.django_table_names(
        only_existing=True, include_views=False
    )
    delete_rows([name for name in names if name not in KEPT], alias)


def _emptying(name: str, quoted: str) -> str:
    # Collections have the same numbers in each test, and the index of a collection is also built
    # over deleted rows while a transaction is open in any database: of another dimension, it fails.
    return f"TRUNCATE {quoted}" if name == ITEMS else f"DELETE FROM {quoted}"


def delete_rows(tables: Collection[str], alias: str = "default") -> None:
    """Delete all rows of these tables, in any order: foreign keys are looked at when it commits.

    Tables are named by their `db_table`; sequences of the project's own schemas start again. Raises
    IntegrityError where a table that is not named still refers to one of the rows.
    """
    connection = connections[alias]
    quote = connection.ops.quote_name
    with transaction.atomic(using=alias), connection.cursor() as cursor:
        found = ", ".join(f"EXISTS (SELECT FROM {quote(name)})" for name in tables)
        cursor.execute(f"SELECT {found}")
        held = [name for name, holds in zip(tables, cursor.fetchone(), strict=True) if holds]
        if held:
            cursor.execute("; ".join(_emptying(name, quote(name)) for name in held))
        # An imported id may have been the last that there is.
        cursor.execute(START_AGAIN)
