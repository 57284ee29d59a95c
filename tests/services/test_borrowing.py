"""Whose a connection is: the call's that opened it, else the caller's, whatever goes wrong."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.db import ProgrammingError, connections, transaction

from knowledge import api
from knowledge.models import KnowledgeItem
from stillme.services.connections import borrows_connection, connections_returned
from tests.pools import pool_of
from vector import services as vectors

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def pool() -> Iterator[None]:
    with pool_of(2):
        yield


@borrows_connection
def ask_in_vain() -> None:
    with connections["default"].cursor() as cursor:
        cursor.execute("SELECT 1 FROM nowhere")


def test_an_iteration_goes_on_after_a_call_that_failed(pool: None) -> None:
    for n in range(6):
        api.item_add(content=f"{n}", source="s")
    seen = []
    for item in KnowledgeItem.objects.order_by("id").iterator(chunk_size=2):
        session = connections["default"].connection
        seen.append(item.content)
        with pytest.raises(ProgrammingError):
            ask_in_vain()
        # Back in its pool it would be another thread's as well.
        assert connections["default"].connection is session is not None
    assert seen == list("012345")


def generator() -> Iterator[int]:
    yield 1


async def coroutine() -> None:
    """Would read later, too."""


async def both():  # type: ignore[no-untyped-def]
    yield 1


@pytest.mark.parametrize("function", [generator, coroutine, both])
def test_what_reads_after_the_call_cannot_be_a_service(function) -> None:
    with pytest.raises(TypeError, match="must answer when it returns"):
        borrows_connection(function)


def test_a_transaction_of_the_caller_holds_every_call(pool: None) -> None:
    with connections_returned():
        with transaction.atomic():
            made = vectors.create_collection("things")
            session = connections["default"].connection
            vectors.add(made, ["a"], [[1.0, 0.0]])
            with pytest.raises(vectors.VectorError):
                vectors.add(made, ["b"], [[1.0]])
            assert vectors.count(made) == 1
            assert connections["default"].connection is session is not None
            transaction.set_rollback(True)
        # The caller's, until the caller gives it back.
        assert connections["default"].connection is session
    assert connections["default"].connection is None
    assert vectors.list_collections() == []
