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
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from django.db import connection

from stillme.postgresql.statements import fetch_all
from tests.campaigns import size
from tests.empty_database import empty_database
from tests.transfer.load.support import wait_until
from tests.vector.chroma_files import ADD, ChromaFiles

from .equal import differences
from .switching import DESPITE, PATIENT
from .test_follow import state

KILLS = int(os.environ.get("STILLME_PARENT_KILLS", "2"))
ROWS = int(os.environ.get("STILLME_PARENT_KILL_ROWS", size(300, 600)))
ORDERLY = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)
# What a command says when its work is done.
LAST_WORDS = ("are accounted for", "Live on PostgreSQL", "Back on the legacy files")

pytestmark = pytest.mark.slow(campaign=True)


@dataclass
class Bench:
    """Starts commands that can be recognised by their mark, in the server and among processes."""

    environment: dict[str, str]
    scratch: Path
    rng: random.Random = field(default_factory=lambda: random.Random(KILLS))
    # How often each command was ended while it ran, and how long the moment may be in coming.
    hits: Counter[str] = field(default_factory=Counter)
    within: dict[str, float] = field(default_factory=dict)
    mark: str = field(default_factory=lambda: f"killed-{uuid.uuid4().hex[:12]}")
    # The pids of the commands started here: with theirs the commands name their sessions.
    started: list[int] = field(default_factory=list)
    # What ran before it. To read what each has been given, again and again, took most of the time.
    others: set[str] = field(default_factory=lambda: Bench.running())

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """A command of its own, in a session of its own as under a supervisor."""
        environment = {**self.environment, "PGAPPNAME": self.mark, "TMPDIR": str(self.scratch)}
        process = subprocess.Popen(
            [sys.executable, "manage.py", *arguments],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self.started.append(process.pid)
        return process

    def rounds(self, *commands: str, kills: int = KILLS) -> Iterator[int]:
        """Signals, every other one kill -9, until each command was ended so often."""
        for n in range(12 * kills):
            yield ORDERLY[n // 2 % 3] if n % 2 else signal.SIGKILL
            if min(self.hits[command] for command in commands) >= kills:
                return
        raise AssertionError(f"too seldom: {self.hits}")

    def end(self, number: int, *arguments: str) -> None:
        """Start a command, and send its process alone the signal at some moment of its work."""
        command = arguments[0]
        process = self.start(*arguments)
        within = self.within.setdefault(command, 1.0)
        # On a busy machine the workers' part may be over before it is seen: then earlier.
        begun = self.workers if "--jobs" in arguments and within > 0.05 else self.sessions
        while not begun() and process.poll() is None:
            time.sleep(0.005)
        time.sleep(self.rng.uniform(0, within))
        process.send_signal(number)
        said, errors = process.communicate(timeout=600)
        is_too_late = process.returncode == -number and any(last in said for last in LAST_WORDS)
        if is_too_late or (process.returncode in (0, 1) and command != "sync_sqlite"):
            # It had ended, or had said so and was about to: the next one is ended sooner.
            self.within[command] *= 0.6
        else:
            self.hits[command] += 1
        if number != signal.SIGKILL and process.returncode not in (0, 1) and not is_too_late:
            assert process.returncode == 2, (process.returncode, said, errors)
            assert errors.count("\n") == 1, errors
            assert errors.startswith("CommandError: Interrupted"), errors
            assert self.files() == [], (arguments, number)
        wait_until(lambda: not self.processes(), f"no process is left of {arguments}")
        wait_until(lambda: not self.sessions(), f"no session is left of {arguments}")

    def again(self, *arguments: str) -> str:
        """The same command, at once: it ends right, and leaves nothing."""
        process = self.start(*arguments)
        said, errors = process.communicate(timeout=600)
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
        """Pids of the server's sessions for the commands, which name them after a while."""
        asked = (
            "SELECT pid, query FROM pg_stat_activity WHERE application_name = %s "
            r"OR substring(application_name FROM '^manage\.py \w+ (\d+)$')::bigint = ANY (%s)"
        )
        return list(fetch_all(connection, asked, [self.mark, self.started]))

    def workers(self) -> bool:
        """Whether a command has forked two of them."""
        return len(self.processes()) > 2

    def processes(self) -> list[int]:
        """Pids of the commands, their workers and whatever else they started."""
        found = []
        for pid in self.running() - self.others:
            folder = Path("/proc", pid)
            try:
                is_ours = f"PGAPPNAME={self.mark}".encode() in (folder / "environ").read_bytes()
                is_dead = ") Z " in (folder / "stat").read_text()
            except OSError:
                continue
            if is_ours and not is_dead:
                found.append(int(pid))
        return found

    @staticmethod
    def running() -> set[str]:
        """The number of each process."""
        return {entry.name for entry in os.scandir("/proc") if entry.name.isdigit()}

    def files(self) -> list[str]:
        """What lies in the temporary folder."""
        return sorted(path.name for path in self.scratch.iterdir())


@pytest.fixture
def bench(legacy, target_environment, settings, tmp_path) -> Iterator[Bench]:
    """Sample files of some size, a temporary folder, and the commands' environment."""
    data = legacy(rows=ROWS, variant="clean")
    scratch = tmp_path / "tmp"
    scratch.mkdir()
    environment = {**target_environment, "LEGACY_DATA_DIR": str(data)}
    for name, file in settings.TRANSFER["FILES"].items():
        environment[f"LEGACY_{name.upper()}_PATH"] = str(file["path"])
    environment["LEGACY_VECTOR_DIR"] = str(settings.LEGACY_VECTOR_DIR)
    bench = Bench(environment, scratch)
    yield bench
    for pid in bench.processes():
        os.kill(pid, signal.SIGKILL)


def change_files(data: Path) -> None:
    """Writes of the old application."""
    with closing(sqlite3.connect(data / "knowledge_retention.db", timeout=30)) as db:
        db.execute("UPDATE knowledge_items SET access_count = access_count + 1")
        db.commit()


def test_import(bench: Bench) -> None:
    for number in bench.rounds("import_sqlite"):
        bench.end(number, "import_sqlite", "--jobs", "2", "--chunk-rows", "50")
        bench.again("import_sqlite", "--jobs", "2", "--chunk-rows", "50")
        assert differences() == {}
        empty_database()


def test_verify(bench: Bench, tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "data" / "knowledge_retention.db")) as db:
        # Those without a parent would wait in quarantine for a decision.
        db.execute("DELETE FROM knowledge_relationships")
        db.commit()
    bench.again("import_sqlite")
    for number in bench.rounds("verify_migration", kills=size(1, KILLS)):
        bench.end(number, "verify_migration", "--jobs", "2")
        told = bench.again("verify_migration", "--jobs", "2", "--format", "json")
        assert '"verdict": "PROVEN:' in told


def test_vectors(bench: Bench) -> None:
    files = ChromaFiles(Path(bench.environment["LEGACY_VECTOR_DIR"]), "1.x")
    made = files.collection("stillme_knowledge")
    # More than one part: each is a worker's.
    files.db.execute("BEGIN")
    for n in range(13_000):
        made.write(ADD, f"k{n:05}", [n / 7, 1.0, -n, 0.0], f"doc {n}", {"n": n})
    files.db.execute("COMMIT")
    made.flush()
    files.close()
    wanted = ("--file", "vector", "--jobs", "2")
    some = -(-KILLS // 2)
    for number in bench.rounds("import_sqlite", kills=some):
        empty_database()
        bench.end(number, "import_sqlite", *wanted)
        bench.again("import_sqlite", *wanted)
    bench.within["verify_migration"] = 0.3
    for number in bench.rounds("verify_migration", kills=some):
        bench.end(number, "verify_migration", *wanted)
        told = bench.again("verify_migration", *wanted, "--format", "json")
        assert '"verdict": "PROVEN:' in told


def test_follow_cut_over_and_roll_back(bench: Bench, tmp_path: Path) -> None:
    bench.again("sync_sqlite", "--install")
    for number in bench.rounds("sync_sqlite", "cutover", "rollback_migration"):
        change_files(tmp_path / "data")
        bench.end(number, "sync_sqlite", "--follow")
        bench.again("sync_sqlite", "--once")
        assert differences() == {}
        bench.end(number, "cutover", *DESPITE)
        if state("knowledge") != "live":
            bench.again("cutover", *DESPITE, *PATIENT)
        assert {state(n) for n in ("knowledge", "continuum", "rss", "accuracy")} == {"live"}
        with connection.cursor() as cursor:
            cursor.execute("UPDATE knowledge.learning_sessions SET accuracy_score = random()")
        bench.end(number, "rollback_migration")
        if state("knowledge") == "live" or is_frozen(tmp_path / "data"):
            bench.again("rollback_migration", *PATIENT)
        change_files(tmp_path / "data")
        bench.again("sync_sqlite", "--once")
        assert differences() == {}


def is_frozen(data: Path) -> bool:
    """Whether a rollback was ended after its mark: the same command lets the files go."""
    try:
        change_files(data)
    except sqlite3.IntegrityError:
        return True
    return False


def test_rehearsal(bench: Bench) -> None:
    bench.within["rehearse_migration"] = 4.0
    for number in bench.rounds("rehearse_migration", kills=-(-KILLS // 2)):
        bench.end(number, "rehearse_migration", "--no-proof")
        told = bench.again("rehearse_migration", "--no-proof", "--format", "json")
        assert json.loads(told)["ok"]
        databases = "SELECT datname FROM pg_database WHERE starts_with(datname, %s)"
        assert fetch_all(connection, databases, ["stillme_rehearsal_"]) == []
