"""What Django itself offers: dumpdata and loaddata, and bulk_create, at 100,000 rows at most."""

from __future__ import annotations

import shutil
import sqlite3
import sys
import time
from contextlib import closing

from benchmarks.contest.ground import FILE, TABLE, Attempt, Ground
from benchmarks.contest.process import Ended, run
from benchmarks.contest.server import ROOT, build, without_indexes

MOST_ROWS = 100_000
SETTINGS = {"DJANGO_SETTINGS_MODULE": "benchmarks.contest.orm_settings"}


class LoadData:
    """dumpdata of the model from SQLite into JSON, then loaddata; both are timed."""

    name = "dumpdata, loaddata"
    most_rows: int | None = MOST_ROWS
    judged = True

    def missing(self) -> str | None:
        """Part of Django."""
        return None

    def load(self, ground: Ground) -> Attempt:
        """Both commands, one after the other; a failed dumpdata is the end."""
        environment = {**ground.environment, **SETTINGS, "CONTEST_FILE": str(readable_copy(ground))}
        fixture = str(ground.folder / "items.json")
        manage = [sys.executable, str(ROOT / "manage.py")]
        dump = [*manage, "dumpdata", "knowledge.KnowledgeItem", "--database", "plain"]
        with without_indexes(ground.server) as statements:
            dumped = run([*dump, "--output", fixture], environment)
            if dumped.status != 0:
                return Attempt(dumped.seconds, dumped.peak_mb, f"dumpdata: {dumped.note}")
            loaded = run([*manage, "loaddata", fixture], environment)
            built = _build(ground, statements)
        peak = max(dumped.peak_mb, loaded.peak_mb)
        return Attempt(dumped.seconds + loaded.seconds + built, peak, loaded.note)


class BulkCreate:
    """A loop over sqlite3 rows that makes model instances and saves them with bulk_create."""

    name = "ORM bulk_create"
    most_rows: int | None = MOST_ROWS
    judged = True

    def missing(self) -> str | None:
        """Part of Django."""
        return None

    def load(self, ground: Ground) -> Attempt:
        """In a process of its own."""
        command = [sys.executable, "-m", "benchmarks.contest.child_bulk_create", str(ground.path)]
        with without_indexes(ground.server) as statements:
            ended: Ended = run(command, ground.environment)
            built = _build(ground, statements)
        return Attempt(ended.seconds + built, ended.peak_mb, ended.note)


def _build(ground: Ground, statements: list[str]) -> float:
    started = time.monotonic()
    build(ground.server, statements)
    return time.monotonic() - started


def readable_copy(ground: Ground) -> str:
    """A copy that Django's model can select from: with the one column that only the target has."""
    copy = ground.folder / f"copy-{FILE}"
    shutil.copyfile(ground.path, copy)
    with closing(sqlite3.connect(copy)) as connection:
        connection.execute(f"ALTER TABLE {TABLE} ADD COLUMN legacy_extra TEXT")
    return str(copy)
