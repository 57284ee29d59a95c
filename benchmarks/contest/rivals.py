"""pgloader and DuckDB, into the same table: indexes dropped before, built again in their time."""

from __future__ import annotations

import importlib.util
import shutil
import sys
import time
from typing import TYPE_CHECKING

from benchmarks.contest.ground import TABLE, Attempt, Ground
from benchmarks.contest.process import Ended, run
from benchmarks.contest.server import build, without_indexes

if TYPE_CHECKING:
    from collections.abc import Callable

TUNED = ", workers = 4, concurrency = 1, batch rows = 25000, batch size = 20MB"
TUNED += ", prefetch rows = 25000, on error resume next"


class Pgloader:
    """`data only` into the migrated table; its own types would be worse (real, text)."""

    most_rows: int | None = None
    judged = True

    def __init__(self, name: str, options: str = "") -> None:
        self.name = name
        self._options = options

    def missing(self) -> str | None:
        """Whether the program is there."""
        return None if shutil.which("pgloader") else "not installed: apt-get install pgloader"

    def load(self, ground: Ground) -> Attempt:
        """Run its script."""
        script = ground.folder / "load.pgloader"
        info = ground.server.info
        host = f"unix:{info.host}" if info.host.startswith("/") else info.host
        secret = f":{info.password}" if info.password else ""
        script.write_text(
            f"LOAD DATABASE FROM sqlite://{ground.path} INTO "
            f"postgresql://{info.user}{secret}@{host}:{info.port}/stillme_contest\n"
            f"WITH data only{self._options}\nINCLUDING ONLY TABLE NAMES LIKE '{TABLE}';\n"
        )
        environment = ground.environment
        return _with_indexes(ground, lambda: run(["pgloader", str(script)], environment))


class DuckDB:
    """Its sqlite and postgres extensions: one INSERT ... SELECT."""

    name = "DuckDB"
    most_rows: int | None = None
    judged = True

    def missing(self) -> str | None:
        """Whether the packages are there."""
        wanted = ("duckdb", "duckdb_extension_sqlite_scanner", "duckdb_extension_postgres_scanner")
        if all(importlib.util.find_spec(name) for name in wanted):
            return None
        return "not installed: pip install -r benchmarks/requirements.txt"

    def load(self, ground: Ground) -> Attempt:
        """Run it in a process of its own."""
        info = ground.server.info
        dsn = f"host={info.host} port={info.port} user={info.user} dbname=stillme_contest"
        if info.password:
            dsn += f" password={info.password}"
        command = [sys.executable, "-m", "benchmarks.contest.child_duckdb", str(ground.path), dsn]
        return _with_indexes(ground, lambda: run(command, ground.environment))


def _with_indexes(ground: Ground, load: Callable[[], Ended]) -> Attempt:
    """The tool's time and that of the indexes after it."""
    with without_indexes(ground.server) as statements:
        ended = load()
        started = time.monotonic()
        build(ground.server, statements)
        seconds = ended.seconds + time.monotonic() - started
    if ended.status != 0:
        (ground.folder / "errors.txt").write_text(ended.output + ended.errors)
    return Attempt(seconds, ended.peak_mb, ended.note)
