"""What a Chroma folder holds, line by line: each table with rows, each file and folder with data.

A line is *carried* (the reader moves it, or it is bookkeeping that follows from what is moved) or
*open*. Decisions to leave something are not looked up here.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from stillme.transfer.errors import LegacyFileError
from stillme.transfer.inventory.entries import InventoryLine
from stillme.transfer.inventory.stores import StoreReport
from stillme.transfer.plumbing.quoting import quoted
from stillme.transfer.sqlite.reading.connect import explained, open_legacy
from stillme.transfer.sqlite.schema.found import contents
from vector.names import DATABASE, FILE

_COLLECTIONS, _ITEMS = "vector.collections", "vector.items"
# Where the rows of each table that Chroma is known to write go; "" is bookkeeping.
_TARGETS = {
    "collections": _COLLECTIONS, "collection_metadata": _COLLECTIONS, "tenants": _COLLECTIONS,
    "databases": _COLLECTIONS, "embeddings": _ITEMS, "embedding_metadata": _ITEMS,
    "embedding_metadata_array": _ITEMS, "embeddings_queue": _ITEMS, "segments": "",
    "segment_metadata": "", "max_seq_id": "", "migrations": "", "acquire_write": "",
    "maintenance_log": "", "embeddings_queue_config": "",
}  # fmt: skip
# Indexes of documents, which repeat them; 0.4 began with the first.
_FULLTEXT = {"embedding_fulltext", "embedding_fulltext_search"}
_SEGMENT_FILES = {
    "header.bin", "data_level0.bin", "length.bin", "link_lists.bin", "index_metadata.pickle",
}  # fmt: skip
# Beside the database, and part of it.
_DATABASE_FILES = {DATABASE, *(f"{DATABASE}-{end}" for end in ("wal", "shm", "journal"))}
_UNKNOWN_TABLE = (
    "the import does not know this table of chroma.sqlite3, so its rows are not carried: a newer "
    "Chroma or somebody else wrote it"
)
_LEFT_OVER = "no collection has them any more, so they are not carried: Chroma does not show them"
_OLD_STORE = (
    "this looks like a store of Chroma 0.3, which has no chroma.sqlite3 and cannot be read here: "
    "open a copy of the folder with Chroma's own migration (chroma-migrate, then Chroma 0.4 or "
    "later), point LEGACY_VECTOR_DIR to it, or decide to leave it"
)
_NO_DATABASE = (
    "the folder has no chroma.sqlite3 with anything in it, and without one nobody can say which "
    "ids and documents belong to this: restore the file from a backup, or decide to leave it"
)
_NO_SEGMENT = (
    "no collection of chroma.sqlite3 has a segment of this name: Chroma leaves such a folder "
    "behind when a collection is deleted; restore the collection, delete the folder, or decide to "
    "leave it"
)
_STRANGE = "Chroma is not known to write this, and it is not carried"


def is_store(folder: Path) -> bool:
    """Whether there is a database with anything in it; True also where nobody may look."""
    database = folder / DATABASE
    try:
        return database.is_file() and database.stat().st_size > 0
    except PermissionError:
        return True


def holds_data(path: Path) -> bool:
    """Whether a file has a byte, or a folder such a file; True also where nobody may look."""
    try:
        if path.is_dir():
            return any(map(holds_data, path.iterdir()))
        return path.exists() and path.stat().st_size > 0
    except PermissionError:
        return True


def inventory_now(folder: Path) -> list[InventoryLine]:
    """What is in the folder now, read in place. Raises LegacyFileError where it cannot be read."""
    if not is_store(folder):
        return _unreadable(folder)
    database = folder / DATABASE
    with explained(database), closing(open_legacy(database)) as connection:
        return table_lines(connection) + folder_lines(folder, connection)


def unreadable_report(folder: Path) -> StoreReport:
    """What an import and a proof say of a folder that is no store: it is only accounted for."""
    report = StoreReport(inventory=_unreadable(folder))
    if report.inventory:
        report.notices = [f"{FILE}: {folder} was not read: {report.inventory[0].why}."]
    return report


def _unreadable(folder: Path) -> list[InventoryLine]:
    """The lines of a folder without a database, or of a file where a folder should be."""
    found = [path for path in _inside(folder) if holds_data(path)]
    old = any(path.suffix == ".parquet" or path.name == "index" for path in found)
    return [_open(path.name, None, _OLD_STORE if old else _NO_DATABASE) for path in found]


def folder_lines(folder: Path, connection: sqlite3.Connection) -> list[InventoryLine]:
    """Every folder and file with data, but the database itself."""
    named = {str(row[0]) for row in connection.execute(_CHOSEN.format(scope="VECTOR"))}
    lines = []
    for path in _inside(folder):
        if path.name in _DATABASE_FILES or not holds_data(path):
            continue
        if not path.is_dir():
            lines.append(_open(path.name, None, _STRANGE))
        elif path.name not in named:
            lines.append(_open(path.name, None, _NO_SEGMENT))
        else:
            lines.append(InventoryLine(FILE, path.name, None, "carried", _ITEMS))
            lines += [
                _open(f"{path.name}/{each.name}", None, _STRANGE)
                for each in _inside(path)
                if each.name not in _SEGMENT_FILES and holds_data(each)
            ]
    return lines


def table_lines(connection: sqlite3.Connection) -> list[InventoryLine]:
    """Every table with rows, and what deleted collections left. Counted by full scans."""
    lines = []
    for found in contents(connection):
        if found.name in _TARGETS and found.what == "table":
            target = _TARGETS[found.name]
            lines.append(InventoryLine(FILE, found.name, found.rows, "carried", target))
        elif found.what != "view" and found.name not in _FULLTEXT:
            lines.append(_open(found.name, found.rows, _UNKNOWN_TABLE))
    return [*lines, *_left_over(connection)]


def unread_line(collection: str, table: str, scanned: int, read: int) -> InventoryLine:
    """A table of which not all rows of a collection's items were read."""
    return _open(
        f"{table} (of the collection {collection})",
        scanned,
        f"a full scan counts {scanned:,} rows and {read:,} were read: the file is damaged, "
        "restore it from a backup",
    )


def scan(connection: sqlite3.Connection, table: str, where: str = "TRUE") -> int:
    """How many rows a table has, counted without any index of the file."""
    sql = f"SELECT count(*) FROM {quoted(table)} NOT INDEXED WHERE {where}"
    return int(connection.execute(sql).fetchone()[0])


# A collection has one segment of a scope; of several the reader takes the last.
_CHOSEN = (
    "SELECT max(id) FROM segments NOT INDEXED WHERE scope = '{scope}' "
    "AND collection IN (SELECT id FROM collections NOT INDEXED) GROUP BY collection"
)
_LEFT_OVER_ROWS = {
    "embeddings": f"segment_id NOT IN ({_CHOSEN.format(scope='METADATA')})",
    "embedding_metadata": "id IS NULL OR id NOT IN (SELECT id FROM embeddings NOT INDEXED)",
    "embedding_metadata_array": "id IS NULL OR id NOT IN (SELECT id FROM embeddings NOT INDEXED)",
    "collection_metadata": "collection_id NOT IN (SELECT id FROM collections NOT INDEXED)",
    "embeddings_queue": (
        "NOT EXISTS (SELECT 1 FROM collections NOT INDEXED WHERE topic = collections.id "
        "OR substr(topic, -length(collections.id) - 1) = '/' || collections.id)"
    ),
}


def _left_over(connection: sqlite3.Connection) -> Iterator[InventoryLine]:
    for table, where in _LEFT_OVER_ROWS.items():
        there = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?"
        if connection.execute(there, (table,)).fetchone() is None:
            continue
        if rows := scan(connection, table, where):
            yield _open(f"{table} (of no collection)", rows, _LEFT_OVER)


def _inside(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except NotADirectoryError:
        return [folder]
    except FileNotFoundError:
        return []
    except OSError as error:
        raise LegacyFileError(f"{folder} cannot be read: {error.strerror}.") from error


def _open(name: str, rows: int | None, why: str) -> InventoryLine:
    return InventoryLine(FILE, name, rows, "open", why=why)
