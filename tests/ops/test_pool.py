"""The connection pool: given back, exhausted with a sentence, closed at forks, reborn."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier, Event
from unittest.mock import patch

import psycopg
import pytest
from django.db import DataError, OperationalError, connections, transaction
from psycopg_pool import ConnectionPool

from knowledge import api
from knowledge.models import KnowledgeItem
from knowledge.services import KnowledgeRetention
from stillme.postgresql import base
from stillme.postgresql.base import AGAIN
from stillme.postgresql.connecting.configuration import target_database
from stillme.postgresql.connecting.explain import explain_operational_error
from stillme.postgresql.embedded import server
from stillme.services.connections import connections_returned
from tests.ops.servers import wait_until
from tests.ops.threads import in_threads
from tests.pools import PATIENCE, pool_becomes_whole, pool_of

pytestmark = pytest.mark.django_db(transaction=True)
SIZE = 3


@pytest.fixture
def pool() -> Iterator[None]:
    with pool_of(SIZE):
        yield


def free() -> int:
    return int(connections["default"].pool.get_stats()["pool_available"])


def test_the_settings_of_a_pool(tmp_path) -> None:
    config = target_database("", embedded_directory=tmp_path, pool_sizes=(2, 8, 1.5))
    assert config["OPTIONS"]["pool"] == {"min_size": 2, "max_size": 8, "timeout": 1.5}
    assert config["CONN_MAX_AGE"] == 0


def test_a_pool_tries_to_connect_in_even_intervals(pool: None) -> None:
    api.item_list_retained()
    steady, waits = connections["default"].pool, []
    down = patch.object(steady, "_connect", side_effect=psycopg.OperationalError("down"))
    with down, patch.object(ConnectionPool, "schedule_task", lambda *made: waits.append(made)):
        attempt = None
        for _ in range(8):
            steady._add_connection(attempt)
            attempt = waits[-1][1].attempt
    assert max(seconds for _, _, seconds in waits) == AGAIN


def test_a_plain_thread_gives_its_connection_back(pool: None) -> None:
    retention = KnowledgeRetention()
    assert retention.add_knowledge("c", "s") > 0
    assert connections["default"].connection is None
    # Twenty threads that never close anything, on three connections.
    with ThreadPoolExecutor(20) as threads:
        keys = list(threads.map(lambda n: retention.add_knowledge(f"{n}", "s"), range(60)))
    assert min(keys) > 0
    assert free() >= 1


def test_a_callers_connection_stays_with_the_caller(pool: None) -> None:
    with transaction.atomic():
        api.item_add(content="c", source="s")
        inner = connections["default"].connection
        api.item_add(content="d", source="s")
        assert connections["default"].connection is inner is not None
    KnowledgeItem.objects.count()
    api.item_list_retained()
    assert connections["default"].connection is not None


def test_an_exhausted_pool_is_a_sentence(pool: None, caplog: pytest.LogCaptureFixture) -> None:
    release, all_held = Event(), Barrier(SIZE + 1, timeout=PATIENCE)

    def hold(number: int) -> int | None:
        if number < SIZE:
            with transaction.atomic():
                KnowledgeItem.objects.count()
                all_held.wait()
                release.wait(PATIENCE)
            return None
        all_held.wait()
        connections["default"].pool.timeout = 0.2
        try:
            with pytest.raises(OperationalError) as error:
                api.item_add(content="c", source="s")
            assert "raise DB_POOL_MAX_SIZE" in explain_operational_error(error.value)
            return KnowledgeRetention().add_knowledge("c", "s")
        finally:
            connections["default"].pool.timeout = PATIENCE
            release.set()

    with caplog.at_level(logging.ERROR):
        assert in_threads(SIZE + 1, hold)[-1] == -1
    assert "No connection of the pool came free" in caplog.text
    assert KnowledgeRetention().add_knowledge("c", "s") > 0


def test_connections_that_died_are_replaced(pool: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(base, "BELIEVED", 0)
    retention = KnowledgeRetention()
    retention.add_knowledge("c", "s")
    pool_becomes_whole()
    kill_others()
    assert retention.add_knowledge("d", "s") > 0


def test_a_connection_that_died_a_moment_after_its_last_use_fails_one_call(
    pool: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(base, "BELIEVED", 60)
    retention = KnowledgeRetention()
    retention.add_knowledge("c", "s")
    pool_becomes_whole()
    kill_others()
    assert retention.add_knowledge("d", "s") == -1
    assert retention.add_knowledge("e", "s") > 0
    assert set(KnowledgeItem.objects.values_list("content", flat=True)) == {"c", "e"}


def kill_others() -> None:
    """End every session of this database, as a restart of the server would."""
    database = connections["default"]
    parameters = {**database.get_connection_params(), "autocommit": True}
    parameters = {k: v for k, v in parameters.items() if k in {"host", "port", "user", "password"}}
    with psycopg.connect(dbname="postgres", autocommit=True, **parameters) as server:
        # Waits for each to be gone: a session is noticed as dead once the server has ended it.
        sql = "SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity WHERE datname = %s"
        server.execute(sql, [database.settings_dict["NAME"]])


def test_without_a_pool_a_dead_connection_fails_once() -> None:
    retention = KnowledgeRetention()
    assert retention.add_knowledge("c", "s") > 0
    kill_others()
    assert retention.add_knowledge("d", "s") == -1
    assert retention.add_knowledge("e", "s") > 0
    assert KnowledgeItem.objects.count() == 2


def test_a_fork_starts_without_pool_or_session(pool: None) -> None:
    KnowledgeItem.objects.count()
    parents = connections["default"].connection
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            forgotten = connections["default"].connection is None
            counted = KnowledgeItem.objects.count()
            connections["default"].close()
            connections["default"].close_pool()
            os.write(writer, b"ok" if forgotten and counted == 0 else b"no")
            status = 0
        finally:
            os._exit(status)
    os.waitpid(child, 0)
    assert os.read(reader, 2) == b"ok"
    os.close(reader)
    os.close(writer)
    # The parent's own session went through it unharmed.
    assert connections["default"].connection is parents
    assert KnowledgeItem.objects.count() == 0


def test_who_waits_for_a_connection_goes_on_after_a_fork(pool: None) -> None:
    release, all_held = Event(), Barrier(SIZE + 2, timeout=PATIENCE)

    def hold(number: int) -> int:
        if number == SIZE:
            all_held.wait()
            return len(api.item_list_retained())
        with connections_returned(), transaction.atomic():
            KnowledgeItem.objects.count()
            all_held.wait()
            release.wait(PATIENCE)
        return 0

    with ThreadPoolExecutor(SIZE + 1) as threads:
        held = [threads.submit(hold, n) for n in range(SIZE + 1)]
        all_held.wait()
        stats = connections["default"].pool.get_stats
        wait_until(lambda: stats()["requests_waiting"] == 1, PATIENCE)
        child = os.fork()
        if child == 0:
            os._exit(0)
        os.waitpid(child, 0)
        assert held[SIZE].result(PATIENCE) == 0
        release.set()
        assert [each.result() for each in held[:SIZE]] == [0] * SIZE


def test_a_fork_does_not_inherit_the_lock_of_the_embedded_server() -> None:
    started = Event()

    def start_slowly() -> None:
        with server._guard:
            started.set()
            time.sleep(0.1)

    with ThreadPoolExecutor(1) as threads:
        threads.submit(start_slowly)
        started.wait(PATIENCE)
        child = os.fork()
        if child == 0:
            os._exit(0 if server._guard.acquire(timeout=1) else 1)
        assert os.waitpid(child, 0)[1] == 0


def test_one_statement_borrows_its_session_and_gives_it_back_in_any_case(pool: None) -> None:
    connection = connections["default"]
    api.item_list_retained()
    size = connection.pool.get_stats()["pool_size"]
    for _ in range(2 * SIZE):
        assert connection.fetch_prepared("SELECT %s::int", [7]) == [(7,)]
        with pytest.raises(DataError):
            connection.fetch_prepared("SELECT 1 / %s::int", [0])
        assert connection.connection is None
    assert connection.pool.get_stats()["pool_size"] == size
    assert free() >= 1


def test_a_statement_is_the_transactions_own_and_is_seen_where_one_watches(pool: None) -> None:
    connection, seen = connections["default"], []
    with transaction.atomic():
        api.item_add(content="not to be seen from elsewhere", source="s")
        assert len(api.item_list_retained(min_retention_score=0)) == 1
        transaction.set_rollback(True)
    assert api.item_list_retained(min_retention_score=0) == []
    with connection.execute_wrapper(lambda run, sql, *rest: (seen.append(sql), run(sql, *rest))[1]):
        api.item_list_retained()
    assert len(seen) == 1
