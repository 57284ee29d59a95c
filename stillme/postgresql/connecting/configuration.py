"""From the environment's values to an entry of DATABASES. Connects to nothing.

What stands behind the question mark of a database URL is refused by name where it is not usable:
psycopg's own refusal comes as late as it connects, and as a traceback.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import environ
from django.core.exceptions import ImproperlyConfigured

from stillme.postgresql.connecting import silence

ENGINE = "stillme.postgresql"
EMBEDDED_DATABASE = "stillme"
# How often a session sees a statement before it is prepared.
PREPARE_AFTER = 2
CONNECT_TIMEOUT = 10
SCHEMES = ("postgres", "postgresql")
# Options of a URL in addition to libpq's: Django's own, and psycopg's.
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


def default_cluster_directory(base_directory: Path) -> Path:
    """Where the embedded server keeps its data.

    Beside the project's own data for an ordinary user. PostgreSQL refuses to run as root and
    another user has to reach the directory, so root gets one that is below no private home.
    """
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        digest = hashlib.sha256(str(base_directory).encode()).hexdigest()[:12]
        return Path("/var/lib/stillme") / digest
    return base_directory / "data" / "postgresql"


def target_database(
    url: str,
    *,
    embedded_directory: Path,
    pool_sizes: tuple[int, int, float] = (0, 0, 0.0),
    timeouts: Mapping[str, int] | None = None,
    prepared: bool = False,
) -> dict[str, Any]:
    """The entry of a PostgreSQL database: the one `url` names, or the embedded server's.

    `prepared` lets cursors with server-side parameters prepare what they repeat, except behind a
    pooler of transactions (DISABLE_SERVER_SIDE_CURSORS, as Django wants it there).
    """
    config = _from_url(url) if url else _embedded(embedded_directory)
    options: dict[str, Any] = config.setdefault("OPTIONS", {})
    for name, value in {"connect_timeout": CONNECT_TIMEOUT, **silence.OPTIONS}.items():
        options.setdefault(name, value)
    _set_timeouts(options, timeouts or {})
    if prepared and not config.get("DISABLE_SERVER_SIDE_CURSORS"):
        options.setdefault("prepare_threshold", PREPARE_AFTER)
    low, high, patience = pool_sizes
    if high > 0:
        options["pool"] = {"min_size": min(low, high), "max_size": high, "timeout": patience}
        config["CONN_MAX_AGE"] = 0
    return config


def _from_url(url: str) -> dict[str, Any]:
    """Read a database URL; a refusal never repeats it, since it may hold a password."""
    if not _is_usable(url):
        raise ImproperlyConfigured(
            "A database URL is not usable: write it as postgresql://USER:PASSWORD@HOST:PORT/NAME, "
            "with special characters in the password percent-encoded."
        )
    config: dict[str, Any] = environ.Env.db_url_config(url, engine=ENGINE)
    _check_options(config)
    # libpq's way to name the folder of a socket in the place of the host.
    if str(config.get("HOST", "")).lower().startswith("%2f"):
        config["HOST"] = unquote(config["HOST"])
    return config


def _is_usable(url: str) -> bool:
    """Whether the parts of a database URL are where they should be.

    A password with a bare slash, question mark or number sign ends up as host, path or query, and
    so in a message about these; the at sign before the host is then behind the first of them.
    """
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return False
    behind = f"{parts.path}{parts.query}{parts.fragment}"
    return parts.scheme in SCHEMES and bool(parts.path.strip("/")) and "@" not in behind


def _embedded(directory: Path) -> dict[str, Any]:
    return {
        "ENGINE": ENGINE,
        "NAME": EMBEDDED_DATABASE,
        "USER": "postgres",
        "PORT": "5432",
        "EMBEDDED": {"directory": str(directory), "database": EMBEDDED_DATABASE},
    }


def _set_timeouts(options: dict[str, Any], timeouts: Mapping[str, int]) -> None:
    """Timeouts in milliseconds as libpq startup options; 0 leaves the server's own."""
    flags = [f"-c {name}={value}" for name, value in timeouts.items() if value > 0]
    if flags:
        options["options"] = " ".join([*filter(None, [options.get("options")]), *flags])


def _check_options(config: dict[str, Any]) -> None:
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
            raise _refusal(name, "is not known to PostgreSQL's client library or Django")


def _refusal(name: str, what: str) -> ImproperlyConfigured:
    shown = name if name.isidentifier() else "whose name has odd characters"
    return ImproperlyConfigured(
        f"The option {shown} in a database URL {what}: correct it or leave it out of DATABASE_URL."
    )
