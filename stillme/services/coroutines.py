"""A call made in a coroutine: by a thread, and the event loop waits for it, as it did for SQLite.

The old application calls its classes in `async def` endpoints without further ado, and a notebook
is a coroutine throughout. Django refuses to talk to a database there, because a connection must
not be shared by coroutines: the thread has one of its own. Code that would rather not block the
loop uses `sync_to_async` (docs/reference/services.md).
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from functools import cache
from typing import Any

# A loop makes one such call at a time; more threads are for more loops.
_THREADS = 4


def in_coroutine() -> bool:
    """Whether this thread runs an event loop just now, and Django minds."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return not os.environ.get("DJANGO_ALLOW_ASYNC_UNSAFE")


def call_in_thread(call: Callable[[], Any]) -> Any:
    """The answer of a call that a thread makes, with the caller's context; blocks."""
    return _threads().submit(copy_context().run, call).result()


@cache
def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(_THREADS, thread_name_prefix="services")


# Threads do not survive a fork: a child makes its own.
os.register_at_fork(after_in_child=_threads.cache_clear)
