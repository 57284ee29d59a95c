"""How a session notices that the other side is gone: a killed process, a network that is cut.

Without this a client waits some fifteen minutes for an answer from a peer that is silent, and the
server keeps the session of a machine that is gone, with its locks, for two hours and more.
https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-PARAMKEYWORDS
https://www.postgresql.org/docs/current/runtime-config-connection.html
"""

from __future__ import annotations

from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper

# The client's side, libpq's parameters: a silent peer is noticed within a minute, idle (seconds)
# or with something on its way (milliseconds).
OPTIONS = {
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": 60_000,
}

# The server's side. While it works on a statement, PostgreSQL looks at the socket only where it is
# told to (milliseconds); a Windows server cannot.
_SERVER = {
    "client_connection_check_interval": 1_000,
    "tcp_keepalives_idle": 30,
    "tcp_keepalives_interval": 10,
    "tcp_keepalives_count": 3,
    "tcp_user_timeout": 60_000,
}
# What a role, a database or the URL was given on purpose stays, and so does what is shorter.
_SQL = (
    "SELECT pg_catalog.set_config(name, wanted, false) FROM pg_catalog.pg_settings "
    "JOIN (VALUES {}) AS given (name, wanted) USING (name) "
    "WHERE source IN ('default', 'configuration file') "
    "AND (setting::bigint = 0 OR setting::bigint > wanted::bigint) "
    "AND NOT (name = 'client_connection_check_interval' "
    "AND pg_catalog.version() ~* 'windows|visual c|msvc|mingw')"
)

# A transaction of ours is idle while SQLite reads a large file. The limit is for transactions that
# were forgotten; ours end with their process. One that the URL gives stays.
_NO_LIMIT = (
    "SELECT pg_catalog.set_config(name, '0', false) FROM pg_catalog.pg_settings "
    "WHERE name = 'idle_in_transaction_session_timeout' AND source <> 'client'"
)


def end_with_client(sender: Any, connection: BaseDatabaseWrapper, **_: Any) -> None:
    """Have the server end this session, and give back its locks, soon after its client is gone.

    A receiver of Django's `connection_created`. Not behind a pooler of transactions: the server's
    client is the pooler, and the setting would be everybody's.
    """
    if connection.vendor != "postgresql":
        return
    if connection.settings_dict.get("DISABLE_SERVER_SIDE_CURSORS"):
        return
    pairs = ", ".join(f"('{name}', '{value}')" for name, value in _SERVER.items())
    with connection.cursor() as cursor:
        cursor.execute(f"{_SQL.format(pairs)} UNION ALL {_NO_LIMIT}")
