"""HNSW indexes where the server has pgvector; a sentence where it has not.

Each collection has a partial index of its own, because each has its own dimension and metric:
over `embedding::vector(n)` with the metric's operator class.
"""

from __future__ import annotations

from django.db import DatabaseError, connections, transaction

from stillme.postgresql.connecting.explain import first_line
from stillme.postgresql.connecting.session import spell_plainly
from stillme.postgresql.statements import execute, fetch_all, set_local
from vector.models import Collection, Item
from vector.serving import pgvector as extension

# From this version on a search through the index goes on until it has enough.
GOES_ON = (0, 8)
# pgvector's HNSW takes no more for type vector.
MOST_DIMENSIONS = 2_000
M = 16
EF_CONSTRUCTION = 64
# Memory for a build: a graph that does not fit is built many times slower.
LEAST_BUILD_MB, MOST_BUILD_MB = 64, 1_024
# A parallel build takes all of it from shared memory at once: not for a small collection.
PARALLEL_ROWS = 20_000
OPERATOR_CLASS = {"l2": "vector_l2_ops", "cosine": "vector_cosine_ops", "ip": "vector_ip_ops"}


def extension_state(alias: str = "default") -> str:
    """`installed`, `out of reach` (in a schema that the role may not use), `available`, `absent`.

    Available: CREATE EXTENSION would install it.
    """
    found = extension.installed(alias)
    if found is not None:
        return "installed" if found.usable else "out of reach"
    known = "SELECT 1 FROM pg_available_extensions WHERE name = 'vector'"
    return "available" if fetch_all(connections[alias], known) else "absent"


def ensure_extension(alias: str = "default") -> str:
    """Install pgvector if the server has it and lets us; '' or the sentence why it is not there."""
    state = extension_state(alias)
    if state == "absent":
        return "The server has no pgvector: search is exact and slow without it."
    if state == "out of reach":
        return (
            "pgvector is in a schema that this role may not use: have its owner GRANT USAGE ON "
            "SCHEMA (and on its type vector) to the role; until then search is exact and slow."
        )
    if state == "available":
        try:
            with transaction.atomic(using=alias):
                execute(connections[alias], "CREATE EXTENSION IF NOT EXISTS vector SCHEMA public")
        except DatabaseError as error:
            return (
                f"pgvector is there but cannot be installed (PostgreSQL says {first_line(error)}): "
                "have a superuser run CREATE EXTENSION vector in this database; until then search "
                "is exact and slow."
            )
    return ""


def index_name(collection: Collection) -> str:
    """The name of a collection's index."""
    return f"items_hnsw_{collection.pk}"


def has_index(collection: Collection) -> bool:
    """Whether a valid index for this collection's dimension and metric is there, and of use."""
    if extension.usable(collection._state.db or "default") is None:
        return False
    found = _definition(collection)
    return found is not None and _fits(collection, found)


def ensure_index(collection: Collection, *, patience: str = "0") -> str:
    """Build the collection's HNSW index if it can have one and has it not; what came of it.

    Writers of the table wait while it is built; `patience` is how long it waits for them, 0 for as
    long as it takes.
    """
    alias = collection._state.db or "default"
    refusal = _why_not(collection, alias)
    if refusal:
        return refusal
    found = _definition(collection)
    if found is not None and _fits(collection, found):
        return f"{collection.name}: {index_name(collection)} is there."
    rows = Item.objects.using(alias).filter(collection_id=collection.pk).count()
    why = ""
    # Where shared memory is scarce (a container's 64 MB) only a build without workers succeeds.
    for workers in (2, 0) if rows >= PARALLEL_ROWS else (0,):
        try:
            with transaction.atomic(using=alias):
                set_local(connections[alias], {"lock_timeout": patience})
                _build(collection, alias, rows, workers, replace=found is not None)
        except DatabaseError as error:
            why = str(error).partition("\n")[0]
        else:
            return f"{collection.name}: {index_name(collection)} built."
    return f"No index for {collection.name}: PostgreSQL says {why}."


def drop_index(collection: Collection) -> None:
    """Take the collection's index down."""
    alias = collection._state.db or "default"
    execute(connections[alias], f'DROP INDEX IF EXISTS "vector"."{index_name(collection)}"')


def _why_not(collection: Collection, alias: str) -> str:
    if not collection.dimension:
        return f"No index for {collection.name}: it has no vectors yet."
    if collection.dimension > MOST_DIMENSIONS:
        return (
            f"No index for {collection.name}: it has {collection.dimension} dimensions, and HNSW "
            f"takes {MOST_DIMENSIONS}; search is exact."
        )
    return ensure_extension(alias)


def build_megabytes(rows: int, dimension: int) -> int:
    """What the graph takes in memory: the vectors, and some 600 bytes of links a row."""
    wanted = rows * (4 * dimension + 600) * 3 // 2 >> 20
    return min(max(wanted, LEAST_BUILD_MB), MOST_BUILD_MB)


def _build(collection: Collection, alias: str, rows: int, workers: int, *, replace: bool) -> None:
    connection = connections[alias]
    if replace:
        drop_index(collection)
    # Items written in this very transaction still have their foreign keys to be checked.
    execute(connection, "SET CONSTRAINTS ALL IMMEDIATE")
    execute(connection, "SET CONSTRAINTS ALL DEFERRED")
    memory = build_megabytes(rows, collection.dimension or 0)
    set_local(connection, {"maintenance_work_mem": f"{memory}MB"})
    set_local(connection, {"max_parallel_maintenance_workers": workers})
    pgvector = extension.installed(alias)
    if pgvector is None:
        raise DatabaseError("the extension vector is not there any more")
    operators = pgvector.named(OPERATOR_CLASS[collection.metric])
    execute(
        connection,
        f'CREATE INDEX "{index_name(collection)}" ON "vector"."items" '
        f"USING hnsw ((embedding::{pgvector.vector(collection.dimension)}) {operators}) "
        f"WITH (m = {M}, ef_construction = {EF_CONSTRUCTION}) "
        f"WHERE collection_id = {int(collection.pk)}",
    )


def _definition(collection: Collection) -> str | None:
    connection = connections[collection._state.db or "default"]
    spell_plainly(connection)
    rows = fetch_all(
        connection,
        "SELECT pg_get_indexdef(c.oid) FROM pg_class c JOIN pg_namespace n ON "
        "n.oid = c.relnamespace JOIN pg_index i ON i.indexrelid = c.oid "
        "WHERE n.nspname = 'vector' AND c.relname = %s AND i.indisvalid",
        [index_name(collection)],
    )
    return str(rows[0][0]) if rows else None


def _fits(collection: Collection, definition: str) -> bool:
    # pg_get_indexdef leaves the default operator class (l2) out.
    operators = OPERATOR_CLASS[collection.metric]
    named = operators in definition or (
        operators == "vector_l2_ops" and "_ops)" not in definition and "_ops " not in definition
    )
    return named and f"vector({collection.dimension})" in definition
