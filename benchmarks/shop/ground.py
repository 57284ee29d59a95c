"""Where the tools compete: files of the project's old side, and fresh databases for its new one."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg

from benchmarks.contest.process import Ended, run
from benchmarks.contest.server import ROOT, compile_sources
from benchmarks.shop.filling import fill

SCRATCH = "stillme_shop"
TEMPLATE = f"{SCRATCH}_template"


@dataclass(frozen=True)
class File:
    """An old file, and its rows in the six tables."""

    path: Path
    rows: int


class Ground:
    """The server of the settings, whose role must be a superuser with CREATEDB."""

    def __init__(self, folder: Path) -> None:
        from django.db import connection

        compile_sources()
        connection.ensure_connection()
        self.folder = folder
        self.file = folder / "none"
        self._info = connection.connection.info
        self._password = self._info.password or ""
        self._admin = self.connect("postgres")
        self._drop()

    def connect(self, database: str = SCRATCH) -> psycopg.Connection[Any]:
        """A connection of one's own to a database of the server."""
        return psycopg.connect(
            host=self._info.host,
            port=self._info.port,
            user=self._info.user,
            password=self._password or None,
            dbname=database,
            autocommit=True,
        )

    def make_file(self, rows: int) -> File:
        """A file of so many rows, as Django on SQLite would have written it."""
        file = File(self.folder / f"shop-{rows}.sqlite3", rows)
        if not file.path.exists():
            self.file = file.path
            _check(self.manage("migrate", "--verbosity", "0", on_old=True))
            fill(file.path, rows)
        return file

    def begin(self, file: File) -> None:
        """Go on with this file, and an empty migrated database."""
        self.file = file.path
        if not self._admin.execute(
            "SELECT 1 FROM pg_database WHERE datname = %s", [TEMPLATE]
        ).fetchone():
            self._admin.execute(f"CREATE DATABASE {TEMPLATE}")
            _check(self.manage("migrate", "--verbosity", "0", database=TEMPLATE))
        self._admin.execute(f"DROP DATABASE IF EXISTS {SCRATCH} WITH (FORCE)")
        self._admin.execute(f"CREATE DATABASE {SCRATCH} TEMPLATE {TEMPLATE}")
        self._admin.execute("CHECKPOINT")

    def manage(self, *command: str, on_old: bool = False, database: str = SCRATCH) -> Ended:
        """Run a command of the project to its end, on its old side or on its new one."""
        return self._python(["-m", "django", *command], on_old, database)

    def compare(self) -> dict[str, Any]:
        """What the ORM finds on both sides. Raises SystemExit where it cannot even read it."""
        found: dict[str, Any] = json.loads(
            _check(self._python(["-m", "benchmarks.shop.comparing"], False, SCRATCH)).output
        )
        return found

    @property
    def pgloader_url(self) -> str:
        """The database as pgloader names it; a host that is a folder is a socket's."""
        host = self._info.host
        host = f"unix:{host}" if host.startswith("/") else host
        secret = f":{self._password}" if self._password else ""
        return f"postgresql://{self._info.user}{secret}@{host}:{self._info.port}/{SCRATCH}"

    def close(self) -> None:
        """Leave nothing behind."""
        self._drop()
        self._admin.close()

    def _drop(self) -> None:
        for name in (SCRATCH, TEMPLATE):
            self._admin.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")

    def _python(self, arguments: list[str], on_old: bool, database: str) -> Ended:
        target = {
            "HOST": self._info.host,
            "PORT": str(self._info.port),
            "USER": self._info.user,
            "PASSWORD": self._password,
            "NAME": database,
        }
        environment = {
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "benchmarks.shop.settings",
            "PYTHONPATH": str(ROOT),
            "SHOP_FILE": str(self.file),
            **({} if on_old else {"DATABASE": json.dumps(target)}),
        }
        return run([sys.executable, *arguments], environment, limit=7_200)


def _check(ended: Ended) -> Ended:
    if ended.status != 0:
        raise SystemExit(ended.output + ended.errors)
    return ended
