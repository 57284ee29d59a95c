"""Reads from replicas: the rule of the router, and a real streaming replica made and killed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connections, router, transaction

from knowledge.models import KnowledgeItem, KnowledgeRelationship
from stillme.ops import replicas as module
from stillme.ops.replicas import ReplicaRouter, Replicas, examine, task
from stillme.postgresql.connecting.configuration import target_database
from stillme.transfer.models import Run
from tests.ops.servers import Server, primary_and_replica, wait_until

READS = ReplicaRouter()


@pytest.fixture
def one_replica(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module.replicas, "choose", lambda: "replica_1")


@pytest.mark.usefixtures("one_replica")
class TestRule:
    """Where a read goes, without any database."""

    def test_outside_of_a_task_nothing_goes_to_a_replica(self) -> None:
        assert READS.db_for_read(KnowledgeItem) is None

    def test_within_a_task_until_it_writes(self) -> None:
        with task():
            assert router.db_for_read(KnowledgeItem) == "replica_1"
            assert router.db_for_write(KnowledgeItem) == "default"
            assert router.db_for_read(KnowledgeItem) == "default"
        with task():
            assert router.db_for_read(KnowledgeItem) == "replica_1"

    def test_any_write_counts(self) -> None:
        with task():
            router.db_for_write(User)
            assert router.db_for_read(KnowledgeItem) == "default"

    def test_the_engine_and_accounts_stay_on_the_primary(self) -> None:
        with task():
            assert router.db_for_read(Run) == router.db_for_read(User) == "default"

    @pytest.mark.django_db
    def test_never_inside_a_transaction(self) -> None:
        with task(), transaction.atomic():
            assert READS.db_for_read(KnowledgeItem) == "default"

    def test_rows_of_a_replica_relate_to_the_primarys(self) -> None:
        read, kept = KnowledgeItem(id=1), KnowledgeItem(id=2)
        read._state.db, kept._state.db = "replica_1", "default"
        assert router.allow_relation(read, kept)
        assert KnowledgeRelationship(source=read, target=kept).source_id == 1

    def test_a_replica_is_never_migrated(self) -> None:
        assert READS.allow_migrate("replica_1", "knowledge") is False
        assert READS.allow_migrate("default", "knowledge") is None


@pytest.mark.usefixtures("one_replica")
@pytest.mark.django_db
def test_a_request_reads_its_own_write(client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []

    def view(request: Any) -> Any:
        seen.append(router.db_for_read(KnowledgeItem))
        router.db_for_write(KnowledgeItem)
        seen.append(router.db_for_read(KnowledgeItem))
        raise StopIteration

    from stillme.ops.middleware import OperationsMiddleware

    connections["default"].in_atomic_block = False
    try:
        with pytest.raises(StopIteration):
            OperationsMiddleware(view)(client.request().wsgi_request)
    finally:
        connections["default"].in_atomic_block = True
    assert seen == ["replica_1", "default"]


@pytest.fixture(scope="module")
def pair() -> Iterator[tuple[Server, Server]]:
    with primary_and_replica() as servers:
        yield servers


@pytest.fixture
def configured(
    pair: tuple[Server, Server], settings: Any, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> Replicas:
    entry = target_database(pair[1].url, embedded_directory=tmp_path)
    monkeypatch.setitem(settings.DATABASES, "replica_1", entry)
    monkeypatch.setattr(module, "CHECK_EVERY", 0.1)
    return Replicas()


@pytest.mark.slow
@pytest.mark.embedded
def test_a_streaming_replica_is_read_left_out_and_comes_back(
    pair: tuple[Server, Server], configured: Replicas, settings: Any
) -> None:
    primary, replica = pair
    assert replica.ask("SELECT pg_is_in_recovery()") is True
    wait_until(lambda: examine("replica_1") == "")
    wait_until(lambda: configured.choose() == "replica_1")

    primary.ask("CREATE TABLE t AS SELECT 1 AS x")
    wait_until(lambda: replica.ask("SELECT to_regclass('t') IS NOT NULL"))

    replica.stop("immediate")
    wait_until(lambda: configured.choose() is None)
    wait_until(lambda: "does not answer" in configured.states()["replica_1"])
    replica.start()
    wait_until(lambda: configured.choose() == "replica_1")

    # Replay stands still while the primary writes on: it lags.
    settings.REPLICA_MAX_LAG = 0.5
    replica.ask("SELECT pg_wal_replay_pause()")
    primary.ask("INSERT INTO t VALUES (2)")
    wait_until(lambda: configured.choose() is None)
    wait_until(lambda: "behind" in configured.states()["replica_1"])
    replica.ask("SELECT pg_wal_replay_resume()")
    wait_until(lambda: configured.choose() == "replica_1")

    # Without its primary a replica looks fresh for ever; it is left out all the same.
    primary.stop()
    wait_until(lambda: configured.choose() is None)
    wait_until(lambda: "receives nothing" in configured.states()["replica_1"])
    primary.start()
    wait_until(lambda: configured.choose() == "replica_1")
