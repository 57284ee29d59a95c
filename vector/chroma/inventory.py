"""What a Chroma folder holds, line by line: each table with rows, each file and folder with data.

A line is *carried* (the reader moves it, or it is bookkeeping that follows from what is moved) or
*open*. Decisions to leave something are not looked up here.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterator
from contextlib import closing
from pathlib import Path

from stillme.transfer.errors import LegacyFileError
from stillme.transfer.inventory.entries import InventoryLine
from stillme.transfer.inventory.stores import StoreReport
from stillme.transfer.plumbing.quoting import quoted
from stillme.transfer.sqlite.reading.connect import explained, open_legacy
from stillme.transfer.sqlite.schema.found import contents
from stillme.visible import counted
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
# The columns of those tables of them that are carried, in any version.
_VALUES = "int_value float_value bool_value"
_COLUMNS = {
    "collections": "id name topic dimension database_id config_json_str schema_str",
    "collection_metadata": f"collection_id key str_value {_VALUES}",
    "tenants": "id",
    "databases": "id name tenant_id",
    "embeddings": "id segment_id embedding_id seq_id created_at",
    "embedding_metadata": f"id key string_value {_VALUES}",
    "embedding_metadata_array": f"id key string_value {_VALUES}",
    "embeddings_queue": "seq_id created_at operation topic id vector encoding metadata",
}
# The index of documents, which repeats them; 0.4 began with the first.
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
_UNKNOWN_COLUMN = (
    "the import does not know this column of chroma.sqlite3, so its values are not carried: a "
    "newer Chroma or somebody else wrote it"
)
_TWO_VALUES = (
    "a row holds several values, or one that Chroma does not write, and the import takes the first "
    "of them: correct the store, or decide to leave the others"
)
_NO_TENANT = (
    "nothing says of which tenant and database these are, and the import takes the default ones: "
    "Chroma does not show them"
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
        name = found.name
        if found.what == "view" or (found.what == "virtual table" and name in _FULLTEXT):
            continue
        if found.what == "table" and name in _TARGETS:
            lines.append(InventoryLine(FILE, name, found.rows, "carried", _TARGETS[name]))
            lines += _unknown_columns(connection, name)
        else:
            lines.append(_open(name, found.rows, _UNKNOWN_TABLE))
    return [*lines, *_left_over(connection)]


def _unknown_columns(connection: sqlite3.Connection, table: str) -> Iterator[InventoryLine]:
    """Columns of a carried table that nothing carries."""
    if table not in _COLUMNS:
        return
    for column in columns_of(connection, table) - {*_COLUMNS[table].split()}:
        if rows := scan(connection, table, f"{quoted(column)} IS NOT NULL"):
            yield _open(f"{table}.{column}", rows, _UNKNOWN_COLUMN)


def unread_line(collection: str, table: str, scanned: int, read: int) -> InventoryLine:
    """A table of which not all rows of a collection's items were read."""
    return _open(
        f"{table} (of the collection {collection})",
        scanned,
        f"a full scan counts {counted(scanned, 'row')}, {read:,} could be read: the file is "
        "damaged, restore it from a backup",
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
    "collection_metadata": (
        "ifnull(collection_id NOT IN (SELECT id FROM collections NOT INDEXED), 1)"
    ),
    "embeddings_queue": (
        # In Chroma 0.4 a collection has a topic, too.
        "NOT EXISTS (SELECT 1 FROM collections NOT INDEXED WHERE embeddings_queue.topic = "
        "collections.id OR substr(embeddings_queue.topic, -length(collections.id) - 1) = "
        "'/' || collections.id)"
    ),
}


def _left_over(connection: sqlite3.Connection) -> Iterator[InventoryLine]:
    for table, where in _LEFT_OVER_ROWS.items():
        if columns_of(connection, table) and (rows := scan(connection, table, where)):
            yield _open(f"{table} (of no collection)", rows, _LEFT_OVER)
    if columns_of(connection, "databases"):
        where = "ifnull(database_id NOT IN (SELECT id FROM databases NOT INDEXED), 1)"
        if rows := scan(connection, "collections", where):
            yield _open("collections (of no database)", rows, _NO_TENANT)
    values = columns_of(connection, "collection_metadata") & {"str_value", *_VALUES.split()}
    if values and (rows := scan(connection, "collection_metadata", _several(values))):
        yield _open("collection_metadata (several values)", rows, _TWO_VALUES)


def _several(columns: Collection[str]) -> str:
    """SQL: a row of metadata holds more than one value, or bytes, or a boolean that is none."""
    filled = " + ".join(f"({name} IS NOT NULL)" for name in columns)
    odd = [f"typeof({name}) = 'blob'" for name in ("key", *columns)]
    odd += ["bool_value NOT IN (0, 1)"] if "bool_value" in columns else []
    return f"{filled} > 1 OR {' OR '.join(odd)}"


def columns_of(connection: sqlite3.Connection, table: str) -> set[str]:
    """The names of a table's columns; none where it is not there."""
    found = connection.execute("SELECT name FROM pragma_table_xinfo(?)", (table,))
    return {name for (name,) in found}


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
