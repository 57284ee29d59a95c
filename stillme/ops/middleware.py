"""Around every request: its id, its task for the replicas, its figures, its sentence when down."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from django.db import DataError, InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse

from stillme.ops.context import request_id, request_id_from
from stillme.ops.health import DATABASE_AWAY
from stillme.ops.metrics import REQUESTS, SECONDS
from stillme.ops.replicas import task
from stillme.postgresql.connecting.explain import explain_operational_error, first_line

logger = logging.getLogger("stillme.requests")

HEADER = "X-Request-ID"
RETRY_AFTER = 5


class OperationsMiddleware:
    """The outermost of the project's own middlewares."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Answer the request, measured and named."""
        started = time.perf_counter()
        token = request_id.set(request_id_from(request.headers.get(HEADER)))
        try:
            with task():
                # No column holds U+0000: PostgreSQL and the drivers refuse it, each in its own way.
                odd = "\0" in request.path_info or "%00" in request.META.get("QUERY_STRING", "")
                response = _no_such_value() if odd else self.get_response(request)
            self._account(request, response, time.perf_counter() - started)
            response[HEADER] = request_id.get()
            return response
        finally:
            request_id.reset(token)

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        """A database that cannot be used is 503, a value that no column can have is 400."""
        if isinstance(error, DataError):
            logger.warning("%s %s: %s", request.method, request.path, first_line(error))
            return _no_such_value()
        if not isinstance(error, OperationalError | InterfaceError):
            return None
        sentence = explain_operational_error(error)
        logger.error("%s %s: %s", request.method, request.path, sentence)
        response = HttpResponse(DATABASE_AWAY, status=503, content_type="text/plain; charset=utf-8")
        response["Retry-After"] = str(RETRY_AFTER)
        return response

    def _account(self, request: HttpRequest, response: HttpResponse, seconds: float) -> None:
        # By the view's name: paths hold keys, and each would become a time series of its own.
        match = request.resolver_match
        view = (match.view_name or "unnamed") if match else "none"
        method = request.method if request.method in _METHODS else "other"
        REQUESTS.labels(method, view, str(response.status_code)).inc()
        SECONDS.labels(view).observe(seconds)
        logger.info("%s %s %s %.1f ms", method, request.path, response.status_code, seconds * 1000)


def _no_such_value() -> HttpResponse:
    sentence = "The address asks for a value that no column can hold: correct it, or go back."
    return HttpResponse(sentence, status=400, content_type="text/plain; charset=utf-8")


_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
