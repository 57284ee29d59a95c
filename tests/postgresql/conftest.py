"""Two aliases on one scratch database: this project's backend, and Django's own for comparison."""

from __future__ import annotations

import copy
import os
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connections
from django.test import modify_settings
from psycopg import sql

from tests.template_database import drop, maintenance

ENGINES = {"ours": "stillme.postgresql", "stock": "django.db.backends.postgresql"}


@pytest.fixture(scope="session")
def scratch_database(django_db_setup: None, django_db_blocker: Any) -> Iterator[dict[str, Any]]:
    """An empty database, and the settings that lead there."""
    name = f"test_scratch_{os.environ.get('PYTEST_XDIST_WORKER', 'main')}"
    with django_db_blocker.unblock():
        with maintenance(connections["default"]) as server:
            drop(server, name)
            server.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        yield {**copy.deepcopy(connections["default"].settings_dict), "NAME": name}
        with maintenance(connections["default"]) as server:
            drop(server, name)


@pytest.fixture
def both(scratch_database: dict[str, Any], django_db_blocker: Any) -> Iterator[None]:
    """The aliases `ours` and `stock`; the scratch database is empty again afterwards."""
    with django_db_blocker.unblock():
        for alias, engine in ENGINES.items():
            database = {**copy.deepcopy(scratch_database), "ENGINE": engine}
            database["OPTIONS"].pop("pool", None)
            connections.settings[alias] = database
        yield
        empty()
        for alias in ENGINES:
            connections[alias].close()
            del connections[alias], connections.settings[alias]


def empty() -> None:
    """Drop every schema a test made, and what it put into `public`."""
    with connections["ours"].cursor() as cursor:
        cursor.execute(
            "SELECT nspname FROM pg_namespace "
            "WHERE NOT starts_with(nspname, 'pg_') AND nspname <> 'information_schema'"
        )
        for (schema,) in cursor.fetchall():
            drop_schema = sql.SQL("DROP SCHEMA {} CASCADE").format(sql.Identifier(schema))
            cursor.execute(drop_schema)
        cursor.execute("CREATE SCHEMA public")


@pytest.fixture
def ours(both: None) -> Any:
    """A connection of this project's backend to the scratch database."""
    return connections["ours"]


@pytest.fixture
def stock(both: None) -> Any:
    """A connection of Django's own backend to the same database."""
    return connections["stock"]


@pytest.fixture
def shelf(ours: Any) -> Iterator[Any]:
    """The models of the app `shelf`, installed, with their tables in the scratch database."""
    with modify_settings(INSTALLED_APPS={"append": "tests.postgresql.shelf"}):
        from tests.postgresql.shelf import models

        with ours.schema_editor() as editor:
            for model in (models.Author, models.Tag, models.Book):
                editor.create_model(model)
        yield models
