"""What log lines say about where they come from: the request, the run of a command."""

from __future__ import annotations

import re
import uuid
from contextvars import ContextVar

request_id: ContextVar[str] = ContextVar("request_id", default="")
run_id: ContextVar[str] = ContextVar("run_id", default="")

_ACCEPTED = re.compile(r"[A-Za-z0-9._-]{1,64}")


def request_id_from(given: str | None) -> str:
    """The id that a proxy gave, where it is harmless to repeat; else a new one."""
    return given if given and _ACCEPTED.fullmatch(given) else uuid.uuid4().hex
