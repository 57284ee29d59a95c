"""Cut-overs and rollbacks in a row, with writes on both sides in between.

A twin of the files receives the same writes as an application that never migrated; at the end
both are equal row by row, storage class by storage class.
"""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection

from continuum.models import TierMetric
from knowledge.models import KnowledgeItem, LearningSession
from rss.models import FetchCycle, FetchItem
from stillme.transfer.inventory.selection import Selection
from stillme.transfer.postgresql.capture import target_tables
from stillme.transfer.registry import legacy_files
from stillme.transfer.steps.follow import FollowOptions, follow
from stillme.transfer.steps.install_capture import install_capture
from tests.campaigns import size

from .equal import differences
from .switching import cut_over, roll_back

# What one round leaves, the next one finds; the third finds what a second one leaves.
ROUNDS = size(3, 10)
START = datetime(2026, 5, 6, 7, 8, 9, 123456, tzinfo=UTC)


def legacy_writes(n):
    """(file, sql, values) of one round of the old application."""
    local = (START + timedelta(hours=7, minutes=n)).replace(tzinfo=None).isoformat()
    utc = f"{START + timedelta(minutes=n):%Y-%m-%d %H:%M:%S}"
    rss, knowledge = "rss_fetch_history.db", "knowledge_retention.db"
    yield (
        rss,
        "INSERT INTO rss_fetch_cycles (cycle_number, started_at, created_at) VALUES (?, ?, ?)",
        (n, local, utc),
    )
    yield (
        rss,
        "INSERT INTO rss_fetch_items (cycle_id, title, source_url, fetch_timestamp, status, "
        "created_at) SELECT max(id), ?, 'x', ?, 'Added to RAG', ? FROM rss_fetch_cycles",
        (f"legacy {n}", local, utc),
    )
    yield rss, "UPDATE rss_fetch_items SET summary = ? WHERE id % 7 = ?", (f"s{n}", n % 7)
    yield (
        knowledge,
        "INSERT INTO knowledge_items (content, source, knowledge_type, last_accessed, created_at, "
        "metadata) VALUES (?, 'a', 'b', ?, ?, '{\"k\": 1.50}')",
        (f"legacy {n}", utc, utc),
    )
    yield knowledge, "DELETE FROM learning_sessions WHERE id % 11 = ?", (n,)
    yield (
        "continuum_memory.db",
        "INSERT OR REPLACE INTO tier_metrics (item_id, tier, created_at, updated_at) "
        "VALUES (?, 'L1', ?, ?)",
        (f"item{n % 4}", utc, local),
    )


def target_writes(n):
    """The writes of one round on PostgreSQL."""
    moment = START + timedelta(minutes=n, seconds=30)
    whole = moment.replace(microsecond=0)
    cycle = FetchCycle.objects.create(
        cycle_number=100 + n, started_at=moment, completed_at=moment, created_at=whole,
        status="completed",
    )  # fmt: skip
    FetchItem.objects.create(
        cycle=cycle,
        feed_url="y",
        item_title=f"target {n} \N{SNOWMAN}",
        status="Error",
        fetch_timestamp=moment,
        created_at=whole,
    )
    KnowledgeItem.objects.create(
        content=f"target {n}",
        source="a",
        knowledge_type="b",
        confidence_score=n / 3,
        last_accessed=whole,
        created_at=whole,
        metadata={"user_id": None},
    )
    LearningSession.objects.filter(pk__lt=30, pk__gt=20 + n % 3).update(accuracy_score=n / 7)
    TierMetric.objects.update_or_create(
        item_id=f"item{n % 3}", defaults={"tier": "L2", "updated_at": moment, "created_at": whole}
    )
    FetchItem.objects.filter(item_title=f"legacy {n - 1}").delete()


def twin_writes(n):
    """The same, as the old application would have written it."""
    moment = START + timedelta(minutes=n, seconds=30)
    local = (moment + timedelta(hours=7)).replace(tzinfo=None).isoformat()
    utc = f"{moment:%Y-%m-%d %H:%M:%S}"
    rss, knowledge = "rss_fetch_history.db", "knowledge_retention.db"
    yield (
        rss,
        "INSERT INTO rss_fetch_cycles (cycle_number, started_at, completed_at, created_at) "
        "VALUES (?, ?, ?, ?)",
        (100 + n, local, local, utc),
    )
    yield (
        rss,
        "INSERT INTO rss_fetch_items (cycle_id, title, source_url, fetch_timestamp, status, "
        "created_at) SELECT max(id), ?, 'y', ?, 'Error', ? FROM rss_fetch_cycles",
        (f"target {n} \N{SNOWMAN}", local, utc),
    )
    yield (
        knowledge,
        "INSERT INTO knowledge_items (content, source, knowledge_type, confidence_score, "
        "last_accessed, created_at, metadata) VALUES (?, 'a', 'b', ?, ?, ?, '{\"user_id\": null}')",
        (f"target {n}", n / 3, utc, utc),
    )
    yield (
        knowledge,
        "UPDATE learning_sessions SET accuracy_score = ? WHERE id < 30 AND id > ?",
        (n / 7, 20 + n % 3),
    )
    yield (
        "continuum_memory.db",
        "INSERT INTO tier_metrics (item_id, tier, created_at, updated_at) VALUES (?, 'L2', ?, ?) "
        "ON CONFLICT (item_id) DO UPDATE SET tier = 'L2', created_at = excluded.created_at, "
        "updated_at = excluded.updated_at",
        (f"item{n % 3}", utc, local),
    )
    yield rss, "DELETE FROM rss_fetch_items WHERE title = ?", (f"legacy {n - 1}",)


def apply(directory, writes):
    for file, sql, values in writes:
        with closing(sqlite3.connect(directory / file)) as connection:
            connection.execute(sql, values)
            connection.commit()


def contents(directory):
    """Every stored value with its storage class, our own change table left out."""
    found = {}
    for path in sorted(directory.glob("*.db")):
        with closing(sqlite3.connect(path)) as connection:
            connection.text_factory = bytes
            tables = connection.execute(
                "SELECT name FROM sqlite_master WHERE type = 'table' AND name <> 'stillme_change'"
            ).fetchall()
            for (name,) in tables:
                table = name.decode()
                if table == "sqlite_sequence":
                    sql = "SELECT * FROM sqlite_sequence ORDER BY name"
                    found[path.name, table] = connection.execute(sql).fetchall()
                    continue
                columns = connection.execute(f"PRAGMA table_info({table})").fetchall()
                names = [c[1].decode() for c in columns]
                cells = ", ".join(f"typeof({c}), {c}" for c in names)
                sql = f"SELECT {cells} FROM {table} ORDER BY {names[0]}, {names[1]}"
                found[path.name, table] = connection.execute(sql).fetchall()
    return found


def only_performance(found):
    return {key: value for key, value in found.items() if value}


def start_sequences_anew():
    """Earlier tests have used up ids; a sequence is never lowered by the engine."""
    names = [file.name for file in legacy_files()]
    relations = ", ".join(table.relation for table in target_tables(names))
    with connection.cursor() as cursor:
        cursor.execute(f"TRUNCATE {relations} RESTART IDENTITY CASCADE")


@pytest.mark.slow(campaign=True)
def test_round_after_round(legacy, tmp_path):
    data = legacy(variant="clean")
    start_sequences_anew()
    twin = tmp_path / "twin"
    shutil.copytree(data, twin)
    install_capture("default", Selection())
    for n in range(ROUNDS):
        apply(data, legacy_writes(n))
        apply(twin, legacy_writes(n))
        follow(FollowOptions(once=True))
        cut_over()
        target_writes(n)
        apply(twin, twin_writes(n))
        result = roll_back()
        assert not any(table.lost for table in result.tables)
        assert differences() == {}
    mine, theirs = only_performance(contents(data)), only_performance(contents(twin))
    assert mine.keys() == theirs.keys()
    for table, rows in mine.items():
        assert rows == theirs[table], table
