"""Collections, their segments and their metric, in either layout."""

from __future__ import annotations

import json
import sqlite3
from dataclasses import dataclass
from uuid import UUID

from stillme.transfer.errors import LegacyFileError
from vector.chroma.queue import NO_NUMBER, sequence
from vector.chroma.records import Collection, Metric, Scalar

# One row an element; Chroma of 2026 has it.
LISTS = "embedding_metadata_array"
VALUES = "embedding_metadata"
_NEEDED = {
    "collections": {"id", "name"},
    "segments": {"id", "scope", "collection"},
    "embeddings": {"id", "segment_id", "embedding_id", "seq_id", "created_at"},
    "embedding_metadata": {"id", "key", "string_value", "int_value", "float_value"},
    "embeddings_queue": {"seq_id", "operation", "topic", "id", "vector", "encoding", "metadata"},
    "max_seq_id": {"segment_id", "seq_id"},
}
# What Chroma declares to be unique, and NOT NULL, and the reader relies on.
_KEYS = (
    ("collections", {"id"}), ("collection_metadata", {"collection_id", "key"}),
    ("databases", {"id"}), ("segments", {"id"}), ("embeddings", {"id"}),
    ("embeddings", {"segment_id", "embedding_id"}), ("embedding_metadata", {"id", "key"}),
    ("embeddings_queue", {"seq_id"}), ("max_seq_id", {"segment_id"}),
)  # fmt: skip
_REQUIRED = (
    ("collection_metadata", {"key"}), ("embeddings", {"segment_id", "embedding_id"}),
    ("embedding_metadata", {"key"}), ("embeddings_queue", {"topic", "id"}),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Catalogue:
    """What chroma.sqlite3 declares.

    `without_booleans` are the tables of values that have no column for them: before 0.4.3.
    """

    collections: tuple[Collection, ...]
    marks: dict[str, int]
    has_lists: bool
    without_booleans: frozenset[str]


def read_catalogue(connection: sqlite3.Connection) -> Catalogue:
    """Read the declarations. Raises LegacyFileError where this is not a store of a known layout."""
    columns = _columns(connection)
    for table, needed in _NEEDED.items():
        missing = needed - columns.get(table, set())
        if missing:
            raise LegacyFileError(
                f"This chroma.sqlite3 has no {table}.{sorted(missing)[0]}: it is not of a layout "
                "that can be read (0.4 and 1.x are)."
            )
    _check_declared(connection, columns)
    collections = tuple(_collections(connection, columns))
    noted = connection.execute("SELECT segment_id, seq_id FROM max_seq_id").fetchall()
    numbers = {str(segment): sequence(value) for segment, value in noted}
    marks = {key: NO_NUMBER if mark is None else mark for key, mark in numbers.items()}
    without = {t for t in (VALUES, LISTS) if "bool_value" not in columns.get(t, {"bool_value"})}
    return Catalogue(collections, marks, LISTS in columns, frozenset(without))


def _check_declared(connection: sqlite3.Connection, columns: dict[str, set[str]]) -> None:
    """Raise LegacyFileError where a table may hold rows that Chroma's own cannot."""
    for what, declared, each in (("UNIQUE", _unique, _KEYS), ("NOT NULL", _not_null, _REQUIRED)):
        for table, names in each:
            if table in columns and not declared(connection, table, names):
                raise LegacyFileError(
                    f"{table} ({', '.join(sorted(names))}) is not {what} in this chroma.sqlite3, "
                    "as Chroma declares it: somebody else made the table, and its rows may not be "
                    "what Chroma shows. Restore the file that Chroma wrote."
                )


def _unique(connection: sqlite3.Connection, table: str, names: set[str]) -> bool:
    """Whether no two rows of a table agree in these columns."""
    key = connection.execute("SELECT name FROM pragma_table_info(?) WHERE pk", (table,))
    indexes = connection.execute(
        "SELECT l.seq, i.name FROM pragma_index_list(?) l, pragma_index_info(l.name) i "
        'WHERE l."unique" AND NOT l.partial',
        (table,),
    )
    found: dict[int, set[str]] = {-1: {name for (name,) in key}}
    for number, name in indexes:
        found.setdefault(number, set()).add(name)
    return names in found.values()


def _not_null(connection: sqlite3.Connection, table: str, names: set[str]) -> bool:
    """Whether a table takes no NULL in these columns."""
    sql = 'SELECT name FROM pragma_table_info(?) WHERE "notnull"'
    return names <= {name for (name,) in connection.execute(sql, (table,))}


def _columns(connection: sqlite3.Connection) -> dict[str, set[str]]:
    names = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
    sql = "SELECT name FROM pragma_table_info(?)"
    return {name: {row[0] for row in connection.execute(sql, (name,))} for (name,) in names}


def _collections(connection: sqlite3.Connection, columns: dict[str, set[str]]) -> list[Collection]:
    has = columns["collections"]
    optional = ("dimension", "database_id", "config_json_str", "schema_str")
    wanted = ", ".join(name if name in has else f"NULL AS {name}" for name in optional)
    databases = _databases(connection, columns)
    found = []
    for key, name, dimension, database, configuration, schema in connection.execute(
        f"SELECT id, name, {wanted} FROM collections ORDER BY name, id"
    ).fetchall():
        metadata = _collection_metadata(connection, columns, key)
        try:
            UUID(str(key))
        except ValueError as error:
            raise LegacyFileError(
                f"The collection id {key!r} is no UUID: this store was not written by Chroma."
            ) from error
        if not isinstance(name, str) or not isinstance(dimension, int | None):
            raise LegacyFileError(
                f"The collection {name!r} of the dimension {dimension!r} has a name that is no "
                "text, or a dimension that is no whole number: this store was not written by "
                "Chroma."
            )
        tenant, database_name = databases.get(database, ("default_tenant", "default_database"))
        scopes = "SELECT scope, id FROM segments WHERE collection = ? ORDER BY id"
        segments = dict(connection.execute(scopes, (key,)).fetchall())
        found.append(
            Collection(
                id=key, name=name, tenant=tenant, database=database_name, dimension=dimension,
                metric=find_metric(configuration, schema, metadata), metadata=metadata,
                configuration=configuration, schema=schema,
                vector_segment=segments.get("VECTOR"), metadata_segment=segments.get("METADATA"),
            )
        )  # fmt: skip
    return found


def _databases(
    connection: sqlite3.Connection, columns: dict[str, set[str]]
) -> dict[str, tuple[str, str]]:
    if "databases" not in columns:
        return {}
    rows = connection.execute("SELECT id, tenant_id, name FROM databases")
    return {key: (tenant, name) for key, tenant, name in rows}


def _collection_metadata(
    connection: sqlite3.Connection, columns: dict[str, set[str]], collection: str
) -> dict[str, Scalar | None]:
    if "collection_metadata" not in columns:
        return {}
    flag = "bool_value" if "bool_value" in columns["collection_metadata"] else "NULL"
    rows = connection.execute(
        f"SELECT key, str_value, int_value, float_value, {flag} "
        "FROM collection_metadata WHERE collection_id = ? ORDER BY key",
        (collection,),
    )
    found: dict[str, Scalar | None] = {}
    for key, text, integer, real, boolean in rows:
        # One of them is set, or none: a NaN was stored.
        values = (text, integer, real, None if boolean is None else bool(boolean))
        value = next((value for value in values if value is not None), None)
        # Bytes are spelled; the inventory tells of them.
        found[str(key)] = repr(value) if isinstance(value, bytes) else value
    return found


def find_metric(
    configuration: str | None, schema: str | None, metadata: dict[str, Scalar | None]
) -> Metric:
    """The collection's distance: what schema, configuration or metadata says.

    A configuration that says l2 may only be the default: Chroma then falls back to the collection's
    `hnsw:space`, and so does this.
    """
    told_by_schema, configured = _json(schema), _json(configuration)
    config = ("float_list", "vector_index", "config", "space")
    told = (
        _dig(told_by_schema, "keys", "#embedding", *config)
        or _dig(told_by_schema, "defaults", *config),
        _dig(configured, "hnsw", "space") or _dig(configured, "hnsw_configuration", "space"),
        metadata.get("hnsw:space"),
    )
    others = [Metric(str(each)) for each in told if each in (Metric.COSINE, Metric.IP)]
    return others[0] if others else Metric.L2


def _json(text: str | None) -> object:
    try:
        return json.loads(text) if text else None
    except (ValueError, RecursionError):
        # Not JSON says nothing of the metric; the text itself is carried in the collection.
        return None


def _dig(value: object, *path: str) -> object:
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    return value
