"""A page for administrators: one query, read-only, bounded, and recorded with who asked it.

PostgreSQL itself keeps it harmless: the query runs as the definition of a cursor, which takes a
SELECT or VALUES and nothing else, in a READ ONLY transaction with a time limit, without a
superuser's rights where the role can put them down. The extended protocol takes one statement.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from django.contrib import admin
from django.contrib.admin.models import ADDITION, LogEntry
from django.core.exceptions import PermissionDenied
from django.db import DatabaseError, connection, transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import path
from django.utils.safestring import SafeString
from django.views.decorators.http import require_http_methods
from psycopg import Cursor

from stillme.pages.cells import foldable
from stillme.postgresql.statements import execute, fetch_all, set_local

ROWS = 500
TIMEOUT = 5_000
LONGEST = 20_000
# Characters of a cell.
CELL = 2_000
_READER = "pg_read_all_data"


@dataclass(slots=True)
class Answer:
    """What a query gave, or why not."""

    columns: list[str] = field(default_factory=list)
    rows: list[list[SafeString]] = field(default_factory=list)
    more: bool = False
    problem: str = ""


@require_http_methods(["GET", "POST"])
def sql_page(request: HttpRequest) -> HttpResponse:
    """A field for the query, and its rows. Superusers only."""
    if not (request.user.is_active and request.user.is_superuser):
        raise PermissionDenied
    query = request.POST.get("query", "")[:LONGEST].strip()
    answer = None
    if query:
        # Before it runs: what was asked is on record whatever becomes of it.
        LogEntry.objects.create(
            user_id=request.user.pk,
            action_flag=ADDITION,
            object_repr="SQL query",
            change_message=query,
        )
        answer = ask(query)
    context = {
        **admin.site.each_context(request),
        "title": "SQL, read-only",
        "query": query,
        "answer": answer,
        "limit": ROWS,
        "seconds": TIMEOUT // 1000,
        "tables": tables(),
    }
    return render(request, "console/sql.html", context)


def tables() -> list[str]:
    """What there is to ask for: the tables that have a page, as a query names them."""
    names = {model._meta.db_table for model in admin.site._registry}
    return sorted(name if '"' in name else f'"{name}"' for name in names)


def ask(query: str) -> Answer:
    """Run one query. Whatever PostgreSQL says against it is the answer's problem."""
    try:
        with transaction.atomic():
            execute(connection, "SET TRANSACTION READ ONLY")
            set_local(connection, {"statement_timeout": TIMEOUT})
            may = "SELECT pg_has_role(current_user, %s, 'MEMBER')"
            if fetch_all(connection, may, [_READER])[0][0]:
                execute(connection, f"SET LOCAL ROLE {_READER}")
            return _rows(query)
    except DatabaseError as error:
        return Answer(problem=str(error).strip())


def _rows(query: str) -> Answer:
    """The first rows; each cell as text, cut."""
    with connection.wrap_database_errors, Cursor(connection.connection) as cursor:
        # Binary, by psycopg's own cursor: the extended protocol refuses a second statement.
        cursor.execute(
            f"DECLARE asked NO SCROLL CURSOR FOR {query.rstrip(';')}".encode(), binary=True
        )
        cursor.execute(f"FETCH {ROWS + 1} FROM asked")
        columns = [column.name for column in cursor.description or ()]
        found: list[Any] = cursor.fetchall()
    rows = [[foldable("NULL" if c is None else str(c)[:CELL]) for c in row] for row in found[:ROWS]]
    return Answer(columns, rows, more=len(found) > ROWS)


urlpatterns = [path("", admin.site.admin_view(sql_page), name="sql")]
