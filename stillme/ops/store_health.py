"""How each store is: what the application's own health endpoints answer after the cut-over.

The old endpoints opened the four SQLite files, which made an empty file where none was. This asks
PostgreSQL for a row of every table of a store; it writes nothing.
"""

from __future__ import annotations

import logging
from typing import Any

from django.apps import apps
from django.conf import settings
from django.db import Error, InterfaceError, OperationalError

from stillme.ops.health import DATABASE_AWAY
from stillme.postgresql.connecting.explain import explain_operational_error, sqlstate
from stillme.services.connections import borrows_connection, savepoint

logger = logging.getLogger("stillme.requests")

VECTORS = "vector"
UNUSABLE = "The tables cannot be read: the server's log says why."


@borrows_connection
def store_health() -> dict[str, Any]:
    """The entries `database` and `vector_db` of a health endpoint, in the old endpoints' shape.

    Raises nothing where PostgreSQL is away: every store then has the status "error", and the log
    says why. Example, with everything in order::

        {"database": {"status": "ok", "databases": [{"path": "knowledge", "status": "ok"}, ...]},
         "vector_db": {"status": "ok", "message": "The vectors are in PostgreSQL"}}

    `path` is the store's schema. A store in trouble is ``{"path": "rss", "status": "error",
    "error": "..."}``, and `database` is "degraded"; `vector_db` then has an `error` as well.
    """
    problems = _problems()
    stores = [_entry(name, problems[name]) for name in settings.DOMAINS if name != VECTORS]
    degraded = any(store["status"] != "ok" for store in stores)
    vectors: dict[str, str] = {"status": "ok", "message": "The vectors are in PostgreSQL"}
    if problem := problems[VECTORS]:
        vectors = {"status": "error", "error": problem}
    return {
        "database": {"status": "degraded" if degraded else "ok", "databases": stores},
        "vector_db": vectors,
    }


def _entry(name: str, problem: str) -> dict[str, str]:
    if problem:
        return {"path": name, "status": "error", "error": problem}
    return {"path": name, "status": "ok"}


def _problems() -> dict[str, str]:
    """Store -> what is wrong with it, "" for nothing.

    One that finds nobody to ask speaks for all: the others would wait as long, one by one.
    """
    found = dict.fromkeys(settings.DOMAINS, "")
    for name in found:
        found[name] = _problem(name)
        if found[name] == DATABASE_AWAY:
            return dict.fromkeys(found, DATABASE_AWAY)
    return found


def _problem(name: str) -> str:
    try:
        with savepoint():
            for model in apps.get_app_config(name).get_models():
                model._default_manager.exists()
    except Error as error:
        # Whoever asks may be anybody: host, user and statement are for the log.
        logger.error("health of %s: %s", name, explain_operational_error(error))
        away = isinstance(error, OperationalError | InterfaceError) and sqlstate(error) is None
        return DATABASE_AWAY if away else UNUSABLE
    return ""
