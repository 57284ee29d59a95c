"""The writer of live files: the old statements, several processes at once, and a log that holds."""

from __future__ import annotations

import json
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from stillme.demo.samples import make_samples, schema
from stillme.demo.samples.writers.live import (
    LegacyWriter,
    expected_state,
    main,
    read_log,
    run_writer,
)
from stillme.demo.samples.writers.transactions import Acknowledged, Work

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def live(tmp_path: Path) -> Path:
    make_samples(tmp_path / "data", rows=40, variant="clean")
    return tmp_path / "data"


@pytest.fixture
def seen() -> list[Acknowledged]:
    return []


@pytest.fixture
def writer(live: Path, seen: list[Acknowledged]) -> LegacyWriter:
    return LegacyWriter(live, seen.append, synchronous=False)


def stored(directory: Path, table: str, key: Any) -> dict[str, Any] | None:
    column = "item_id" if table == "tier_metrics" else "id"
    with closing(sqlite3.connect(directory / schema.FILE_OF_TABLE[table])) as connection:
        connection.row_factory = sqlite3.Row
        sql = f"SELECT * FROM {table} WHERE {column} = ?"
        row = connection.execute(sql, (key,)).fetchone()
        return None if row is None else dict(row)


def process(directory: Path, log: Path, *options: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "stillme.demo.samples.writers.live", str(directory)]
    return subprocess.Popen(
        [*command, "--log", str(log), "--no-sync", *options], cwd=ROOT, stdout=subprocess.PIPE
    )


def assert_files_hold(directory: Path, logs: list[Path]) -> int:
    """Every acknowledged row is in its file as the logs say; answers how many rows that are."""
    state = expected_state(logs)
    for (table, key), row in state.items():
        assert stored(directory, table, key) == row, (table, key)
    return len(state)


def test_two_processes_write_and_every_acknowledged_row_is_there(
    live: Path, tmp_path: Path
) -> None:
    logs = [tmp_path / "a.jsonl", tmp_path / "b.jsonl"]
    running = [
        process(live, log, "--count", "300", "--seed", str(seed)) for seed, log in enumerate(logs)
    ]
    outputs = [json.loads(one.communicate(timeout=600)[0]) for one in running]
    assert [one.returncode for one in running] == [0, 0]
    assert [len(read_log(log)) for log in logs] == [one["acknowledged"] for one in outputs]
    assert sum(one["failed"] for one in outputs) == 0
    assert assert_files_hold(live, logs) > 300
    touched = {t["table"] for log in logs for line in read_log(log) for t in line["touched"]}
    assert touched == set(schema.FILE_OF_TABLE)


def test_a_killed_writer_loses_nothing_it_acknowledged(live: Path, tmp_path: Path) -> None:
    log = tmp_path / "log.jsonl"
    running = process(live, log, "--seconds", "600")
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline and (not log.exists() or log.stat().st_size < 100_000):
        time.sleep(0.02)
    running.send_signal(signal.SIGKILL)
    running.communicate()
    entries = read_log(log)
    assert len(entries) > 50
    # The one transaction that was committed but not yet written down: it changed a row, gave one
    # another number, or was a clean-up.
    differing = [key for key, row in expected_state([log]).items() if stored(live, *key) != row]
    cleaned = [key for key in differing if stored(live, *key) is None]
    assert len(differing) <= 2 or cleaned == differing


def test_a_writer_asked_to_end_writes_down_what_it_committed(live: Path, tmp_path: Path) -> None:
    log = tmp_path / "log.jsonl"
    running = process(live, log, "--seconds", "600")
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline and (not log.exists() or log.stat().st_size < 100_000):
        time.sleep(0.02)
    running.terminate()
    printed, _ = running.communicate(timeout=300)
    assert running.returncode == 0
    assert json.loads(printed)["acknowledged"] == len(read_log(log)) > 50
    assert all(stored(live, *key) == row for key, row in expected_state([log]).items())


def test_the_log_is_in_commit_order_and_cut_off_lines_do_not_count(
    live: Path, tmp_path: Path
) -> None:
    log = tmp_path / "log.jsonl"
    result = run_writer(live, ack_log=log, count=60, synchronous=False)
    entries = read_log(log)
    assert result.acknowledged == len(entries) >= 60
    assert [entry["n"] for entry in entries] == list(range(1, len(entries) + 1))
    assert [entry["at"] for entry in entries] == sorted(entry["at"] for entry in entries)
    log.write_bytes(log.read_bytes()[:-5])
    assert len(read_log(log)) == len(entries) - 1


def test_the_rate_is_kept(live: Path, tmp_path: Path) -> None:
    result = run_writer(live, ack_log=tmp_path / "l", count=20, rate=100, synchronous=False)
    assert result.seconds >= 0.19


def test_a_locked_file_is_counted_as_failed_and_not_logged(
    live: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for file in schema.FILES:  # what freezing a file does to its writers
        with closing(sqlite3.connect(live / file)) as connection:
            for table in schema.TABLES[file]:
                for event in ("INSERT", "UPDATE", "DELETE"):
                    connection.execute(
                        f"CREATE TRIGGER no_{event}_{table} BEFORE {event} ON {table}"
                        " BEGIN SELECT RAISE(ROLLBACK, 'frozen'); END"
                    )
    result = run_writer(live, ack_log=tmp_path / "l", count=30, synchronous=False)
    assert result.failed > 20
    changed = [t for e in read_log(tmp_path / "l") for t in e["touched"] if t["row"]]
    assert all(stored(live, t["table"], t["key"]) == t["row"] for t in changed)


def test_after_an_exception_the_connection_stays_open_with_its_lock(
    writer: LegacyWriter, live: Path
) -> None:
    """As in the old classes: whoever writes next waits for the collector."""
    writer.insert_tier("item", "L0", 0.5, 1)
    with pytest.raises(sqlite3.IntegrityError):
        writer.insert_tier("item", "L0", 0.5, 1)
    assert writer.left_open == 1
    with closing(sqlite3.connect(live / schema.CONTINUUM, timeout=0)) as other:
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            other.execute("BEGIN IMMEDIATE")
        writer.let_go()
        other.execute("BEGIN IMMEDIATE")
    assert writer.left_open == 0


def test_a_disabled_continuum_file_is_left_alone(tmp_path: Path) -> None:
    make_samples(tmp_path / "data", rows=20, variant="disabled")
    log = tmp_path / "log.jsonl"
    result = run_writer(tmp_path / "data", ack_log=log, count=60, synchronous=False)
    assert result.failed == 0
    assert {entry["file"] for entry in read_log(log)} == set(schema.FILES) - {schema.CONTINUUM}
    assert (tmp_path / "data" / schema.CONTINUUM).stat().st_size == 0


def test_a_missing_file_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="make the sample files first"):
        LegacyWriter(tmp_path).add_knowledge("a", "b")
    assert list(tmp_path.iterdir()) == []


def test_an_item_and_its_counters_are_two_transactions(
    writer: LegacyWriter, live: Path, seen: list[Acknowledged]
) -> None:
    cycle = writer.create_fetch_cycle(5)
    for status in ("Added to RAG", "Filtered: Duplicate", "Skipped"):
        writer.add_fetch_item(cycle, "t", "https://example.org", None, status)
    assert [done.method for done in seen[1:3]] == ["add_fetch_item", "add_fetch_item:counters"]
    row = stored(live, "rss_fetch_cycles", cycle)
    assert row
    counters = [row[f"entries_{n}"] for n in ("fetched", "added", "filtered", "duplicate")]
    assert counters == [3, 1, 1, 1]
    writer.add_fetch_item(999_999, "orphan", "", None, "Skipped")  # an unknown cycle is no error
    assert seen[-1].method == "add_fetch_item:counters"
    assert seen[-1].touched == []


def test_tiers_move_with_their_audit(
    writer: LegacyWriter, live: Path, seen: list[Acknowledged]
) -> None:
    writer.insert_tier("item", "L0", 0.9, 3)
    writer.promote_item("item", "L0", "L1", "why")
    writer.demote_item("unknown", None, "L9", "no such item")
    row = stored(live, "tier_metrics", "item")
    assert row
    assert row["tier"] == "L1"
    assert "T" in row["updated_at"]
    assert seen[-1].touched[0].row is None
    assert seen[-1].touched[1].row
    writer.update_tier_cycle("item", 10)
    assert " " in (stored(live, "tier_metrics", "item") or {})["updated_at"]
    with pytest.raises(sqlite3.IntegrityError):
        writer.promote_item("item", "L1", "L9", "the CHECK refuses it")
    assert (stored(live, "tier_metrics", "item") or {})["tier"] == "L1"


def test_keys_change_and_rows_are_replaced(writer: LegacyWriter, live: Path) -> None:
    writer.insert_tier("one", "L3", 0.1, 7)
    writer.rename_tier("one", "two")
    assert stored(live, "tier_metrics", "one") is None
    writer.replace_tier("two", "L0", 0.5)
    row = stored(live, "tier_metrics", "two")
    assert row
    assert (row["tier"], row["retrieval_count_7d"]) == ("L0", 0)
    number = writer.record_learning_session("chat", "text", 0.5)
    writer.renumber_session(number, -7)
    assert stored(live, "learning_sessions", number) is None
    assert stored(live, "learning_sessions", -7)


def test_cleanup_names_the_rows_it_deleted(
    writer: LegacyWriter, live: Path, seen: list[Acknowledged]
) -> None:
    kept = writer.add_knowledge("kept", "s", metadata={"a": float("nan")})
    writer.update_retention_score(kept, 0.9)
    deleted = writer.cleanup_old_knowledge(0, 0.3)
    assert deleted > 0
    assert len(seen[-1].touched) == deleted
    assert all(touched.row is None for touched in seen[-1].touched)
    assert (stored(live, "knowledge_items", kept) or {})["metadata"] == '{"a": NaN}'


@pytest.mark.slow
def test_cleanup_means_one_moment_when_the_clock_turns_in_the_middle(
    writer: LegacyWriter, live: Path, seen: list[Acknowledged], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A row of this very second must not be deleted a second later without a witness."""
    execute = Work.execute

    def slowly(work: Work, sql: str, values: tuple[Any, ...] = ()) -> sqlite3.Cursor:
        if sql.startswith("DELETE"):
            time.sleep(1.1)
        return execute(work, sql, values)

    time.sleep(1 - time.time() % 1)  # to the beginning of a second
    fresh = writer.add_knowledge("fresh", "s")
    monkeypatch.setattr(Work, "execute", slowly)
    deleted = writer.cleanup_old_knowledge(0, 0.3)
    assert len(seen[-1].touched) == deleted
    assert stored(live, "knowledge_items", fresh)


def test_objectives_are_achieved_by_the_update(writer: LegacyWriter, live: Path) -> None:
    number = writer.set_learning_objective("học", 0.8)
    writer.update_objective_progress(number, 0.79)
    assert (stored(live, "learning_objectives", number) or {})["status"] == "active"
    writer.update_objective_progress(number, 0.8)
    row = stored(live, "learning_objectives", number)
    assert row
    assert row["status"] == "achieved"
    assert row["achieved_at"]


def test_the_command_line_wants_an_end(live: Path, tmp_path: Path) -> None:
    with pytest.raises(SystemExit):
        main([str(live), "--log", str(tmp_path / "l")])
    with pytest.raises(ValueError, match="how many"):
        run_writer(live, ack_log=tmp_path / "l")
    assert main([str(live), "--log", str(tmp_path / "l"), "--count", "3", "--no-sync"]) == 0
