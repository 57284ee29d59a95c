"""A migrated template database, cloned for every test process.

Migrating takes seconds and changes only when a migration or the backend does; a clone takes a
tenth of one. The template is named after a digest of what it was made from, so that the next run
finds it, and those of other digests are dropped.
"""

from __future__ import annotations

import gc
import hashlib
import inspect
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import django
import psycopg
from django.apps import apps
from django.core.management import call_command
from django.db import connections
from psycopg import sql

import stillme.postgresql

PREFIX = "test_stillme_template_"
LOCK = 0x5711137E57  # any number, the same for all test processes


@contextmanager
def cloned_database(name: str) -> Iterator[str]:
    """Point the alias `default` at a fresh migrated database of this name."""
    connection = connections["default"]
    original = connection.settings_dict["NAME"]
    template = PREFIX + digest_of_schema()
    with maintenance(connection) as server:
        server.execute("SELECT pg_advisory_lock(%s)", [LOCK])
        make_template(server, template)
        drop_all_of(server, name)
        copy_database(server, name, template)
    # Whatever a test without a database of its own has opened leads elsewhere.
    connection.close()
    connection.close_pool()
    connection.settings_dict["NAME"] = name
    try:
        yield name
    finally:
        connection.close()
        connection.close_pool()
        connection.settings_dict["NAME"] = original
        with maintenance(connection) as server:
            drop_all_of(server, name)


def copy_database(
    server: psycopg.Connection[Any], name: str, template: str, oid: int | None = None
) -> None:
    """Make a database that is a copy of another one, with this OID where one is given."""
    numbered = "" if oid is None else f" OID {oid}"
    when_alone(server, f"CREATE DATABASE {{}} TEMPLATE {{}}{numbered}", name, template)
    # Nobody needs a test's rows after a crash. Tests that kill a server start their own.
    when_alone(server, "ALTER DATABASE {} SET synchronous_commit = off", name)


def drop_all_of(server: psycopg.Connection[Any], name: str) -> None:
    """Drop a test database and the copies of it that scenes are (`scenes.py`)."""
    known = "SELECT datname FROM pg_database WHERE datname = %s OR starts_with(datname, %s)"
    for (found,) in server.execute(known, [name, f"{name}_scene_"]).fetchall():
        drop(server, found)


def make_template(server: psycopg.Connection[Any], template: str) -> None:
    """Migrate a new database and give it the template's name, unless one has it."""
    known = "SELECT datname FROM pg_database WHERE starts_with(datname, %s)"
    found = {name for (name,) in server.execute(known, [PREFIX])}
    for name in found - {template}:
        drop(server, name)
    if template in found:
        return
    draft = f"{PREFIX}draft"
    server.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(draft)))
    migrate(draft)
    when_alone(server, "ALTER DATABASE {} RENAME TO {}", draft, template)


def migrate(name: str) -> None:
    """Run all migrations in this database."""
    connection = connections["default"]
    original = connection.settings_dict["NAME"]
    connection.close()
    connection.settings_dict["NAME"] = name
    try:
        call_command("migrate", verbosity=0, interactive=False)
    finally:
        connection.close()
        connection.close_pool()
        connection.settings_dict["NAME"] = original


def digest_of_schema() -> str:
    """Digest of everything that decides what the migrations make."""
    digest = hashlib.sha256(django.__version__.encode())
    backend = Path(inspect.getfile(stillme.postgresql)).parent
    files = set(backend.glob("*.py"))
    for config in apps.get_app_configs():
        for pattern in ("migrations/*.py", "models*.py", "apps.py", "**/*.sql"):
            files |= set(Path(config.path).glob(pattern))
    for file in sorted(files):
        digest.update(str(file).encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()[:16]


@contextmanager
def maintenance(connection: Any) -> Iterator[psycopg.Connection[Any]]:
    """A connection to the server that is in none of the databases at hand."""
    parameters = {
        name: value
        for name, value in connection.get_connection_params().items()
        if name in {"host", "port", "user", "password", "sslmode", "connect_timeout"}
    }
    with psycopg.connect(dbname="postgres", autocommit=True, **parameters) as server:
        yield server


def drop(server: psycopg.Connection[Any], name: str) -> None:
    """Drop a database, with whatever is still connected to it."""
    when_alone(server, "DROP DATABASE IF EXISTS {} WITH (FORCE)", name)


def when_alone(server: psycopg.Connection[Any], statement: str, *names: str) -> None:
    """Run what nobody else may be connected for.

    A session ends some time after it was closed; PostgreSQL itself waits five seconds for it.
    """
    deadline = time.monotonic() + 300
    while True:
        try:
            server.execute(sql.SQL(statement).format(*map(sql.Identifier, names)))
            return
        except psycopg.errors.ObjectInUse:
            # Sessions of threads that have ended are closed with what refers to them in a circle.
            gc.collect()
            if time.monotonic() > deadline:
                raise
