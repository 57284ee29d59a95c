"""An application that knows no Django: one ASGI and one WSGI callable, which call a service.

Each answers with the key of the row that it added, and its process.
"""

import asyncio
import json
import logging
import os
import time

logging.basicConfig(level=logging.INFO, format="mine %(message)s")
BEFORE = (list(logging.root.handlers), logging.root.level, os.environ.get("TZ"), time.tzname)

import stillme  # noqa: E402

stillme.setup()

from knowledge.services import KnowledgeRetention  # noqa: E402

AFTER = (list(logging.root.handlers), logging.root.level, os.environ.get("TZ"), time.tzname)
assert AFTER == BEFORE, (BEFORE, AFTER)


def answer() -> bytes:
    key = KnowledgeRetention().add_knowledge("content", "source")
    return json.dumps([key, os.getpid()]).encode()


def wsgi(environ, start_response):
    start_response("200 OK", [("Content-Type", "application/json")])
    return [answer()]


async def asgi(scope, receive, send):
    """`/sync` as FastAPI runs a `def` endpoint, everything else as an `async def` one."""
    assert scope["type"] == "http"
    body = await asyncio.to_thread(answer) if scope["path"] == "/sync" else answer()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": body})
