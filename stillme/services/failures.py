"""The old classes' way to fail: an error is logged, and a fallback is the answer."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from copy import copy
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from django.db.utils import OperationalError

from stillme.postgresql.connecting.explain import explain_operational_error
from stillme.services.arguments import TOO_DEEP
from stillme.services.connections import savepoint

P = ParamSpec("P")
R = TypeVar("R")


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
    """What went wrong as a sentence: a database that is down, a pool exhausted, too many levels."""
    if isinstance(error, OperationalError):
        return explain_operational_error(error)
    if isinstance(error, RecursionError):
        # Where a document is written or read, a few calls deeper than `document`.
        return f"{TOO_DEEP} Python says: {error}."
    return str(error)
