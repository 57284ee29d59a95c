"""This project, and the limit: the server copying the same rows from a file of its own format."""

from __future__ import annotations

import sys
import time

from benchmarks.contest.ground import TABLE, Attempt, Ground
from benchmarks.contest.process import run
from benchmarks.contest.server import RELATION, ROOT, build, without_indexes


class Ours:
    """`import_sqlite` with default settings, from a fresh process."""

    name = "this project"
    most_rows: int | None = None
    judged = True

    def missing(self) -> str | None:
        """Always there."""
        return None

    def load(self, ground: Ground) -> Attempt:
        """The command, timed from the start of its process to the end."""
        command = [sys.executable, str(ROOT / "manage.py"), "import_sqlite", "--table", TABLE]
        ended = run([*command, "--format", "json"], ground.environment)
        return Attempt(ended.seconds, ended.peak_mb, ended.note)


class Limit:
    """Server-side `COPY FROM` of the rows that this project loaded, then the indexes."""

    most_rows: int | None = None
    judged = False

    def __init__(self, form: str, *, key_too: bool = False) -> None:
        self.form = form
        self.key_too = key_too
        self.name = f"limit: COPY, {form}" + (", key built after it" if key_too else "")

    def missing(self) -> str | None:
        """Part of PostgreSQL."""
        return None

    def load(self, ground: Ground) -> Attempt:
        """COPY and indexes; the file was written before."""
        path = ground.folder / f"rows.{self.form}"
        with without_indexes(ground.server, key_too=self.key_too) as statements:
            started = time.monotonic()
            with ground.server.connect() as target:
                target.execute(f"COPY {RELATION} FROM '{path}' ({options(self.form)})")
            build(ground.server, statements)
            return Attempt(time.monotonic() - started)


def options(form: str) -> str:
    """COPY's options; CSV is quoted as the loader quotes it."""
    from stillme.transfer.plumbing.csv_format import COPY_OPTIONS

    return COPY_OPTIONS if form == "csv" else f"FORMAT {form}"


def write_copies(ground: Ground) -> None:
    """The target's rows as files that COPY reads. Written by this process, read by the server."""
    for form in ("text", "binary", "csv"):
        path = ground.folder / f"rows.{form}"
        statement = f"COPY {RELATION} TO STDOUT ({options(form)})"
        with (
            path.open("wb") as stream,
            ground.server.connect() as target,
            target.cursor() as cursor,
            cursor.copy(statement) as copy,
        ):
            for block in copy:
                stream.write(block)
        path.chmod(0o644)
