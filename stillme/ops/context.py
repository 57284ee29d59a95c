"""What log lines say about where they come from: the request, the run of a command."""

from __future__ import annotations

import logging
import re
import uuid
from contextvars import ContextVar
from typing import Any

from django.db.models.signals import post_save

logger = logging.getLogger("stillme.runs")

request_id: ContextVar[str] = ContextVar("request_id", default="")
run_id: ContextVar[str] = ContextVar("run_id", default="")

_ACCEPTED = re.compile(r"[A-Za-z0-9._-]{1,64}")


def request_id_from(given: str | None) -> str:
    """The id that a proxy gave, where it is harmless to repeat; else a new one."""
    return given if given and _ACCEPTED.fullmatch(given) else uuid.uuid4().hex


def follow_runs() -> None:
    """From the moment a command records its run, log lines carry that run's id."""
    post_save.connect(_note_run, sender="transfer.Run", dispatch_uid="ops.run_id")


def _note_run(
    instance: Any, created: bool, update_fields: frozenset[str] | None = None, **kwargs: Any
) -> None:
    if created:
        run_id.set(str(instance.pk))
        logger.info("%s began", instance.command)
    elif update_fields and "finished_at" in update_fields:
        logger.info("%s ended: %s", instance.command, instance.message or instance.status)
