"""Counting what a call says to the database."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from django.db import connection
from django.test.utils import CaptureQueriesContext

# What PostgreSQL has no plan of.
UTILITY = ("SET ", "DROP ", "CREATE ")
AROUND = ("SAVEPOINT", "RELEASE", "ROLLBACK", "BEGIN", "COMMIT")


@contextmanager
def statements(expected: int) -> Iterator[None]:
    """Exactly so many statements are made within, not counting those around a transaction."""
    with CaptureQueriesContext(connection) as queries:
        yield
    made = [q["sql"] for q in queries.captured_queries if not q["sql"].startswith(AROUND)]
    assert len(made) == expected, "\n".join(made)


def plans(call: Callable[[], object], only: str = "SELECT") -> list[str]:
    """PostgreSQL's plan of every statement that a call makes and that begins with `only`.

    Those around a transaction do not count; `only=""` is all others. Empty for one without a plan.
    """
    made: list[str] = []

    def note(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        if sql.startswith(only) and not sql.startswith(AROUND):
            with connection.connection.cursor() as cursor:
                made.append(_plan(cursor, sql, params))
        return execute(sql, params, many, context)

    with connection.execute_wrapper(note):
        call()
    return made


def _plan(cursor: Any, sql: str, params: Any) -> str:
    if sql.startswith(UTILITY):
        return ""
    cursor.execute(f"EXPLAIN {sql}", params)
    return "\n".join(line for (line,) in cursor.fetchall())
