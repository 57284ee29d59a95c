"""What a call of a service is made of: its values, its connection, its old failure contract."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from copy import copy
from functools import cache, wraps
from typing import Any, ParamSpec, TypeVar

from django.db import connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.utils import OperationalError

from stillme.postgresql.explain import explain_operational_error
from stillme.transfer.depth import DEEPEST, is_deeper
from stillme.transfer.loops import call_in_thread, in_coroutine

P = ParamSpec("P")
R = TypeVar("R")

# In what json.dumps prints, all ASCII: a pair of surrogates, half of one or U+0000, another escape.
_ESCAPE = re.compile(
    r"\\(?:ud[89ab][0-9a-f]{2}\\ud[c-f][0-9a-f]{2}|(?P<bad>u0000|ud[89a-f][0-9a-f]{2})|.)"
)


def answers(fallback: Any, *, database: bool = True) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """A method that never raises: an error is logged, and `fallback` is the answer.

    The logger is the attribute `logger` of the method's module, looked up at the time of the
    call, so that it can be patched there. Without `database` the method only computes.
    """

    def decorate(method: Callable[P, R]) -> Callable[P, R]:
        @wraps(method)
        def call(*args: P.args, **kwargs: P.kwargs) -> R:
            try:
                with savepoint() if database else nullcontext():
                    return method(*args, **kwargs)
            except Exception as error:
                logger = method.__globals__["logger"]
                logger.error("%s failed: %s", method.__qualname__, _said(error), exc_info=True)
                found: R = fallback(error) if callable(fallback) else copy(fallback)
                return found

        return call

    return decorate


def _said(error: Exception) -> str:
    """What went wrong; of the database (down, pool exhausted, ...) as a sentence."""
    if isinstance(error, OperationalError):
        return explain_operational_error(error)
    return str(error)


def savepoint(alias: str = "default") -> AbstractContextManager[None]:
    """Within a caller's transaction an error that is caught must not break that transaction."""
    inside = transaction.get_connection(alias).in_atomic_block
    return transaction.atomic(using=alias) if inside else nullcontext()


def borrows_connection(function: Callable[P, R]) -> Callable[P, R]:
    """A function that gives back the pooled connections that it opened.

    Within a request, a transaction or an iteration the connection is the caller's, and stays. In
    a plain thread nobody would return it, and a pool of ten would be empty after ten threads. In a
    coroutine a thread makes the call (`loops`).
    """

    @wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        if in_coroutine():
            answer: R = call_in_thread(lambda: call(*args, **kwargs))
            return answer
        with connections_returned():
            return function(*args, **kwargs)

    return call


@contextmanager
def connections_returned() -> Iterator[None]:
    """Close on leaving what was opened within; return it to its pool, that is."""
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
                # A server that restarted: the next call connects anew.
                connection.close_if_unusable_or_obsolete()


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


def real(number: Any) -> float | None:
    """A double; NaN becomes None, as SQLite stores it."""
    if number is None:
        return None
    if isinstance(number, bytes | bytearray):
        raise TypeError("A number is needed here, not bytes.")
    value = float(number)
    return None if math.isnan(value) else value


def document(value: Any) -> Any:
    """Metadata as jsonb can hold it: what ``json.dumps(value or {})`` would say, made valid.

    NaN and the infinities become null, U+0000 and lone surrogates become U+FFFD, as in the
    import. Raises TypeError for what is no JSON, ValueError for what is nested too deep.
    """
    if not value:
        return {}
    text = json.dumps(value)
    if "\\u" in text:
        text = _ESCAPE.sub(lambda found: r"\ufffd" if found["bad"] else found[0], text)
    made = json.loads(text, parse_constant=lambda _: None)
    if text.count("[") + text.count("{") >= DEEPEST and is_deeper(made, DEEPEST):
        raise ValueError(f"A document has at most {DEEPEST} levels.")
    return made


def limited(rows: Any, limit: int | None) -> Any:
    """`rows[:limit]` with SQLite's LIMIT: a negative one is none."""
    return rows if limit is None or limit < 0 else rows[:limit]
