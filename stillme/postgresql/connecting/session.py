"""What a session must be set to, whatever the role's or the database's own settings are."""

from __future__ import annotations

import re
from typing import Any

import psycopg
from django.core.exceptions import ImproperlyConfigured
from django.db.backends.base.base import BaseDatabaseWrapper

_SCHEMA = re.compile(r'"(?:[^"]|"")*"|[^,\s]+')
_CATALOGUE = ("pg_catalog", '"pg_catalog"')


def configure(connection: psycopg.Connection[Any]) -> bool:
    """Set what differs; whether anything was asked of the server. It reports most by itself."""
    return _set_style(connection) | _set_path(connection)


def spell_plainly(connection: BaseDatabaseWrapper) -> None:
    """Let the server describe types and definitions without quoting names that need none.

    For whoever compares its words; `quote_all_identifiers` is off unless somebody set it.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT set_config('quote_all_identifiers', 'off', false)")


def check_encoding(connection: psycopg.Connection[Any]) -> None:
    """Raises ImproperlyConfigured where the database cannot hold every text.

    LATIN1 has no place for most letters, and SQL_ASCII refuses JSON's escapes of them.
    """
    encoding = connection.info.parameter_status("server_encoding") or "UTF8"
    if encoding != "UTF8":
        raise ImproperlyConfigured(
            f"The database {connection.info.dbname} has the encoding {encoding}, and only UTF8 "
            "holds every text: name another in DATABASE_URL, `manage.py create_database` makes it "
            "in UTF8."
        )


def _set_style(connection: psycopg.Connection[Any]) -> bool:
    """Times in the one style that psycopg reads."""
    if (connection.info.parameter_status("DateStyle") or "ISO").startswith("ISO"):
        return False
    connection.execute("SET DateStyle TO ISO, MDY")
    return True


def _set_path(connection: psycopg.Connection[Any]) -> bool:
    """PostgreSQL's own functions and operators before those of the same name elsewhere.

    So it is unless somebody put pg_catalog behind another schema. The others stay: Django's tables
    may be in any of them.
    """
    path = connection.info.parameter_status("search_path")
    is_told = path is not None
    if path is None:
        # A server before 18 does not report it.
        path = str(connection.execute("SHOW search_path").fetchall()[0][0])
    safe = path_with_catalogue_first(path)
    if safe == path:
        return not is_told
    connection.execute("SELECT pg_catalog.set_config('search_path', %s, false)", [safe])
    return True


def path_with_catalogue_first(path: str) -> str:
    """The search path without a pg_catalog that others come before: unnamed, it is the first."""
    schemas = _SCHEMA.findall(path)
    if not any(schema.lower() in _CATALOGUE for schema in schemas[1:]):
        return path
    first = schemas[0].lower() in _CATALOGUE
    kept = [schema for schema in schemas if schema.lower() not in _CATALOGUE]
    return ", ".join([*schemas[:1], *kept] if first else kept)
