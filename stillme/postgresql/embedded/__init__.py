"""The embedded server: PostgreSQL from a wheel, started by who needs it, stopped after the last."""

from django.db.utils import OperationalError


class EmbeddedServerError(OperationalError):
    """The embedded server cannot be made, started or reached; the message says what to do."""
