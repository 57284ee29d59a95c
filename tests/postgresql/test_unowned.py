"""Tables in the target that no installed app owns: told by check, status and go/no-go list."""

from __future__ import annotations

import io

import pytest
from django.core.checks import run_checks
from django.core.management import call_command
from django.db import connection

from stillme.ops.checks import tables_have_owners
from stillme.postgresql.unowned import unowned_sentence, unowned_tables
from stillme.transfer.steps.readiness.lines import YELLOW, unowned_lines

pytestmark = pytest.mark.django_db

OWNED = [
    "CREATE TABLE transfer.of_an_older_version (id int)",
    "CREATE TEMPORARY TABLE stage (id int)",
    "CREATE VIEW public.seen AS SELECT 1",
    "CREATE SEQUENCE public.numbers",
]
OTHERS = [
    ("CREATE TABLE public.alembic_version (version_num text)", ["public.alembic_version"]),
    # The name of a table of ours, in another schema: what the old copy script makes.
    ("CREATE TABLE public.knowledge_items (id int)", ["public.knowledge_items"]),
    ("CREATE TABLE knowledge.notes (id int)", ["knowledge.notes"]),
    ("CREATE SCHEMA old; CREATE TABLE old.django_migrations (id int)", ["old.django_migrations"]),
    ("CREATE TABLE rss.parts (id int) PARTITION BY RANGE (id);"
     "CREATE TABLE rss.part PARTITION OF rss.parts DEFAULT", ["rss.parts"]),
    ('CREATE TABLE public."Odd "" name" (id int)', ['public.Odd " name']),
]  # fmt: skip


def made(sql: str) -> list[str]:
    with connection.cursor() as cursor:
        cursor.execute(sql)
    return unowned_tables(connection, {"transfer"})


@pytest.mark.parametrize("sql", ["SELECT 1", *OWNED])
def test_ours(sql: str) -> None:
    assert made(sql) == []
    assert tables_have_owners(databases=["default"]) == []
    assert unowned_lines("default") == []


@pytest.mark.parametrize(("sql", "names"), OTHERS)
def test_others(sql: str, names: list[str]) -> None:
    assert made(sql) == names
    (line,) = unowned_lines("default")
    assert (line.colour, names[0] in line.finding) == (YELLOW, True)
    (warning,) = run_checks(tags=["database"], databases=["default"])
    assert names[0] in warning.msg
    assert "docs/howto/moving-the-application.md" in (warning.hint or "")
    assert run_checks(tags=["database"], databases=[]) == []
    told = io.StringIO()
    call_command("migration_status", stdout=told)
    assert names[0] in told.getvalue()


def test_not_without_a_database() -> None:
    """`manage.py check` alone asks no server."""
    assert tables_have_owners() == []


def test_many_are_counted() -> None:
    names = [f"public.t{n}" for n in range(7)]
    assert unowned_sentence(names).startswith(
        "public.t0, public.t1, public.t2, public.t3, public.t4 and 2 more are"
    )
