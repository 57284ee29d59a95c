"""Writers of the same items at the same time, each in an order of its own."""

from __future__ import annotations

import threading

import psycopg
import pytest
from django.db import OperationalError, connection, transaction

from vector import services
from vector.serving import deadlocks

pytestmark = pytest.mark.django_db(transaction=True)
IDS = [f"item {n:04}" for n in range(2_500)]


def at_once(*works):
    """Do each work in a thread of its own, begun together; the errors."""
    errors, together = [], threading.Barrier(len(works))

    def do(work):
        together.wait()
        try:
            work()
        except Exception as error:  # noqa: BLE001 - the test looks at it
            errors.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=do, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return errors


def call(write, ids):
    things = services.get_collection("things")
    write(things, ids, [[1.0, 2.0]] * len(ids), None, [{"n": 1}] * len(ids))


@pytest.mark.slow
@pytest.mark.parametrize("write", [services.add, services.upsert], ids=["add", "upsert"])
def test_opposite_orders_end_well(write, monkeypatch):
    """Nothing is done again here: the order alone does it, also in a caller's transaction."""
    monkeypatch.setattr(deadlocks, "_TRIES", 1)
    for _ in range(2):
        services.create_collection("things", dimension=2)
        errors = at_once(lambda: call(write, IDS), lambda: call(write, IDS[::-1]))
        assert errors == []
        # In the order of one of the calls: numbers are given in the order of the items.
        found = [record.id for record in services.get(services.get_collection("things"))]
        assert found in (IDS, IDS[::-1])
        services.delete_collection("things")


def test_a_deadlock_is_done_again():
    """Each has a row that the other wants: PostgreSQL ends one of them, whose call begins again."""
    things = services.create_collection("things", dimension=2)
    services.add(things, ["a", "b"], [[1.0, 2.0]] * 2)
    locked = threading.Barrier(2)

    def ask_first():
        with transaction.atomic():
            services.update(things, ["b"], documents=["first"])
            locked.wait()
            services.update(things, ["a"], documents=["first"])

    calls = []

    @deadlocks.again_after_deadlock
    def ask_second():
        calls.append(1)
        with transaction.atomic():
            services.update(things, ["a"], documents=["second"])
            if len(calls) == 1:
                locked.wait()
                # Whoever waits longest looks for deadlocks first.
                with connection.cursor() as cursor:
                    cursor.execute("SET LOCAL deadlock_timeout = '10ms'")
            services.update(things, ["b"], documents=["second"])

    assert at_once(ask_first, ask_second) == []
    assert len(calls) == 2
    assert {record.document for record in services.get(things)} == {"second"}


def test_within_a_transaction_the_caller_begins_again():
    tries = []

    @deadlocks.again_after_deadlock
    def fail():
        tries.append(1)
        raise OperationalError from psycopg.errors.DeadlockDetected

    with pytest.raises(OperationalError):
        fail()
    assert len(tries) == deadlocks._TRIES
    with transaction.atomic(), pytest.raises(OperationalError):
        fail()
    assert len(tries) == deadlocks._TRIES + 1
