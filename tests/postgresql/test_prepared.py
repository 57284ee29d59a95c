"""Statements run by one call into libpq answer, fail and recover as psycopg's cursors do."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest
from django.db import connection
from psycopg import errors
from psycopg.pq import Format
from psycopg.types.json import Jsonb

from stillme.postgresql import prepared

pytestmark = pytest.mark.django_db(transaction=True)
AGAIN = 2


@pytest.fixture
def session() -> Iterator[psycopg.Connection[Any]]:
    parameters = connection.get_connection_params()
    parameters.pop("cursor_factory", None)
    parameters["prepare_threshold"] = AGAIN
    with psycopg.connect(**parameters, autocommit=True) as session:
        yield session


def fetch(
    session: psycopg.Connection[Any], sql: str, *given: Any, answer: Format = Format.TEXT
) -> list[tuple[Any, ...]] | None:
    """Until it is prepared, then its rows."""
    for _ in range(AGAIN):
        assert prepared.fetch_prepared(session, sql, given, answer) is None
    return prepared.fetch_prepared(session, sql, given, answer)


@pytest.mark.parametrize("answer", Format)
@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("text", "xin chào % 100 %s"),
        ("integer", -7),
        ("bigint", 2**60),
        ("float8", 0.1),
        ("float8", float("inf")),
        ("boolean", True),
        ("bytea", b"\0\xff"),
        ("timestamptz", datetime(2026, 11, 23, 1, 2, 3, 456789, tzinfo=UTC)),
        ("jsonb", Jsonb({"a": [1, None, "ü"]})),
        ("integer[]", [1, 2]),
        ("text", None),
    ],
)
@pytest.mark.parametrize("mark", ["%s", "%t"])
def test_values_are_those_of_a_cursor(session, answer, kind, value, mark):
    if (mark, kind) == ("%t", "bytea"):
        mark = "%b"
    sql = f"SELECT {mark}::{kind}, 100 %% 7"
    with session.cursor(binary=bool(answer)) as cursor:
        wanted = cursor.execute(sql, [value]).fetchall()
    assert fetch(session, sql, value, answer=answer) == wanted
    assert prepared.fetch_prepared(session, sql, [value], answer) == wanted


def test_a_statement_is_prepared_once_for_parameters_of_the_same_types(session):
    sql = "SELECT %s::text || 'ù'"
    fetch(session, sql, "a")
    for text in ("b", "c"):
        assert prepared.fetch_prepared(session, sql, [text], Format.TEXT) == [(f"{text}ù",)]
    assert prepared.fetch_prepared(session, sql, [1], Format.TEXT) is None
    names = session.execute("SELECT name FROM pg_prepared_statements WHERE name LIKE 'stillme%'")
    assert names.fetchall() == [("stillme_0",)]


def test_nothing_is_prepared_where_that_is_switched_off_or_within_a_transaction(session):
    with session.transaction():
        for _ in range(AGAIN + 1):
            assert prepared.fetch_prepared(session, "SELECT 1", [], Format.TEXT) is None
    session.prepare_threshold = None
    for _ in range(AGAIN + 1):
        assert prepared.fetch_prepared(session, "SELECT 1", [], Format.TEXT) is None


def test_there_is_an_end_to_the_statements_a_session_keeps(session, monkeypatch):
    monkeypatch.setattr(prepared, "MOST_STATEMENTS", 2)
    assert fetch(session, "SELECT 1") == [(1,)]
    assert fetch(session, "SELECT 2") == [(2,)]
    assert fetch(session, "SELECT 3") is None
    assert prepared.fetch_prepared(session, "SELECT 1", [], Format.TEXT) == [(1,)]


@pytest.mark.parametrize(
    ("sql", "given", "error"),
    [
        ("SELECT 1 / %s::int", 0, errors.DivisionByZero),
        ("SELECT %t::integer", 2**40, errors.NumericValueOutOfRange),
        ("SELECT pg_sleep(9), set_config('x.y', %s, false)", "z", errors.QueryCanceled),
    ],
)
def test_an_error_is_psycopgs_and_the_session_goes_on(session, sql, given, error):
    if error is errors.QueryCanceled:
        session.execute("SET statement_timeout = '100ms'")
    for _ in range(2):
        with pytest.raises(error):
            while True:
                assert prepared.fetch_prepared(session, sql, [given], Format.TEXT) is None
    session.execute("SET statement_timeout = 0")
    assert fetch(session, "SELECT 5") == [(5,)]


def test_a_statement_that_cannot_be_prepared_says_so_each_time(session):
    for _ in range(2):
        with pytest.raises(errors.UndefinedTable):
            while True:
                assert (
                    prepared.fetch_prepared(session, "SELECT * FROM no.t", [], Format.TEXT) is None
                )


@pytest.mark.parametrize("forgotten", ["DISCARD ALL", "DEALLOCATE ALL"])
def test_what_the_server_forgot_is_prepared_anew(session, forgotten):
    assert fetch(session, "SELECT 1") == [(1,)]
    session.execute(forgotten)
    assert prepared.fetch_prepared(session, "SELECT 1", [], Format.TEXT) is None
    assert fetch(session, "SELECT 1") == [(1,)]


def test_a_table_that_was_altered_is_read_as_it_is_now(session):
    session.execute("CREATE TEMP TABLE altered (a int)")
    session.execute("INSERT INTO altered VALUES (1)")
    assert fetch(session, "SELECT * FROM altered") == [(1,)]
    session.execute("ALTER TABLE altered ADD COLUMN b text DEFAULT 'new'")
    assert prepared.fetch_prepared(session, "SELECT * FROM altered", [], Format.TEXT) is None
    assert fetch(session, "SELECT * FROM altered") == [(1, "new")]


def test_a_session_that_the_server_ended_is_an_operational_error(session):
    assert fetch(session, "SELECT 1") == [(1,)]
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(%s, 60000)", [session.info.backend_pid])
        assert cursor.fetchone() == (True,)
    with pytest.raises(psycopg.OperationalError):
        prepared.fetch_prepared(session, "SELECT 1", [], Format.TEXT)
    assert session.closed
