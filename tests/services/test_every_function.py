"""Every public function of every service works in each sort of place, and returns its connection.

In a loop, in more threads than the pool has connections, in `async def`, and after a fork.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from multiprocessing import get_context

import pytest
from django.db import connections
from django.db.models import QuerySet

from continuum import services as continuum
from tests.pools import pool_becomes_whole, pool_of
from tests.services.calls import CALLS, call, prepare, public_functions

POOL, THREADS = 2, 6


@pytest.fixture
def pool(transactional_db: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(continuum, "ENABLE_CONTINUUM_MEMORY", True)
    with pool_of(POOL):
        prepare()
        connections["default"].close()
        yield


def test_every_public_function_has_a_line() -> None:
    assert set(CALLS) == set(public_functions())


def test_every_public_function_is_documented_and_typed() -> None:
    for name, function in public_functions().items():
        assert function.__doc__, name
        assert "return" in function.__annotations__, name


def in_a_loop() -> None:
    for name, function in public_functions().items():
        for _ in range(2 * POOL):
            found = call(name, function)
            assert not isinstance(found, QuerySet | Iterator), f"{name} would read later"
            assert connections["default"].connection is None, name


def in_threads() -> None:
    with ThreadPoolExecutor(THREADS) as threads:
        for work in [threads.submit(each_once) for _ in range(THREADS)]:
            work.result()
        # While the threads are alive: one that ends drops its connection in any case.
        pool_becomes_whole()


def each_once() -> None:
    for name, function in public_functions().items():
        call(name, function)


def in_async_def() -> None:
    async def endpoint() -> None:
        each_once()

    async def endpoints() -> None:
        await asyncio.gather(endpoint(), endpoint())

    asyncio.run(endpoints())


def all_is_well(caplog: pytest.LogCaptureFixture) -> None:
    """The pool has all its sessions, and no method of the old classes logged what it swallowed."""
    pool_becomes_whole()
    assert connections["default"].pool.get_stats()["pool_size"] <= POOL
    assert [r.getMessage() for r in caplog.records if not r.name.startswith("psycopg")] == []


@pytest.mark.slow_after(1)
@pytest.mark.parametrize("way", [in_a_loop, in_threads, in_async_def])
def test_the_pool_is_whole_after(
    way: Callable[[], None], pool: None, caplog: pytest.LogCaptureFixture
) -> None:
    way()
    all_is_well(caplog)


def test_the_pools_of_parent_and_child_are_whole_after_a_fork(
    pool: None, caplog: pytest.LogCaptureFixture
) -> None:
    def in_child() -> None:
        each_once()
        in_async_def()
        all_is_well(caplog)
        connections["default"].close_pool()

    in_async_def()  # its threads do not come along
    child = get_context("fork").Process(target=in_child)
    child.start()
    child.join()
    assert child.exitcode == 0
    each_once()
    all_is_well(caplog)
