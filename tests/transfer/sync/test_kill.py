"""A writer at hundreds of writes a second, and followers and importers killed with -9.

At the end both sides are equal by the judge, and by the writer's own log of acknowledged writes:
none missing, none twice.
"""

from __future__ import annotations

import io
import json
import os
import random
import sqlite3
import subprocess
import sys
import time
from contextlib import closing, suppress

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from accuracy.models import AccuracyScore
from knowledge.models import KnowledgeItem, LearningSession
from stillme.demo.samples.writers.live import expected_state
from stillme.postgresql.statements import fetch_all
from stillme.transfer.models import QuarantinedRow
from stillme.transfer.registry import legacy_files
from stillme.transfer.steps.syncing.live_file import LiveFile
from tests.campaigns import SEED, size
from tests.transfer.forked import fork_group, kill_after
from tests.transfer.sync.old_and_new import ZONE

from .equal import differences
from .switching import DESPITE, PATIENT
from .test_follow import state

KILLS = int(os.environ.get("STILLME_KILLS", size(6, 20)))
# Writes a second. Half as many are in flight at a kill, too, and leave half as many to be replayed.
RATE = size(200, 400)


def start_writer(data, log, seconds, seed):
    arguments = [str(data), "--seconds", str(seconds), "--rate", str(RATE), "--no-sync"]
    # What a refused or locked call leaves open stays open; a pause keeps that from being thousands.
    arguments += ["--idle", "0.1"]
    arguments += ["--log", str(log), "--seed", str(seed)]
    return subprocess.Popen(
        [sys.executable, "-m", "stillme.demo.samples.writers.live", *arguments],
        stdout=subprocess.DEVNULL,
        env={**os.environ, "TZ": ZONE},
    )


def end_writer(writer):
    writer.terminate()
    writer.wait(300)


def manage(environment, *arguments):
    return subprocess.Popen(
        [sys.executable, "manage.py", *arguments],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )


def finish(environment, *arguments, attempts=20):
    """Run to the end; a killed run's session may hold the lock for a moment."""
    for _ in range(attempts):
        process = manage(environment, *arguments)
        _, errors = process.communicate(timeout=600)
        if process.returncode == 0 or b"wait" not in errors:
            return process.returncode, errors.decode()
        time.sleep(0.5)
    return process.returncode, errors.decode()


def kill_at_random(rng, *arguments):
    """Start a command and kill it, workers and all. True where it was still running."""

    def command():
        # A killed run's session may hold the lock for a moment: the next one says so and ends.
        with suppress(CommandError, SystemExit):
            call_command(*arguments, stdout=io.StringIO(), stderr=io.StringIO())

    return kill_after(fork_group(command), rng.uniform(0.02, 1.5))


def judge():
    """The kinds of the judge's findings."""
    told, status = io.StringIO(), 0
    try:
        call_command("verify_migration", "--format", "json", stdout=told)
    except SystemExit as end:
        status = end.code
    assert status in (0, 1)
    return {finding["kind"] for finding in json.loads(told.getvalue())["findings"]}


def compare_with_witness(logs):
    """Every acknowledged write is in the file and, unless set aside, in the target once."""
    expected = expected_state(logs)
    assert len(expected) > 100
    by_table = {}
    for (table, key), row in expected.items():
        by_table.setdefault(table, {})[key] = row
    for file in legacy_files():
        live = LiveFile(file, None)
        with closing(sqlite3.connect(file.path)) as db:
            db.row_factory = sqlite3.Row
            for table, rows in by_table.items():
                if table in live.tables:
                    mapping = live.tables[table].job.mapping
                    check_table(db, table, rows, mapping)
        live.close()


def check_table(db, table, rows, mapping):
    (name,) = mapping.key_columns.names
    aside = set(
        QuarantinedRow.objects.filter(table=table)
        .exclude(status="repaired")
        .values_list("key", flat=True)
    )
    found = fetch_all(connection, f"SELECT {mapping.key_columns.target()} FROM {mapping.relation}")
    present = [row[0] for row in found]
    assert len(present) == len(set(present))
    target = set(present)
    for key, row in rows.items():
        stored = db.execute(f"SELECT * FROM {table} WHERE {name} = ?", (key,)).fetchone()
        assert (None if stored is None else dict(stored)) == row, (table, key)
        assert (key in target or str(key) in aside) == (row is not None), (table, key)


@pytest.mark.slow(campaign=True)
def test_killed_at_any_moment(legacy, target_environment, tmp_path):
    rng = random.Random(SEED)
    data = legacy(rows=120, variant="current")
    vectors = {"LEGACY_VECTOR_DIR": str(data / "vector_db")}
    environment = {**target_environment, "LEGACY_DATA_DIR": str(data), **vectors}
    for file in legacy_files():
        environment[f"LEGACY_{file.name.upper()}_PATH"] = str(file.path)
    logs = [tmp_path / "one.jsonl"]
    writer = start_writer(data, logs[0], 600, seed=1)
    try:
        status, errors = finish(environment, "sync_sqlite", "--install")
        assert status == 0, errors
        killed = 0
        while killed < KILLS:
            command = ("import_sqlite",) if rng.random() < 0.15 else ("sync_sqlite", "--follow")
            killed += kill_at_random(rng, *command)
        status, errors = finish(environment, "sync_sqlite", "--once")
        assert status == 0, errors
        # Writers keep on while the files are switched: what is refused is not acknowledged.
        status, errors = finish(environment, "cutover", *DESPITE, *PATIENT)
        assert status == 0, errors
        assert writer.poll() is None
    finally:
        end_writer(writer)
    assert {state(f.name) for f in legacy_files()} == {"live"}
    assert differences() == {}
    compare_with_witness(logs)
    # Rows in quarantine are the operator's to decide.
    assert judge() == set()
    # The writer may score the item down and clean it up (its log says so); scores it leaves.
    item = KnowledgeItem.objects.create(
        content="on PostgreSQL", source="a", knowledge_type="b", retention_score=0.9
    )
    score = AccuracyScore.objects.create(
        question="on PostgreSQL", actual_answer="a", accuracy_score=0.5, scoring_method="b"
    )
    LearningSession.objects.filter(pk__lt=9).update(accuracy_score=0.25)
    logs.append(tmp_path / "two.jsonl")
    writer = start_writer(data, logs[1], 600, seed=2)
    try:
        for _ in range(size(2, 3)):
            kill_at_random(rng, "rollback_migration")
        if state("knowledge") == "live":
            status, errors = finish(environment, "rollback_migration", *PATIENT)
            assert status == 0, errors
        for _ in range(size(2, 5)):
            kill_at_random(rng, "sync_sqlite", "--follow")
        time.sleep(1)
        status, errors = finish(environment, "sync_sqlite", "--once")
        assert status == 0, errors
    finally:
        end_writer(writer)
    status, errors = finish(environment, "sync_sqlite", "--sweep")
    assert status == 0, errors
    assert differences() == {}
    assert judge() == set()
    compare_with_witness(logs[1:])
    written = [("accuracy_scores", score.pk, data / "accuracy_scores.db")]
    if ("knowledge_items", item.pk) not in expected_state(logs[1:]):
        written.append(("knowledge_items", item.pk, data / "knowledge_retention.db"))
    for table, key, path in written:
        with closing(sqlite3.connect(path)) as db:
            query = f"SELECT count(*) FROM {table} WHERE id = ?"
            assert db.execute(query, (key,)).fetchone() == (1,), table
