"""Rows are read from the tables: where an index of a copy disagrees with its table, it is rebuilt.

An index that misses a row, or holds one that is gone, would otherwise decide what a query reads.
Measured on a store of 50,000 items: see docs/reference/vectors.md.
"""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from pathlib import Path

from stillme.transfer.errors import LegacyFileError
from vector.chroma.records import Notice

_READ = (
    "collections", "collection_metadata", "tenants", "databases", "segments", "max_seq_id",
    "embeddings", "embedding_metadata", "embedding_metadata_array", "embeddings_queue",
)  # fmt: skip
_INDEX = re.compile(
    r"^(?:row \d+ missing from|wrong # of entries in|non-unique entry in|"
    r"rowid not at end-of-record for row \d+ of|row \d+ values differ from) index (.+)$"
)
# The pages of a table: what they have lost, no index brings back.
_TREE = re.compile(r"^(?:On tree page|Tree|On page) ")
_HELP = "REINDEX on a copy of the store mends it"


def wrong_indexes(database: Path, named: Path) -> dict[str, str]:
    """Index -> table of the indexes of a copy that disagree with their tables.

    `named` is the file that the sentences name. Raises LegacyFileError where a table is damaged.
    """
    wrong: dict[str, str] = {}
    sql = "SELECT name, tbl_name FROM sqlite_master WHERE type = 'index'"
    try:
        with closing(sqlite3.connect(database, isolation_level=None)) as connection:
            table_of = dict(connection.execute(sql).fetchall())
            # What has no index is read as it is.
            for table in sorted(set(_READ) & set(table_of.values())):
                for (message,) in connection.execute(f"PRAGMA integrity_check('{table}')"):
                    if _TREE.match(message):
                        what = f"table {table}: {message.splitlines()[0]}"
                        raise LegacyFileError(_damaged(named, what))
                    if found := _INDEX.match(message):
                        wrong[found[1]] = table_of.get(found[1], table)
    except sqlite3.Error as error:
        raise LegacyFileError(_damaged(named, str(error))) from error
    return wrong


def rebuild_indexes(database: Path, named: Path, wrong: dict[str, str]) -> list[Notice]:
    """Rebuild these indexes of a copy, and say which they were.

    Raises LegacyFileError where a table holds rows twice that its unique index says are one.
    """
    with closing(sqlite3.connect(database, isolation_level=None)) as connection:
        connection.execute("PRAGMA synchronous = OFF")
        # All of such a table: the check ends with its hundredth message.
        for table in sorted(set(wrong.values())):
            _reindex(connection, table, named)
        connection.execute("PRAGMA journal_mode = DELETE")
    return [
        Notice(
            "index_disagrees",
            f"The index {name} of {named} disagrees with its table {table} (PRAGMA "
            f"integrity_check): the rows were read from the table. {_HELP}.",
        )
        for name, table in wrong.items()
    ]


def _damaged(named: Path, what: str) -> str:
    return f"{named} is damaged ({what}): restore it from a backup."


def _reindex(connection: sqlite3.Connection, table: str, named: Path) -> None:
    try:
        connection.execute(f'REINDEX "{table}"')
    except sqlite3.IntegrityError as error:
        columns = str(error).rpartition(": ")[2]
        raise LegacyFileError(
            f"The table {table} of {named} holds rows twice that a unique index says are one "
            f"({columns}): REINDEX does not help before one of each is deleted. Do both on a copy "
            "of the store, point LEGACY_VECTOR_DIR to it and run again."
        ) from error
    except sqlite3.Error as error:
        raise LegacyFileError(
            f"The indexes of the table {table} of {named} cannot be rebuilt ({error}): restore the "
            "store from a backup."
        ) from error
