"""What stands behind the question mark of a database URL: refused by name where it is not usable.

Here, before anybody connects: psycopg's own refusal comes as late as that, and as a traceback.
"""

from __future__ import annotations

from typing import Any

from django.core.exceptions import ImproperlyConfigured

# Beside libpq's: Django's own, and psycopg's.
_OTHERS = ("assume_role", "isolation_level", "server_side_binding", "prepare_threshold")
_NUMBERS = (
    "connect_timeout",
    "prepare_threshold",
    "keepalives",
    "keepalives_idle",
    "keepalives_interval",
    "keepalives_count",
    "tcp_user_timeout",
)
_SWITCHES = (
    "ATOMIC_REQUESTS",
    "AUTOCOMMIT",
    "CONN_HEALTH_CHECKS",
    "DISABLE_SERVER_SIDE_CURSORS",
)


def check_options(config: dict[str, Any]) -> None:
    """Raises ImproperlyConfigured, which names the option; its value may be a secret."""
    options: dict[str, Any] = config.get("OPTIONS", {})
    if options:
        _check_names(options)
    for name in _NUMBERS:
        if not isinstance(options.get(name, 0), int):
            raise _refusal(name, "is no whole number")
    if not isinstance(config.get("CONN_MAX_AGE", 0), int | float | None):
        raise _refusal("conn_max_age", "is no number")
    for name in _SWITCHES:
        # As text "false" would switch it on.
        if config.get(name, True) not in (True, False):
            raise _refusal(name.lower(), "is neither True nor False")


def _check_names(options: dict[str, Any]) -> None:
    # Only a URL that has options costs the import before anything connects.
    from psycopg.pq import Conninfo

    known = {option.keyword.decode() for option in Conninfo.get_defaults()}
    for name in options:
        if name == "pool":
            raise _refusal(name, "is not set there but by DB_POOL_MAX_SIZE")
        if name not in known and name not in _OTHERS:
            raise _refusal(name, "is none that PostgreSQL's client library or Django knows")


def _refusal(name: str, what: str) -> ImproperlyConfigured:
    shown = name if name.isidentifier() else "with a name that is none"
    return ImproperlyConfigured(
        f"The option {shown} in a database URL {what}: correct it or leave it out of DATABASE_URL."
    )
