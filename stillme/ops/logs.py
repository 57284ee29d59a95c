"""Structured logs: one JSON object a line, with the ids of the request and the run."""

from __future__ import annotations

import json
import logging
import os
from datetime import UTC, datetime
from typing import Any

from stillme.ops.context import request_id, run_id


class ContextFilter(logging.Filter):
    """Puts `request_id` and `run_id` on every record."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Always true."""
        record.request_id = request_id.get() or "-"
        record.run_id = run_id.get() or "-"
        return True


class JsonFormatter(logging.Formatter):
    """One JSON object per record."""

    def format(self, record: logging.LogRecord) -> str:
        """Time, level, logger, message, process, ids, and the traceback where there is one."""
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            "process": os.getpid(),
            "request_id": getattr(record, "request_id", "-"),
            "run_id": getattr(record, "run_id", "-"),
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


def logging_settings(level: str, form: str) -> dict[str, Any]:
    """Django's LOGGING: everything to standard error, from `level` on, `form` "plain" or "json"."""
    plain = "%(asctime)s %(levelname)s %(name)s [%(request_id)s %(run_id)s]: %(message)s"
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "filters": {"context": {"()": ContextFilter}},
        "formatters": {"plain": {"format": plain}, "json": {"()": JsonFormatter}},
        "handlers": {
            "stderr": {
                "class": "logging.StreamHandler",
                "formatter": form,
                "filters": ["context"],
            }
        },
        "root": {"handlers": ["stderr"], "level": level},
        # The pool logs every attempt to reach a server that is down; a command says it once.
        "loggers": {"psycopg.pool": {"level": "ERROR"}},
    }
