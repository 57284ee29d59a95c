"""Making the target database itself."""

from __future__ import annotations

from django.db import ProgrammingError, connections

from stillme.postgresql.base import DatabaseWrapper
from stillme.postgresql.connecting.explain import sqlstate
from stillme.postgresql.names import quote

DUPLICATE_DATABASE = "42P04"


def create_database(alias: str) -> tuple[str, bool]:
    """Create the database of an alias in UTF-8; answers its name, and whether it was made."""
    connection = connections[alias]
    if not isinstance(connection, DatabaseWrapper):
        raise ProgrammingError(f"the alias {alias} is no PostgreSQL database of this project")
    name = str(connection.settings_dict["NAME"])
    with connection._nodb_cursor() as cursor:
        cursor.execute("SELECT 1 FROM pg_catalog.pg_database WHERE datname = %s", [name])
        if cursor.fetchone():
            return name, False
        try:
            # template0: template1 may have another encoding, which cannot be changed in a copy.
            cursor.execute(f"CREATE DATABASE {quote(name)} ENCODING 'UTF8' TEMPLATE template0")
        except ProgrammingError as error:
            if sqlstate(error) != DUPLICATE_DATABASE:
                raise
            return name, False
    return name, True
