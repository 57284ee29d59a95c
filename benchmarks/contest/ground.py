"""What every tool gets: a legacy file, an empty target, and a place for its own files."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import psycopg

from benchmarks.contest.server import ROOT, Server

TABLE = "knowledge_items"
FILE = "knowledge_retention.db"


@dataclass(frozen=True)
class Ground:
    """One legacy file with `rows` rows in its table, and the scratch database to load it into."""

    server: Server
    folder: Path
    rows: int

    def connect(self) -> psycopg.Connection[Any]:
        """A connection to the scratch database."""
        return self.server.connect()

    @property
    def path(self) -> Path:
        """The legacy file."""
        return self.folder / FILE

    @property
    def size(self) -> int:
        """Its bytes."""
        return self.path.stat().st_size

    @property
    def environment(self) -> dict[str, str]:
        """For a process that runs the project against file and scratch database."""
        return {
            **os.environ,
            "DATABASE_URL": self.server.url(),
            "LEGACY_DATA_DIR": str(self.folder),
            "PYTHONPATH": str(ROOT),
        }


@dataclass(frozen=True)
class Attempt:
    """How one attempt of one tool went. `peak_mb` is None where only the server worked."""

    seconds: float
    peak_mb: float | None = None
    note: str = ""


class Tool(Protocol):
    """Something that brings the legacy rows into the target."""

    name: str
    most_rows: int | None
    judged: bool

    def missing(self) -> str | None:
        """What to do where it is not installed."""

    def load(self, ground: Ground) -> Attempt:
        """Load the file's rows into the empty target, its indexes included."""


def make_clean(folder: Path, rows: int) -> Path:
    """A file of `rows` rows in the real shapes: what is fast must be fast on these."""
    from stillme.demo.samples import make_bulk

    make_bulk(folder, TABLE, rows)
    return folder


def make_dirty(folder: Path) -> tuple[Path, int]:
    """A small file with what the application's own code really leaves behind; and its rows."""
    from stillme.demo.samples import make_samples

    make_samples(folder, rows=2_000, variant="current", files=["knowledge_retention"])
    with closing(sqlite3.connect(folder / FILE)) as legacy:
        return folder, int(legacy.execute(f"SELECT count(*) FROM {TABLE}").fetchone()[0])
