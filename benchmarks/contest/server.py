"""Scratch databases with the target's own tables, a fresh one for every attempt of every tool."""

from __future__ import annotations

import compileall
import os
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import psutil
import psycopg

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parent.parent.parent
SCRATCH = "stillme_contest"
TEMPLATE = f"{SCRATCH}_template"
RELATION = "knowledge.knowledge_items"
COLUMNS = (
    "id, content, source, knowledge_type, confidence_score, retention_score, access_count, "
    "last_accessed, created_at, metadata"
)


class Server:
    """The server of the settings, seen by its administrator. Needs CREATEDB and a superuser."""

    def __init__(self) -> None:
        from django.db import connection

        compile_sources()
        connection.ensure_connection()
        self.info: psycopg.ConnectionInfo = connection.connection.info
        self._password = self.info.password
        self._admin = self.connect("postgres")
        self._drop()
        self._admin.execute(f"CREATE DATABASE {TEMPLATE}")
        manage("migrate", "--verbosity", "0", env={"DATABASE_URL": self.url(TEMPLATE)})
        # Where a tool cannot name a schema, the table is found all the same.
        self._admin.execute(f"ALTER DATABASE {TEMPLATE} SET search_path = knowledge, public")

    def connect(self, database: str = SCRATCH) -> psycopg.Connection[Any]:
        """A connection of one's own to a database of the server."""
        return psycopg.connect(
            host=self.info.host,
            port=self.info.port,
            user=self.info.user,
            password=self._password or None,
            dbname=database,
            autocommit=True,
        )

    def url(self, database: str = SCRATCH) -> str:
        """As DATABASE_URL takes it; a host that is a folder stands behind the question mark."""
        secret = f":{quote(self._password, safe='')}" if self._password else ""
        user = f"{quote(self.info.user)}{secret}"
        if self.info.host.startswith("/"):
            tail = f"host={quote(self.info.host)}&port={self.info.port}"
            return f"postgresql://{user}@/{database}?{tail}"
        return f"postgresql://{user}@{self.info.host}:{self.info.port}/{database}"

    def fresh(self) -> None:
        """An empty database with the migrated tables, and nothing left for the disk to do."""
        self._admin.execute(f"DROP DATABASE IF EXISTS {SCRATCH} WITH (FORCE)")
        self._admin.execute(f"CREATE DATABASE {SCRATCH} TEMPLATE {TEMPLATE}")
        self._admin.execute(f"ALTER DATABASE {SCRATCH} SET search_path = knowledge, public")
        self._admin.execute("CHECKPOINT")

    def close(self) -> None:
        """Leave nothing behind."""
        self._drop()
        self._admin.close()

    def _drop(self) -> None:
        for name in (SCRATCH, TEMPLATE):
            self._admin.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")

    @property
    def process(self) -> psutil.Process:
        """The server's first process. Raises SystemExit where it runs on another machine."""
        try:
            own = psutil.Process(self._admin.info.backend_pid)
        except psutil.NoSuchProcess:
            raise SystemExit("Unset DATABASE_URL: this needs a server on this machine.") from None
        return own.parent() or own

    @property
    def version(self) -> str:
        """PostgreSQL's version."""
        return self._admin.info.parameter_status("server_version") or ""


def compile_sources() -> None:
    """Leave the project's modules compiled, as pip leaves those of the other tools.

    Python does that by itself the first time, unless PYTHONDONTWRITEBYTECODE forbids it: then
    every start would compile two hundred modules anew (0.3 s).
    """
    for package in ("stillme", "knowledge", "continuum", "rss", "accuracy", "vector"):
        compileall.compile_dir(ROOT / package, quiet=1)


def manage(*arguments: str, env: dict[str, str]) -> str:
    """Run one of the project's commands to its end; its output."""
    command = [sys.executable, str(ROOT / "manage.py"), *arguments]
    done = subprocess.run(command, env={**os.environ, **env}, capture_output=True, text=True)
    if done.returncode not in (0, 1) or done.stderr.startswith("Traceback"):
        raise SystemExit(f"{arguments[0]} ended with {done.returncode}: {done.stderr.strip()}")
    return done.stdout


@contextmanager
def without_indexes(server: Server, *, key_too: bool = False) -> Iterator[list[str]]:
    """Drop the secondary indexes of the empty table; yields the statements that rebuild them.

    With `key_too` the primary key goes as well: faster still for a server that copies alone.
    """
    with server.connect() as target:
        statements = []
        if key_too:
            target.execute(f"ALTER TABLE {RELATION} DROP CONSTRAINT knowledge_items_pkey CASCADE")
            statements.append(f"ALTER TABLE {RELATION} ADD PRIMARY KEY (id)")
        found = target.execute(
            "SELECT indexrelid::regclass::text, pg_get_indexdef(indexrelid) FROM pg_index "
            "WHERE indrelid = %s::regclass AND NOT indisprimary ORDER BY indexrelid",
            [RELATION],
        ).fetchall()
        for name, definition in found:
            target.execute(f"DROP INDEX {name}")
            statements.append(definition)
    yield statements


def build(server: Server, statements: list[str]) -> None:
    """Run them, one after the other; the server uses its own parallel workers."""
    with server.connect() as target:
        for statement in statements:
            target.execute(statement)
