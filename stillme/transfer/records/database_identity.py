"""Which database this is: a proof and a mark of a write say nothing about another one.

A dump that is restored brings the ledger along, and with it what was proven of the database it
was made from. The system identifier names the cluster (initdb makes a new one; a physical copy has
the same), the database's OID the database in it.
https://www.postgresql.org/docs/current/functions-info.html#FUNCTIONS-PG-CONTROL-SYSTEM
"""

from __future__ import annotations

from collections.abc import Sequence

from django.db import connections

from stillme.postgresql.statements import fetch_all

_KNOWN = (
    "SELECT has_function_privilege('pg_catalog.pg_control_system()', 'EXECUTE'), "
    "(SELECT oid::text FROM pg_catalog.pg_database WHERE datname = current_database())"
)
_SYSTEM = "SELECT system_identifier::text FROM pg_catalog.pg_control_system()"


def cluster_id(alias: str) -> str:
    """``7432118023541723137/16384``: system identifier and OID of the database.

    Where the server does not tell its identifier, the OID stands alone: ``unknown/16384``.
    """
    ((may_ask, database),) = fetch_all(connections[alias], _KNOWN)
    system = fetch_all(connections[alias], _SYSTEM)[0][0] if may_ask else "unknown"
    return f"{system}/{database}"


# SQL for the 64-bit number of the transaction whose 32-bit number is `x`, the nearest one in the
# past; the caller adds the relation that has `x`.
WHOLE_XID = (
    "now.id - mod(now.id - x + 4294967296, 4294967296) FROM "
    "(SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint AS id) AS now, "
)


def last_writer(alias: str, relations: Sequence[str]) -> int:
    """The newest transaction (64 bit) that wrote a row of any of the tables; 0 for none.

    Right after a restore of the ledger's tables it is the restore's own.
    """
    parts = " UNION ".join(f"SELECT xmin::text::bigint AS x FROM {name}" for name in relations)
    query = f"SELECT max(id) FROM (SELECT {WHOLE_XID} ({parts}) AS t) AS found(id)"
    return int(fetch_all(connections[alias], query)[0][0] or 0)
