"""Vectors within a task that reads from a replica: what is written goes to the primary."""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from itertools import cycle

import pytest
from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper

from stillme.ops import replicas as module
from vector import services
from vector.models import Item

pytestmark = pytest.mark.django_db(transaction=True)
REPLICAS = ("replica_1", "replica_2")


@pytest.fixture
def replicas(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The test database twice more, as sessions that cannot write, chosen in turn."""
    for alias in REPLICAS:
        entry = deepcopy(connections["default"].settings_dict)
        entry["OPTIONS"]["options"] = "-c default_transaction_read_only=on"
        connections.settings[alias] = entry
        let_connect(connections[alias])
    turn = cycle(REPLICAS)
    monkeypatch.setattr(module.replicas, "choose", lambda: next(turn))
    yield
    for alias in REPLICAS:
        connections[alias].close()
        del connections[alias]
        del connections.settings[alias]


def let_connect(connection: BaseDatabaseWrapper) -> None:
    """In place of the method that Django's test cases patch for aliases they do not manage."""

    def ensure_connection() -> None:
        if connection.connection is None:
            connection.connect()

    connection.ensure_connection = ensure_connection  # type: ignore[method-assign]


def test_a_collection_that_a_replica_gave_is_written_on_the_primary(replicas: None) -> None:
    services.create_collection("things")
    with module.task():
        things = services.get_collection("things")
        assert things._state.db in REPLICAS
        assert services.add(things, ["a"], [[1.0, 0.0]]) == 1
        # Of the primary, which has it, not of a replica that lags.
        assert things._state.db == "default"
    with module.task():
        things = services.modify_collection(services.get_collection("things"), metadata={"k": 1})
        # Read where it was written.
        assert (things._state.db, things.metadata) == ("default", {"k": 1})
    with module.task():
        things = services.get_collection("things")
        assert "read-only" not in services.build_index(things)
        services.delete_collection("things")
    assert services.list_collections() == []


def test_one_search_is_on_one_replica(replicas: None) -> None:
    things = services.create_collection("things")
    services.add(things, [f"{n}" for n in range(20)], [[float(n), 0.0] for n in range(20)])
    seen: dict[str, list[str]] = {alias: [] for alias in REPLICAS}

    def watch(alias: str):  # type: ignore[no-untyped-def]
        def note(run, sql, params, many, context):  # type: ignore[no-untyped-def]
            seen[alias].append(sql)
            return run(sql, params, many, context)

        return connections[alias].execute_wrapper(note)

    with module.task(), watch("replica_1"), watch("replica_2"):
        found = services.query(things, [3.1, 0.0], 2)
    assert [record.id for record in found] == ["3", "4"]
    assert sorted(map(bool, seen.values())) == [False, True]
    assert Item.objects.count() == 20
