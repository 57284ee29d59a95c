"""The limit for all tables at once: the server alone copies the same rows from files of its own.

With one session and with two: what two cores gain there is the most that a loader can gain by its
workers, however little it does itself.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Protocol

SCHEMAS = ["knowledge", "continuum", "rss", "accuracy"]

_TABLES = """
    SELECT format('%%I.%%I', schemaname, tablename) FROM pg_tables WHERE schemaname = ANY(%s)
    ORDER BY pg_table_size(format('%%I.%%I', schemaname, tablename)::regclass) DESC
"""
_INDEXES = """
    SELECT indexrelid::regclass::text, pg_get_indexdef(indexrelid)
    FROM pg_index AS i JOIN pg_class AS c ON c.oid = indrelid
    WHERE relnamespace = ANY(%s::regnamespace[]) AND NOT indisprimary
    AND NOT EXISTS (SELECT 1 FROM pg_constraint WHERE conindid = indexrelid)
    ORDER BY pg_table_size(indrelid) DESC
"""
_KEYS = """
    SELECT conrelid::regclass::text, quote_ident(conname), pg_get_constraintdef(oid)
    FROM pg_constraint WHERE connamespace = ANY(%s::regnamespace[]) AND contype = 'f'
"""


class Ground(Protocol):
    """A folder that the server may read, and a database."""

    @property
    def folder(self) -> Path: ...

    def connect(self) -> Any: ...


def write_all(
    ground: Ground, schemas: Sequence[str] = SCHEMAS, chosen: Sequence[str] = ()
) -> list[str]:
    """The rows of every table as text files for COPY; the tables, the largest first."""
    with ground.connect() as target, target.cursor() as cursor:
        found = [name for (name,) in target.execute(_TABLES, [list(schemas)]).fetchall()]
        tables = [name for name in found if not chosen or name.partition(".")[2] in chosen]
        for table in tables:
            path = ground.folder / f"{table}.text"
            with path.open("wb") as stream, cursor.copy(f"COPY {table} TO STDOUT") as copy:
                for block in copy:
                    stream.write(block)
            path.chmod(0o644)
    return tables


def copy_all(
    ground: Ground, tables: Sequence[str], sessions: int, schemas: Sequence[str] = SCHEMAS
) -> float:
    """Seconds for COPY into the empty tables, then their indexes, then their foreign keys.

    Primary keys stay; the rest is dropped before, outside the time, as the loader does.
    """
    with ground.connect() as target:
        keys = target.execute(_KEYS, [list(schemas)]).fetchall()
        indexes = target.execute(_INDEXES, [list(schemas)]).fetchall()
        for table, name, _ in keys:
            target.execute(f"ALTER TABLE {table} DROP CONSTRAINT {name}")
        for name, _ in indexes:
            target.execute(f"DROP INDEX {name}")
    started = time.monotonic()
    copies = [f"COPY {table} FROM '{ground.folder}/{table}.text'" for table in tables]
    _side_by_side(ground, copies, sessions)
    _side_by_side(ground, [definition for _, definition in indexes], sessions)
    _side_by_side(
        ground, [f"ALTER TABLE {table} ADD CONSTRAINT {n} {body}" for table, n, body in keys], 1
    )
    return time.monotonic() - started


def _side_by_side(ground: Ground, statements: Sequence[str], sessions: int) -> None:
    """Each session takes the next statement; one alone may use the server's parallel workers."""

    def work(statement: str) -> None:
        with ground.connect() as target:
            if sessions > 1:
                target.execute("SET max_parallel_maintenance_workers = 0")
            target.execute("SET maintenance_work_mem = '128MB'")
            target.execute(statement)

    with ThreadPoolExecutor(max_workers=sessions) as threads:
        # The list raises what a session raised.
        list(threads.map(work, statements))
