"""A database for one rehearsal: made, used in place of the target, dropped.

A rehearsal that was killed leaves its database; the next one drops it. Who is alive is known from
an advisory lock in the server's own database, held for the time of the rehearsal, and from the
sessions in the scratch database.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import psycopg
from django.db import connections
from psycopg import sql

from stillme.transfer.conf import conf
from stillme.transfer.errors import TargetError
from stillme.transfer.postgresql.copy import execute, fetch_all, quoted

PREFIX = f"{conf().prefix}_rehearsal_"
# "stre" in ASCII digits: classid of the locks of rehearsals.
_CLASS = 0x7374_7265
_DEAD = (
    "SELECT datname FROM pg_catalog.pg_database d WHERE starts_with(datname, %s) "
    "AND pg_has_role(datdba, 'USAGE') "
    "AND NOT EXISTS (SELECT FROM pg_catalog.pg_stat_activity a WHERE a.datid = d.oid)"
)


@contextmanager
def scratch_database(alias: str) -> Iterator[str]:
    """Point the alias at a fresh database of the same server, dropped at the end; its name."""
    connection = connections[alias]
    connection.ensure_connection()
    original = connection.settings_dict["NAME"]
    home = fetch_all(alias, "SELECT current_schema()")[0][0]
    name = PREFIX + secrets.token_hex(4)
    with maintenance(alias) as keeper:
        drop_dead(keeper)
        _claim(keeper, name)
        _create(keeper, name)
        _switch(alias, name)
        try:
            if home:
                # Where Django's tables go, by the role's search_path; a new database has `public`.
                execute(alias, f"CREATE SCHEMA IF NOT EXISTS {quoted(home)}")
            yield name
        finally:
            _switch(alias, original)
            # The session that keeps the lock was idle for long: another one drops.
            with maintenance(alias) as server:
                _run(server, "DROP DATABASE IF EXISTS {} WITH (FORCE)", name)


def drop_dead(server: psycopg.Connection[Any]) -> None:
    """Drop the scratch databases of rehearsals that were killed."""
    for (name,) in server.execute(_DEAD, [PREFIX]).fetchall():
        if not _claim(server, name):
            continue
        # Somebody has come or has dropped it meanwhile: then it is not ours to drop.
        with suppress(psycopg.errors.ObjectInUse, psycopg.errors.InvalidCatalogName):
            _run(server, "DROP DATABASE {}", name)
        server.execute("SELECT pg_advisory_unlock(%s, hashtext(%s))", [_CLASS, name])


@contextmanager
def maintenance(alias: str) -> Iterator[psycopg.Connection[Any]]:
    """A session in the server's own database, with all that the alias's URL says."""
    parameters = {**connections[alias].get_connection_params(), "dbname": "postgres"}
    with psycopg.connect(**parameters, autocommit=True) as server:
        yield server


def _claim(server: psycopg.Connection[Any], name: str) -> bool:
    """Take the lock of a scratch database; whether it was free."""
    sql_text = "SELECT pg_try_advisory_lock(%s, hashtext(%s))"
    return bool(server.execute(sql_text, [_CLASS, name]).fetchall()[0][0])


def _create(server: psycopg.Connection[Any], name: str) -> None:
    try:
        _run(server, "CREATE DATABASE {}", name)
    except psycopg.errors.InsufficientPrivilege as error:
        raise TargetError(
            "The database user may not create the scratch database: grant it CREATEDB, or "
            "rehearse with another user in DATABASE_URL."
        ) from error


def _run(server: psycopg.Connection[Any], statement: str, name: str) -> None:
    server.execute(sql.SQL(statement).format(sql.Identifier(name)))


def _switch(alias: str, name: str) -> None:
    connection: Any = connections[alias]
    connection.close()
    connection.close_pool()
    connection.settings_dict["NAME"] = name
