"""A query about rows calls PostgreSQL's own functions and operators only, and reads any text."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.db import connection
from django.db.backends.postgresql.base import Cursor, ServerBindingCursor

from stillme.transfer.verify.sides.row_query import read
from tests.transfer.load.support import query
from tests.transfer.verify.support import undone

pytestmark = pytest.mark.django_db


@pytest.fixture
def shadowed() -> Iterator[None]:
    """Somebody's functions and operators, of types that fit a varchar better than PostgreSQL's."""
    with undone():
        for sql in (
            "CREATE FUNCTION public.octet_length(varchar) RETURNS int LANGUAGE sql RETURN 99",
            "CREATE FUNCTION public.glue(text, varchar) RETURNS text LANGUAGE sql RETURN 'glued'",
            "CREATE OPERATOR public.|| (leftarg = text, rightarg = varchar, "
            "function = public.glue)",
            "CREATE FUNCTION public.never(varchar, varchar) RETURNS boolean LANGUAGE sql "
            "RETURN false",
            "CREATE OPERATOR public.= (leftarg = varchar, rightarg = varchar, "
            "function = public.never)",
        ):
            query(sql)
        yield


ASKED = "SELECT octet_length(v), 'a'::text || v, v = %s FROM (SELECT 'bc'::varchar AS v) AS row"


@pytest.mark.parametrize("cursor", [Cursor, ServerBindingCursor])
def test_somebodys_functions_are_not_called(
    shadowed: None, cursor: type, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert query(ASKED, "bc") == [(99, "glued", False)]
    monkeypatch.setattr(connection.connection, "cursor_factory", cursor)
    before = query("SHOW search_path")
    assert read("default", ASKED, ["bc"]) == [(2, "abc", True)]
    assert query("SHOW search_path") == before


def test_a_percent_sign_without_parameters(shadowed: None) -> None:
    assert read("default", "SELECT '100 %'::varchar") == [("100 %",)]


@pytest.mark.parametrize("kind", ["text", "varchar", "bpchar"])
def test_a_text_that_is_not_utf8_is_read(kind: str) -> None:
    with undone():
        query(f"CREATE CAST (bytea AS {kind}) WITHOUT FUNCTION")
        assert read("default", f"SELECT '\\xc3'::bytea::{kind}") == [("\udcc3",)]
