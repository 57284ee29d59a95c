"""The connection of a service's call: borrowed, and given back to its pool."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import cache, wraps
from inspect import isasyncgenfunction, iscoroutinefunction, isgeneratorfunction
from typing import ParamSpec, TypeVar

from django.db import connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper

from stillme.services.coroutines import call_in_thread, in_coroutine

P = ParamSpec("P")
R = TypeVar("R")


def savepoint(alias: str = "default") -> AbstractContextManager[None]:
    """Within a caller's transaction an error that is caught must not break that transaction."""
    inside = transaction.get_connection(alias).in_atomic_block
    return transaction.atomic(using=alias) if inside else nullcontext()


def borrows_connection(function: Callable[P, R]) -> Callable[P, R]:
    """The one way into a service: a function that gives back the pooled connections it opened.

    Within a request, a transaction or an iteration the connection is the caller's, and stays. In
    a plain thread nobody would return it, and a pool of ten would be empty after ten threads. In a
    coroutine a thread makes the call (`coroutines`). TypeError for a generator or a coroutine,
    which would read only after the call has ended.
    """
    if any(kind(function) for kind in _READS_LATER):
        raise TypeError(f"{function.__qualname__} must answer when it returns: give a list.")

    @wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        if in_coroutine():
            answer: R = call_in_thread(lambda: call(*args, **kwargs))
            return answer
        with connections_returned():
            return function(*args, **kwargs)

    return call


_READS_LATER = (isgeneratorfunction, iscoroutinefunction, isasyncgenfunction)


@contextmanager
def connections_returned() -> Iterator[None]:
    """Close on leaving what was opened within; return it to its pool, that is.

    Also for code of your own that opens transactions or asks models in threads.
    """
    open_before = [c.alias for c in _connections() if c.connection is not None]
    try:
        yield
    finally:
        for connection in _connections():
            if connection.connection is None or connection.in_atomic_block:
                continue
            if connection.alias not in open_before and _is_pooled(connection):
                connection.close()
            elif connection.errors_occurred:
                _close_if_dead(connection)


def _close_if_dead(connection: BaseDatabaseWrapper) -> None:
    """After a restart of the server the next call connects again.

    A living connection stays open, whatever its age (Django's `close_if_unusable_or_obsolete`
    looks at that, too): the caller may be reading from it.
    """
    if connection.is_usable():
        connection.errors_occurred = False
    else:
        connection.close()


def _connections() -> list[BaseDatabaseWrapper]:
    """This thread's connections to PostgreSQL; legacy files are never written by a service."""
    known = connections._connections  # type: ignore[attr-defined]
    found = (getattr(known, alias, None) for alias in _aliases(tuple(connections)))
    return [connection for connection in found if connection is not None]


@cache
def _aliases(known: tuple[str, ...]) -> tuple[str, ...]:
    """Those that are no legacy files."""
    return tuple(alias for alias in known if not alias.startswith("legacy_"))


def _is_pooled(connection: BaseDatabaseWrapper) -> bool:
    return bool(connection.settings_dict["OPTIONS"].get("pool"))
