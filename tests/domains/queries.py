"""Counting what a call says to the database."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from django.db import connection
from django.test.utils import CaptureQueriesContext

AROUND = ("SAVEPOINT", "RELEASE", "ROLLBACK", "BEGIN", "COMMIT")


@contextmanager
def statements(expected: int) -> Iterator[None]:
    """Exactly so many statements are made within, not counting those around a transaction."""
    with CaptureQueriesContext(connection) as queries:
        yield
    made = [q["sql"] for q in queries.captured_queries if not q["sql"].startswith(AROUND)]
    assert len(made) == expected, "\n".join(made)


def plans(call: Callable[[], object]) -> list[str]:
    """PostgreSQL's plan of every SELECT that a call makes."""
    with CaptureQueriesContext(connection) as queries:
        call()
    selects = [q["sql"] for q in queries.captured_queries if q["sql"].startswith("SELECT")]
    with connection.cursor() as cursor:
        return [_plan(cursor, sql) for sql in selects]


def _plan(cursor: Any, sql: str) -> str:
    cursor.execute(f"EXPLAIN {sql}")
    return "\n".join(line for (line,) in cursor.fetchall())
