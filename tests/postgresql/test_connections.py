"""The wrapper's connections: with a pool, after the server went away, for dbshell."""

from __future__ import annotations

import copy
import os
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.db import OperationalError, connections

from stillme.postgresql.connecting.configuration import default_cluster_directory, target_database
from stillme.postgresql.connecting.session import path_with_catalogue_first
from tests.conftest import ROOT


@pytest.fixture
def pooled(scratch_database: dict[str, Any], django_db_blocker: Any) -> Iterator[str]:
    """An alias whose connections come from a pool of two."""
    database = {**copy.deepcopy(scratch_database), "ENGINE": "stillme.postgresql"}
    database["OPTIONS"]["pool"] = {"min_size": 1, "max_size": 2, "timeout": 60.0}
    connections.settings["pooled"] = {**database, "CONN_MAX_AGE": 0}
    with django_db_blocker.unblock():
        yield "pooled"
        connections["pooled"].close()
        connections["pooled"].close_pool()
        del connections["pooled"], connections.settings["pooled"]


def backend_pid(alias: str) -> int:
    with connections[alias].cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        return int(cursor.fetchone()[0])


def test_closing_returns_to_the_pool(pooled: str) -> None:
    pids = set()
    for _ in range(6):
        pids.add(backend_pid(pooled))
        connections[pooled].close()
    assert len(pids) <= 2


def test_threads_share_the_pool(pooled: str) -> None:
    def work(_: int) -> int:
        try:
            return backend_pid(pooled)
        finally:
            connections[pooled].close()

    with ThreadPoolExecutor(2) as threads:
        assert len(set(threads.map(work, range(12)))) <= 2


def test_an_exhausted_pool_says_so(pooled: str) -> None:
    def hold(_: int) -> int:
        return backend_pid(pooled)

    with ThreadPoolExecutor(1) as one, ThreadPoolExecutor(1) as two:
        list(one.map(hold, [1]))
        list(two.map(hold, [1]))
        connections[pooled].pool.timeout = 0.2
        with pytest.raises(OperationalError, match="couldn't get a connection"):
            backend_pid(pooled)
        for threads in (one, two):
            threads.submit(lambda: connections[pooled].close()).result()


def test_dbshell_reaches_the_same_server(
    ours: Any, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    if not ours.settings_dict.get("EMBEDDED") and shutil.which("psql") is None:
        pytest.skip("no psql beside this server")
    monkeypatch.setitem(os.environ, "PATH", os.environ["PATH"])
    ours.client.runshell(["-Atc", "SELECT current_database()"])
    assert capfd.readouterr().out.strip() == ours.settings_dict["NAME"]


def test_root_keeps_the_cluster_below_no_private_home() -> None:
    directory = default_cluster_directory(ROOT)
    if os.geteuid() == 0:
        assert directory.parent.as_posix() == "/var/lib/stillme"
        assert directory != default_cluster_directory(ROOT.parent)
    else:
        assert directory == ROOT / "data" / "postgresql"


def test_no_pool_unless_asked() -> None:
    database = target_database("postgresql://me@db/x", embedded_directory=ROOT)
    assert "pool" not in database["OPTIONS"]
    assert "CONN_MAX_AGE" not in database


@pytest.mark.parametrize(
    ("path", "safe"),
    [
        ('"$user", public', '"$user", public'),
        ("pg_catalog, public", "pg_catalog, public"),
        ("evil, pg_catalog", "evil"),
        ('evil, "pg_catalog", public', "evil, public"),
        ('"a, pg_catalog", PG_CATALOG', '"a, pg_catalog"'),
        ("pg_catalog, evil, pg_catalog", "pg_catalog, evil"),
        ("", ""),
    ],
)
def test_the_catalogue_comes_first_in_the_search_path(path: str, safe: str) -> None:
    assert path_with_catalogue_first(path) == safe


def test_no_function_of_the_same_name_is_taken_for_the_servers(
    scratch_database: dict[str, Any], django_db_blocker: Any
) -> None:
    database = {**copy.deepcopy(scratch_database), "ENGINE": "stillme.postgresql"}
    database["OPTIONS"]["options"] = "-c search_path=evil,pg_catalog"
    connections.settings["shadowed"] = database
    with django_db_blocker.unblock(), connections["shadowed"].cursor() as cursor:
        cursor.execute("CREATE SCHEMA evil")
        cursor.execute("CREATE FUNCTION evil.md5(text) RETURNS text LANGUAGE sql AS $$SELECT ''$$")
        cursor.execute("SELECT md5('x') <> '', current_schema()")
        assert cursor.fetchone() == (True, "evil")
    connections["shadowed"].close()
    del connections["shadowed"], connections.settings["shadowed"]


@pytest.mark.parametrize("pool", [None, {"min_size": 0, "max_size": 1}])
def test_a_database_that_cannot_hold_every_text_is_refused(
    scratch_database: dict[str, Any], django_db_blocker: Any, pool: Any
) -> None:
    name = f"stillme_latin_{os.getpid()}"
    database = {**copy.deepcopy(scratch_database), "ENGINE": "stillme.postgresql"}
    with django_db_blocker.unblock(), connections["default"].cursor() as cursor:
        cursor.execute(
            f"CREATE DATABASE {name} TEMPLATE template0 ENCODING 'LATIN1' "
            "LOCALE_PROVIDER libc LOCALE 'C'"
        )
    database["NAME"] = name
    if pool:
        database["OPTIONS"]["pool"] = pool
    connections.settings["latin"] = database
    try:
        with django_db_blocker.unblock():
            with pytest.raises(ImproperlyConfigured, match=f"{name} has the encoding LATIN1"):
                connections["latin"].ensure_connection()
    finally:
        connections["latin"].close()
        del connections["latin"], connections.settings["latin"]
        with django_db_blocker.unblock(), connections["default"].cursor() as cursor:
            cursor.execute(f"DROP DATABASE {name} WITH (FORCE)")


def test_times_are_read_whatever_the_style_of_the_role(
    scratch_database: dict[str, Any], django_db_blocker: Any
) -> None:
    """psycopg refuses every style but ISO, in the middle of a command."""
    database = {**copy.deepcopy(scratch_database), "ENGINE": "stillme.postgresql"}
    database["OPTIONS"]["options"] = "-c DateStyle=German"
    connections.settings["german"] = database
    with django_db_blocker.unblock(), connections["german"].cursor() as cursor:
        cursor.execute("SELECT TIMESTAMPTZ '2026-01-02 03:04:05+00', now()::text")
        moment, now = cursor.fetchone()
        assert (moment.year, moment.day) == (2026, 2)
        assert now.startswith("20")
    connections["german"].close()
    del connections["german"], connections.settings["german"]
