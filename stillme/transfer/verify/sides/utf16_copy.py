"""Is the UTF-8 copy of a UTF-16 file what the file says? The judge's own look at it.

The loader and the judge read the same converted copy: `sqlite/utf16.py` decoded the stored bytes
for it. Here the copy is read back through another SQLite library, each of its texts is encoded in
the file's encoding, and the bytes are compared with those that the file stores, cell by cell.
"""

from __future__ import annotations

import sqlite3
from array import array
from collections.abc import Iterator
from contextlib import closing
from itertools import zip_longest
from pathlib import Path
from typing import Any

from stillme.transfer.errors import LegacyFileError
from stillme.transfer.sqlite.copying.snapshot import Snapshot
from stillme.transfer.sqlite.reading.connect import explain, quoted, uri

_OURS = "name NOT LIKE 'sqlite\\_stat%' ESCAPE '\\'"
_DECLARED = (
    f"SELECT type, name, tbl_name, sql FROM sqlite_master WHERE type <> 'index' AND {_OURS} "
    "ORDER BY type, rootpage = 0, name"
)
_TABLES = f"SELECT name FROM sqlite_master WHERE type = 'table' AND rootpage > 0 AND {_OURS}"
_VIRTUAL = 2


def check_converted(snapshot: Snapshot) -> None:
    """Raise LegacyFileError where the converted copy is not the file. Nothing to do in UTF-8."""
    if snapshot.original is None:
        return
    try:
        with closing(_open(snapshot.original)) as file, closing(_open(snapshot.path)) as copy:
            declared = sorted(file.execute(_DECLARED).fetchall(), key=repr)
            if declared != sorted(copy.execute(_DECLARED).fetchall(), key=repr):
                raise _wrong(snapshot, "its declarations")
            for (name,) in file.execute(_TABLES).fetchall():
                _check_table(snapshot, file, copy, name.decode())
    except sqlite3.Error as error:
        raise explain(snapshot.source, error) from error


def _open(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(uri(path) + "&immutable=1", uri=True, isolation_level=None)
    connection.text_factory = bytes
    encoding = connection.execute("PRAGMA encoding").fetchone()[0].decode()
    connection.create_function("units", 1, lambda raw: units(raw, encoding), deterministic=True)
    return connection


def _check_table(
    snapshot: Snapshot, file: sqlite3.Connection, copy: sqlite3.Connection, table: str
) -> None:
    """Row after row, in the order of storing, or of the keys where there are no rowids."""
    encoding = file.execute("PRAGMA encoding").fetchone()[0].decode()
    info = file.execute(f"PRAGMA table_xinfo({quoted(table)})").fetchall()
    columns = [quoted(row[1].decode()) for row in info if row[6] != _VIRTUAL]
    first, order = "rowid", ""
    if not _has_rowid(file, table):
        keys = [quoted(row[1].decode()) for row in sorted(info, key=lambda row: row[5]) if row[5]]
        # A key may be in another order in the other encoding.
        terms = [f"typeof({k}), iif(typeof({k}) = 'text', units(CAST({k} AS BLOB)), {k})"
                 for k in keys]  # fmt: skip
        first, order = "NULL", f" ORDER BY {', '.join(terms)}"
    parts = [first]
    for column in columns:
        raw = f"iif(typeof({column}) = 'text', CAST({column} AS BLOB), {column})"
        parts += [f"typeof({column})", raw]
    sql = f"SELECT {', '.join(parts)} FROM {quoted(table)} NOT INDEXED{order}"
    for number, rows in enumerate(zip_longest(file.execute(sql), copy.execute(sql)), 1):
        if None in rows or not all(_same_cells(*rows, encoding)):
            raise _wrong(snapshot, f"row {number:,} of {table}")


def _has_rowid(connection: sqlite3.Connection, table: str) -> bool:
    try:
        connection.execute(f"SELECT rowid FROM {quoted(table)} LIMIT 1")
    except sqlite3.OperationalError:
        return False
    return True


def _same_cells(one: tuple[Any, ...], other: tuple[Any, ...], encoding: str) -> Iterator[bool]:
    """Whether each cell of a row of the file is the same in the copy, storage class included."""
    yield one[0] == other[0]
    for place in range(1, len(one), 2):
        stored, held = one[place + 1], other[place + 1]
        if one[place] == b"text":
            yield other[place] == b"text" and _same_text(stored, held, encoding)
        else:
            same = isinstance(stored, float) and stored.hex() == held.hex()
            yield one[place] == other[place] and (same or stored == held)


def _same_text(stored: bytes, held: bytes, encoding: str) -> bool:
    try:
        return units(held, "UTF-8") == units(stored, encoding)
    except UnicodeDecodeError:
        return False


def units(raw: bytes, encoding: str) -> bytes:
    """A text as 16-bit units, big end first; an odd byte at the end stays as it is.

    Texts that are no Unicode as well: half of a surrogate pair is one unit like any other, and in
    UTF-8 an ``FF`` says that an odd byte follows. Raises UnicodeDecodeError for other bytes.
    """
    if encoding == "UTF-16be":
        return raw
    if encoding == "UTF-16le":
        even = len(raw) // 2 * 2
        pairs = array("H", raw[:even])
        pairs.byteswap()
        return pairs.tobytes() + raw[even:]
    text, _, odd = raw.partition(b"\xff")
    return text.decode("utf-8", "surrogatepass").encode("utf-16-be", "surrogatepass") + odd


def _wrong(snapshot: Snapshot, where: str) -> LegacyFileError:
    return LegacyFileError(
        f"The copy of {snapshot.source} in UTF-8 is not what the file holds ({where}), so nothing "
        "of it was judged: this is a fault of the program, please report it."
    )
