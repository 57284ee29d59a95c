"""`/healthz`: the process is alive. `/readyz`: it can do its work."""

from __future__ import annotations

import logging
from typing import Any

from django.apps import apps
from django.db import DatabaseError, connections
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpRequest, JsonResponse

from stillme.ops.replicas import replicas
from stillme.postgresql.connecting.explain import explain_operational_error
from stillme.postgresql.distributed import nodes
from stillme.visible import counted

logger = logging.getLogger("stillme.requests")

DATABASE_AWAY = "The database cannot be used at the moment: the server's log says why."


def healthz(request: HttpRequest) -> JsonResponse:
    """Alive: no database is asked, because a restart would not cure that one."""
    return JsonResponse({"status": "alive"})


def readyz(request: HttpRequest) -> JsonResponse:
    """Ready: the database and its nodes answer, migrations are applied, the follower keeps up.

    503 with the reasons otherwise. Replicas that are left out are named, and no reason: the
    primary does their work. Neither are `warnings`, which are there where a program still works
    on the old files: PostgreSQL is in charge and serves.
    """
    problems: list[str] = []
    lags: dict[str, Any] = {}
    warnings: list[str] = []
    try:
        problems += unapplied()
        if not problems:
            problems += dead_nodes()
            lags, warnings = follower_lags(), seal_warnings()
            problems += [
                f"{file}: {lag['problem']}" for file, lag in lags.items() if lag["problem"]
            ]
    except DatabaseError as error:
        # Anybody may ask; who the database's user is, and on which host, is for the log.
        logger.error("readyz: %s", explain_operational_error(error))
        problems.append(DATABASE_AWAY)
    body = {
        "status": "not ready" if problems else "ready",
        "problems": problems,
        "followers": lags,
        "replicas": replicas.states(),
        **({"warnings": warnings} if warnings else {}),
    }
    return JsonResponse(body, status=503 if problems else 200)


def unapplied() -> list[str]:
    """A sentence where migrations are missing."""
    executor = MigrationExecutor(connections["default"])
    plan = executor.migration_plan(executor.loader.graph.leaf_nodes())
    if not plan:
        return []
    missing = counted(len(plan), "migration is", "migrations are")
    return [f"{missing} not applied: run `python manage.py migrate`."]


def dead_nodes() -> list[str]:
    """A sentence for each node of a cluster that does not answer; its address is for the log."""
    dead = [node for node in nodes(connections["default"]) if not node.answers]
    for node in dead:
        logger.error("readyz: node %s at %s does not answer", node.number, node.address)
    return [
        f"Node {node.number} of the cluster does not answer: "
        f"{', '.join(node.schemas) or 'nothing'} cannot be used."
        for node in dead
    ]


def follower_lags() -> dict[str, dict[str, Any]]:
    """The lag of each file that is followed; none once the migration engine is not installed."""
    if not apps.is_installed("stillme.transfer"):
        return {}
    from stillme.ops import followers

    return followers.follower_lags()


def seal_warnings() -> list[str]:
    """What is wrong with the old files since the cut-over; none without the migration engine."""
    if not apps.is_installed("stillme.transfer"):
        return []
    from stillme.ops import followers

    return followers.seal_warnings()
