"""Every foreseeable failure of the database is one sentence that says what to do."""

from __future__ import annotations

import os
import re
from typing import Any

import psycopg
import pytest
from django.db import DatabaseError, connections, transaction

from stillme.postgresql.connecting.explain import explain_operational_error
from stillme.postgresql.embedded import EmbeddedServerError
from tests.conftest import ROOT
from tests.fork_server import run_python


@pytest.mark.parametrize(
    ("error", "setting"),
    [
        (psycopg.errors.IdleInTransactionSessionTimeout, "idle_in_transaction_session_timeout"),
        (psycopg.errors.TransactionTimeout, "transaction_timeout"),
        (psycopg.errors.IdleSessionTimeout, "idle_session_timeout"),
    ],
)
def test_a_time_limit_that_ends_the_session_is_named(error: Any, setting: str) -> None:
    said = error("terminating connection due to a timeout")
    assert f"SET {setting} = 0 for the user" in explain_operational_error(said)


@pytest.mark.parametrize(
    ("said", "sentence"),
    [
        ('FATAL:  password authentication failed for user "me"', "refuses the password of me"),
        ("fe_sendauth: no password supplied", "wants a password"),
        ('FATAL:  no pg_hba.conf entry for host "10.0.0.1", user "u"', "its pg_hba.conf"),
        ('FATAL:  Peer authentication failed for user "me"', "add a host to DATABASE_URL"),
        ('could not translate host name "db" to address: unknown', "host db is not known"),
        ("connection timeout expired", "does not answer in time"),
        ("FATAL:  sorry, too many clients already", "no connection left"),
        ("FATAL:  the database system is starting up", "is starting up: try again"),
        ("couldn't get a connection after 10.00 sec", "No connection of the pool came free"),
        ("server closed the connection unexpectedly\n\tThis probably", "ended the connection"),
        (
            "connection to the remote node u@10.0.0.2:5432 failed with the following error: FATAL: "
            "the database system is starting up",
            "A node of the cluster does not answer",
        ),
        ("failed to COPY to shard 102037 on 10.0.0.2:5432", "A node of the cluster does not"),
        (
            "server closed the connection unexpectedly\nCONTEXT:  while executing command on 10.2",
            "A node of the cluster does not answer",
        ),
        ("attempt to write a readonly database", "legacy files are read-only"),
    ],
)
def test_what_the_server_says_becomes_a_sentence(said: str, sentence: str) -> None:
    explained = explain_operational_error(psycopg.OperationalError(f"connection failed: {said}"))
    assert sentence in explained
    assert "\n" not in explained
    assert "10.0.0.2" not in explained


def test_anything_else_is_quoted_without_its_details() -> None:
    error = psycopg.DataError("no such thing\nDETAIL:  Key (secret)=(geheim) exists.")
    assert explain_operational_error(error) == "PostgreSQL says: no such thing."


def test_a_broken_connection_counts_before_what_comes_of_it() -> None:
    broken = psycopg.OperationalError("could not receive data from server: Connection timed out")
    later = psycopg.errors.ConnectionTimeout("connection timeout expired")
    later.__context__ = DatabaseError(str(broken))
    later.__context__.__cause__ = broken
    assert "gone silent, or the network to it is cut" in explain_operational_error(later)
    quoted = psycopg.errors.InvalidTextRepresentation("bad integer: Connection timed out")
    assert "PostgreSQL says: bad integer" in explain_operational_error(quoted)


def test_the_embedded_server_speaks_for_itself() -> None:
    assert explain_operational_error(EmbeddedServerError("Do this.")) == "Do this."


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("statement", "sentence"),
    [
        ("SELECT * FROM nowhere.nothing", "run `python manage.py migrate`"),
        ("SET LOCAL statement_timeout = 20; SELECT pg_sleep(5)", "stopped a statement"),
        (
            "SET LOCAL ROLE pg_monitor; CREATE TABLE public.t ()",
            "lacks a right on the schema public: have its owner GRANT CREATE ON SCHEMA public",
        ),
        ("SET LOCAL search_path = nowhere; CREATE TABLE t ()", "schemas in the role's search_path"),
        ("SET TRANSACTION READ ONLY; CREATE TABLE t ()", "takes no writes"),
    ],
)
def test_statements_that_fail(statement: str, sentence: str) -> None:
    with pytest.raises(DatabaseError) as caught, transaction.atomic():
        with connections["default"].cursor() as cursor:
            cursor.execute(statement)
    assert sentence in explain_operational_error(caught.value)


@pytest.fixture
def command(target_environment: dict[str, str], django_db_blocker: Any) -> Any:
    """Run a command against a variation of the test database's URL."""

    def run(*arguments: str, change: tuple[str, str], **more: str) -> tuple[int, str]:
        url = re.sub(*change, target_environment["DATABASE_URL"])
        environment = {**target_environment, "DATABASE_URL": url, **more}
        answer = run_python(["manage.py", *arguments], ROOT, environment)
        assert "Traceback" not in answer.stderr
        return answer.returncode, answer.stdout + answer.stderr

    return run


@pytest.mark.slow_after(1)
@pytest.mark.parametrize("pool", ["0", "2"])
def test_no_server(command: Any, pool: str) -> None:
    change = (r"host=[^&]+&port=\d+", "host=127.0.0.1&port=9")
    status, said = command("migrate", change=change, DB_POOL_MAX_SIZE=pool)
    assert status == 2
    assert said.startswith("No PostgreSQL answers")


def test_no_database_then_create_database(command: Any, django_db_blocker: Any) -> None:
    name = f"test_created_{os.getpid()}"
    change = (r"@/[^?]+", f"@/{name}")
    status, said = command("showmigrations", "rss", change=change)
    assert (status, "create_database" in said) == (2, True)
    assert command("create_database", change=change)[0] == 0
    again = command("create_database", change=change)
    assert again == (
        0,
        f"The database {name} exists already: `python manage.py migrate` comes next.\n",
    )
    assert command("showmigrations", "rss", change=change)[0] == 0
    with django_db_blocker.unblock(), connections["default"]._nodb_cursor() as cursor:
        cursor.execute(f"DROP DATABASE {name}")


def test_an_unknown_user_or_a_wrong_password(command: Any) -> None:
    status, said = command("migrate", change=(r"//[^@]+@", "//nobody_of_this_name:geheim@"))
    assert status == 2
    assert "correct the user and the password" in said
    assert "geheim" not in said
