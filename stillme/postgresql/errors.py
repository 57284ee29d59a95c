"""What can be wrong with the database server, as sentences an operator can act on."""

from __future__ import annotations

from django.db.utils import OperationalError


class EmbeddedServerError(OperationalError):
    """The embedded server cannot be made, started or reached; the message says what to do."""
