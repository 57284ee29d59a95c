"""Only the command's own process is ended, by kill -9 or by a signal that it may answer.

As an operator does it: `kill PID`. Its workers are left to themselves, with its sockets. The same
command again ends right, and nothing of the ended one is left: no process, no session or lock in
the server, no file, no scratch database.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
import uuid
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from django.db import connection

from stillme.transfer.postgresql.copy import fetch_all
from tests.empty_database import empty_database
from tests.transfer.load.support import wait_until
from tests.vector.chroma_files import ADD, ChromaFiles

from .equal import differences
from .switching import DESPITE
from .test_follow import state

KILLS = int(os.environ.get("STILLME_PARENT_KILLS", "2"))
ROWS = int(os.environ.get("STILLME_PARENT_KILL_ROWS", "600"))
ORDERLY = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)

pytestmark = pytest.mark.slow


@dataclass
class Bench:
    """Starts commands that can be recognised by their mark, in the server and among processes."""

    environment: dict[str, str]
    scratch: Path
    rng: random.Random = field(default_factory=lambda: random.Random(int(KILLS)))
    mark: str = field(default_factory=lambda: f"killed-{uuid.uuid4().hex[:12]}")

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """A command of its own, in a session of its own as under a supervisor."""
        environment = {**self.environment, "PGAPPNAME": self.mark, "TMPDIR": str(self.scratch)}
        return subprocess.Popen(
            [sys.executable, "manage.py", *arguments],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def end(self, arguments: tuple[str, ...], number: int, within: float) -> bool:
        """Start it, send its process alone the signal at some moment; whether it was running."""
        process = self.start(*arguments)
        while not self.sessions() and process.poll() is None:
            time.sleep(0.01)
        time.sleep(self.rng.uniform(0, within))
        running = process.poll() is None
        process.send_signal(number)
        said, errors = process.communicate(timeout=60)
        if running and number != signal.SIGKILL and process.returncode not in (0, 1):
            assert process.returncode == 2, (said, errors)
            assert errors.count("\n") == 1, errors
            assert errors.startswith("CommandError: Interrupted"), errors
            assert self.files() == [], (arguments, number)
        wait_until(lambda: not self.processes(), f"no process is left of {arguments}")
        wait_until(lambda: not self.sessions(), f"no session is left of {arguments}")
        return running

    def again(self, *arguments: str) -> str:
        """The same command, at once: it ends right, and leaves nothing."""
        process = self.start(*arguments)
        said, errors = process.communicate(timeout=120)
        assert process.returncode == 0, f"{arguments}: {said[:3000]} {errors}"
        self.check_nothing_is_left(arguments)
        return said

    def check_nothing_is_left(self, what: object) -> None:
        """No process, session, lock, file or database of any command started here."""
        assert self.processes() == [], what
        wait_until(lambda: not self.sessions(), f"no session is left of {what}")
        assert self.files() == [], what
        locks = (
            "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND database = "
            "(SELECT oid FROM pg_database WHERE datname = current_database())"
        )
        assert fetch_all(connection, locks) == [], what

    def sessions(self) -> list[object]:
        """Pids of the server's sessions for the commands."""
        asked = "SELECT pid, query FROM pg_stat_activity WHERE application_name = %s"
        return list(fetch_all(connection, asked, [self.mark]))

    def processes(self) -> list[int]:
        """Pids of the commands, their workers and whatever else they started."""
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                is_ours = f"PGAPPNAME={self.mark}".encode() in (folder / "environ").read_bytes()
                is_dead = ") Z " in (folder / "stat").read_text()
            except OSError:
                continue
            if is_ours and not is_dead:
                found.append(int(folder.name))
        return found

    def files(self) -> list[str]:
        """What lies in the temporary folder."""
        return sorted(path.name for path in self.scratch.iterdir())


@pytest.fixture
def bench(legacy, target_environment, settings, tmp_path, request) -> Bench:
    """Sample files of some size, a temporary folder, and the commands' environment."""
    data = legacy(rows=ROWS, variant="clean")
    scratch = tmp_path / "tmp"
    scratch.mkdir()
    environment = {**target_environment, "LEGACY_DATA_DIR": str(data)}
    for name, file in settings.LEGACY_FILES.items():
        environment[f"LEGACY_{name.upper()}_PATH"] = str(file["path"])
    environment["LEGACY_VECTOR_DIR"] = str(settings.LEGACY_VECTOR_DIR)
    return Bench(environment, scratch)


def kinds() -> list[int]:
    """Half of the ends are kill -9."""
    return [ORDERLY[n // 2 % 3] if n % 2 else signal.SIGKILL for n in range(KILLS)]


def change_files(data: Path) -> None:
    """Writes of the old application."""
    with closing(sqlite3.connect(data / "knowledge_retention.db", timeout=30)) as db:
        db.execute("UPDATE knowledge_items SET access_count = access_count + 1")
        db.commit()


def test_import(bench: Bench) -> None:
    for number in kinds():
        bench.end(("import_sqlite", "--jobs", "2", "--chunk-rows", "50"), number, 1.5)
        bench.again("import_sqlite", "--jobs", "2", "--chunk-rows", "50")
        assert differences() == {}
        empty_database()


def test_verify(bench: Bench, tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "data" / "knowledge_retention.db")) as db:
        # Those without a parent would wait in quarantine for a decision.
        db.execute("DELETE FROM knowledge_relationships")
        db.commit()
    bench.again("import_sqlite")
    for number in kinds():
        bench.end(("verify_migration", "--jobs", "2"), number, 1.0)
        assert '"verdict": "PROVEN:' in bench.again(
            "verify_migration", "--jobs", "2", "--format", "json"
        )


def test_vectors(bench: Bench) -> None:
    files = ChromaFiles(Path(bench.environment["LEGACY_VECTOR_DIR"]), "1.x")
    made = files.collection("stillme_knowledge")
    for n in range(13_000):
        made.write(ADD, f"k{n:05}", [n / 7, 1.0, -n, 0.0], f"doc {n}", {"n": n})
    made.flush()
    files.close()
    wanted = ("--file", "vector", "--jobs", "2")
    for number in kinds():
        bench.end(("import_sqlite", *wanted), number, 2.5)
        bench.again("import_sqlite", *wanted)
        bench.end(("verify_migration", *wanted), number, 2.5)
        assert '"verdict": "PROVEN:' in bench.again("verify_migration", *wanted, "--format", "json")
        empty_database()


def test_follow_cut_over_and_roll_back(bench: Bench, tmp_path: Path) -> None:
    bench.again("sync_sqlite", "--install")
    for number in kinds():
        change_files(tmp_path / "data")
        bench.end(("sync_sqlite", "--follow"), number, 1.5)
        bench.again("sync_sqlite", "--once")
        assert differences() == {}
        bench.end(("cutover", *DESPITE), number, 1.5)
        if state("knowledge") != "live":
            bench.again("cutover", *DESPITE)
        assert {state(n) for n in ("knowledge", "continuum", "rss", "accuracy")} == {"live"}
        with connection.cursor() as cursor:
            cursor.execute("UPDATE knowledge.learning_sessions SET accuracy_score = random()")
        bench.end(("rollback_migration",), number, 1.0)
        if state("knowledge") == "live":
            bench.again("rollback_migration")
        else:
            # It was killed after its mark: the files are let go by the same command.
            process = bench.start("rollback_migration")
            process.communicate(timeout=60)
        change_files(tmp_path / "data")
        bench.again("sync_sqlite", "--once")
        assert differences() == {}


def test_rehearsal(bench: Bench) -> None:
    with connection.cursor() as cursor:
        databases = "SELECT count(*) FROM pg_database WHERE starts_with(datname, %s)"
        for number in kinds():
            bench.end(("rehearse_migration",), number, 5.0)
            told = bench.again("rehearse_migration", "--format", "json")
            assert json.loads(told)["ok"]
            cursor.execute(databases, ["stillme_rehearsal_"])
            assert cursor.fetchone() == (0,)
