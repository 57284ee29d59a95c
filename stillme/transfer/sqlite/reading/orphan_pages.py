"""Pages that nothing leads to: rows may be on them that no query shows any more.

SQLite's own checks look for them, but not where a view comes first among the tables: its root page,
0, is taken for the sign of a check of one table (3.40, 3.54).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import apsw

from stillme.transfer.sqlite.reading.connect import quoted, uri
from stillme.transfer.sqlite.reading.snapshot_reader import as_sqlite3_errors

_VIEWS = "SELECT name FROM sqlite_master WHERE type = 'view'"
# The page of this byte is never used: https://www.sqlite.org/fileformat2.html#the_lock_byte_page
_LOCK_BYTE = 1 << 30


@contextmanager
def without_views(connection: apsw.Connection | sqlite3.Connection) -> Iterator[None]:
    """The file without its views; what is done to it meanwhile is undone. With a journal only."""
    connection.execute("SAVEPOINT without_views")
    try:
        for (name,) in connection.execute(_VIEWS).fetchall():
            connection.execute(f"DROP VIEW {quoted(str(name))}")
        yield
    finally:
        connection.execute("ROLLBACK TO without_views")
        connection.execute("RELEASE without_views")


def orphan_pages(copy: Path) -> int:
    """How many pages of a copy that nobody writes no tree and no list of free pages leads to.

    For a backup, which is not to be changed; without views SQLite's own check tells. Of a damaged
    copy the number means nothing. Raises sqlite3.Error.
    """
    flags = apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI
    with (
        as_sqlite3_errors(),
        closing(apsw.Connection(f"{uri(copy)}&immutable=1", flags=flags)) as connection,
    ):
        if not connection.execute(f"{_VIEWS} LIMIT 1").fetchall():
            return 0
        size, pages, free, has_map = (
            int(connection.pragma(name))
            for name in ("page_size", "page_count", "freelist_count", "auto_vacuum")
        )
        used = int(str(connection.execute("SELECT count(*) FROM dbstat").fetchall()[0][0]))
    lock = _LOCK_BYTE // size + 1
    return pages - used - free - (lock <= pages) - (_maps(copy, size, pages) if has_map else 0)


def _maps(copy: Path, size: int, pages: int) -> int:
    """The pages that say what leads to the others, in a file that shrinks by itself."""
    with copy.open("rb") as file:
        reserved = file.read(21)[20]
    return (pages - 2) // ((size - reserved) // 5 + 1) + 1 if pages > 1 else 0
