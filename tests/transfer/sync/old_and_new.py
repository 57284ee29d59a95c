"""The old application and the new one as processes, and the comparison of what they were told.

Old processes write by `stillme.demo.samples.writers.live`: a connection per call that stays open
after an exception, no collector, and a pause after a refusal. They are never stopped for a switch.
New ones call the services. Both log a write when it was acknowledged, with the row as it stood.
"""

from __future__ import annotations

import json
import logging
import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import psycopg
from django.db import connection

from stillme.demo.samples.writers.legacy_classes import LegacyWriter
from stillme.demo.samples.writers.live import expected_state
from stillme.transfer import kinds
from stillme.transfer.models import QuarantinedRow
from stillme.transfer.registry import legacy_files
from stillme.transfer.steps.syncing.live_file import LiveFile
from tests.transfer.forked import fork_group, kill_after

_EXACT = (kinds.Key, kinds.TextKey, kinds.Text, kinds.Integer, kinds.Real)


# Where the sample files were stamped. The old application goes on in the zone it always had.
ZONE = "Asia/Ho_Chi_Minh"


@contextmanager
def in_its_zone() -> Iterator[None]:
    """Python's local clock in this process, as the old application has it."""
    before = os.environ.get("TZ")
    os.environ["TZ"] = ZONE
    time.tzset()
    try:
        yield
    finally:
        os.environ.pop("TZ")
        if before is not None:
            os.environ["TZ"] = before
        time.tzset()


@contextmanager
def old_application(data: Path, logs: list[Path], *, rate: float, idle: float) -> Iterator[None]:
    """A process per log, each at `rate` calls a second, resting `idle` seconds when refused."""
    running = []
    for seed, log in enumerate(logs):
        arguments = [str(data), "--log", str(log), "--seed", str(seed + 1), "--plain"]
        arguments += ["--seconds", "600", "--rate", str(rate), "--idle", str(idle), "--no-sync"]
        command = [sys.executable, "-m", "stillme.demo.samples.writers.live", *arguments]
        environment = {**os.environ, "TZ": ZONE}
        running.append(subprocess.Popen(command, stdout=subprocess.DEVNULL, env=environment))
    try:
        for log in logs:
            while not log.exists() or not log.stat().st_size:
                time.sleep(0.02)
        yield
        assert [process.poll() for process in running] == [None] * len(running)
    finally:
        for process in running:
            process.terminate()
        for process in running:
            process.wait(300)


@contextmanager
def new_application(log: Path) -> Iterator[None]:
    """A process that calls the services until it is killed, refused or not."""
    process = fork_group(lambda: _call_services(log))
    try:
        while not log.exists() or log.stat().st_size < 2_000:
            assert process.is_alive()
            time.sleep(0.02)
        yield
        assert process.is_alive()
    finally:
        kill_after(process, 0)


def _call_services(log: Path) -> None:
    from accuracy.services import AccuracyScorer
    from knowledge.services import KnowledgeRetention
    from rss.services import RSSFetchHistory

    logging.disable(logging.CRITICAL)
    knowledge, scores, feeds = KnowledgeRetention(), AccuracyScorer(), RSSFetchHistory()
    with log.open("ab", buffering=0) as stream:
        number = 0
        while True:
            number += 1
            token = f"{log.name} {os.getpid()} {number}"
            time.sleep(0.005)
            at = time.monotonic_ns()
            item = knowledge.add_knowledge(token, "new application")
            if item > 0:
                _acknowledge(stream, at, "knowledge_items", item, {"content": token})
            at = time.monotonic_ns()
            if item > 0 and knowledge.update_retention_score(item, 0.875):
                row = {"content": token, "retention_score": 0.875}
                _acknowledge(stream, at, "knowledge_items", item, row)
            scores.score_response(f"{token}?", "answer", metadata={"n": number})
            at = time.monotonic_ns()
            try:
                cycle = feeds.create_fetch_cycle(number)
            except Exception:  # noqa: BLE001 - the old class raises too
                continue
            _acknowledge(stream, at, "rss_fetch_cycles", cycle, {"cycle_number": number})


def _acknowledge(stream, at: int, table: str, key: int, row: dict[str, object]) -> None:
    touched = [{"table": table, "key": key, "row": row}]
    stream.write(json.dumps({"at": at, "touched": touched}).encode() + b"\n")


def assert_files_take_writes(data: Path) -> None:
    """A call of the old classes on each file: no freeze is in it, nobody holds its lock."""
    with in_its_zone():
        writer = LegacyWriter(data, synchronous=False)
        cycle = writer.create_fetch_cycle(1)
        writer.complete_fetch_cycle(cycle)
        writer.record_learning_session("chat", "is it free?", 0.5)
        writer.set_learning_objective("is it free?", 0.5)
        writer.demote_item("nobody", "L1", "L0", "is it free?")


def assert_nothing_lost(logs: list[Path]) -> int:
    """Every acknowledged write is on both sides, once, and the sides are equal; how many rows.

    Read by sqlite3 and psycopg, not by the engine; only the names of columns are the mapping's.
    """
    expected = expected_state(log for log in logs if log.exists())
    by_table: dict[str, dict[object, dict[str, object] | None]] = {}
    for (table, key), row in expected.items():
        by_table.setdefault(table, {})[key] = row
    settings = connection.settings_dict
    with psycopg.connect(
        host=settings["HOST"],
        port=settings["PORT"] or None,
        dbname=settings["NAME"],
        user=settings["USER"],
        password=settings["PASSWORD"] or None,
    ) as target:
        for file in legacy_files():
            live = LiveFile(file, None)
            mappings = live.mappings
            live.close()
            with closing(sqlite3.connect(file.path)) as legacy:
                legacy.row_factory = sqlite3.Row
                for table, mapping in mappings.items():
                    _compare(legacy, target, table, mapping, by_table.get(table, {}))
    return len(expected)


def _compare(legacy, target, table, mapping, expected) -> None:
    (key,) = mapping.key_columns.names
    stored = [dict(row) for row in legacy.execute(f"SELECT * FROM {table}")]
    by_key = {row[key]: row for row in stored}
    assert len(by_key) == len(stored)
    for wanted, row in expected.items():
        if row is None:
            assert wanted not in by_key, (table, wanted)
        else:
            found = by_key.get(wanted)
            assert found is not None, (table, wanted)
            assert {name: found[name] for name in row} == row, (table, wanted)
    columns = [c for c in mapping.columns if isinstance(c.kind, _EXACT)]
    names = ", ".join(f'"{c.target}"' for c in columns)
    rows = target.execute(f"SELECT {names} FROM {mapping.relation}").fetchall()
    in_target = [dict(zip([c.legacy for c in columns], row, strict=True)) for row in rows]
    target_by_key = {row[key]: row for row in in_target}
    assert len(target_by_key) == len(in_target), table
    aside = set(
        QuarantinedRow.objects.filter(table=table)
        .exclude(status="repaired")
        .values_list("key", flat=True)
    )
    missing = by_key.keys() - target_by_key.keys()
    assert {str(one) for one in missing} <= aside, (table, missing)
    assert not target_by_key.keys() - by_key.keys(), table
    for one, row in target_by_key.items():
        assert row == {name: by_key[one][name] for name in row}, (table, one)
