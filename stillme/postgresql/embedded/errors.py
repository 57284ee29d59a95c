"""What stops the embedded server."""

from __future__ import annotations

from django.db.utils import OperationalError


class EmbeddedServerError(OperationalError):
    """The embedded server cannot be made, started or reached; the message says what to do."""
