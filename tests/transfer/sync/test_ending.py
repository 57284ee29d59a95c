"""A follower ends within seconds of a SIGTERM, and one that died is seen to be dead."""

from __future__ import annotations

import re
import subprocess
import sys
import threading
from contextlib import closing, contextmanager
from datetime import timedelta

import pytest
from django.db import connections
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from stillme.postgresql.statements import execute
from stillme.transfer.models import FileState
from stillme.transfer.postgresql.locks import exclusive
from stillme.transfer.records import ledger
from stillme.transfer.registry import legacy_files
from stillme.transfer.steps.cutover import CutoverOptions, check_cutover
from stillme.transfer.steps.follow import FollowOptions, follow
from stillme.transfer.steps.following.followed_file import Pace
from stillme.transfer.steps.following.follower import Follower
from stillme.transfer.steps.merging.quarantine_records import drop_keyless
from stillme.transfer.steps.status import overview
from stillme.transfer.steps.syncing.live_file import LiveFile
from tests.transfer.load.support import query
from tests.transfer.verify.support import JUDGE

from .equal import differences
from .test_follow import ONCE, write

pytestmark = pytest.mark.only_files("continuum", "rss")


def silence(seconds, **details):
    """As if the follower had last written `seconds` ago, and died."""
    seen = (timezone.now() - timedelta(seconds=seconds)).isoformat()
    for row in FileState.objects.all():
        row.details = {k: v for k, v in row.details.items() if k != "ended_at"}
        row.details |= {"seen_at": seen, **details}
        row.save()


def rss_status():
    return next(file for file in overview("default").files if file.file == "rss")


def follower_lines():
    lines = check_cutover(CutoverOptions(), JUDGE)
    return [line for line in lines if line.subject == "rss: follower"]


def test_a_dead_follower_is_red_everywhere(data):
    assert rss_status().silent == ""
    assert follower_lines() == []
    silence(26)
    said = r"no sign for \d+ s: start manage.py sync_sqlite --follow"
    assert re.search(said, rss_status().silent)
    assert rss_status().next_step == "start manage.py sync_sqlite --follow"
    (line,) = follower_lines()
    assert line.colour == "no-go"
    assert re.search(said, line.finding)
    answer = Client().get("/readyz")
    assert answer.status_code == 503
    assert any(re.search(said, problem) for problem in answer.json()["problems"])


@pytest.mark.slow
def test_a_follower_in_a_long_round_is_not_called_dead(data):
    silence(10)
    with exclusive("default"):
        assert rss_status().silent == ""
        assert follower_lines() == []
    assert rss_status().silent


def test_a_follower_that_ended_in_order_does_not_refuse_the_cut_over(data):
    silence(3600, ended_at="2026-01-01 00:00:00+00")
    assert "it was ended 60 min ago" in rss_status().silent
    assert follower_lines() == []


def test_dashboard_says_that_the_follower_is_dead(data, admin_client):
    silence(26)
    page = admin_client.get(reverse("transfer-dashboard")).content.decode()
    assert "no sign for 2" in page
    assert "writes are replayed." not in page


@contextmanager
def locked_row():
    """Somebody's open transaction holds a row of the target."""
    other = connections["default"].copy()
    try:
        other.set_autocommit(False)
        execute(other, "UPDATE rss.fetch_items SET item_title = item_title WHERE id = 3")
        yield
    finally:
        other.rollback()
        other.close()


def test_a_stop_ends_a_round_that_waits_for_somebody_elses_lock(data, monkeypatch):
    monkeypatch.setattr("stillme.transfer.steps.follow.GRACE", 0.1)
    write(data / "rss_fetch_history.db", "UPDATE rss_fetch_items SET title = 'new' WHERE id = 3")
    stop = threading.Event()
    with locked_row():
        threading.Timer(0.2, stop.set).start()
        follow(FollowOptions(), stop=stop)
    assert "ended_at" in FileState.objects.get(file="rss").details
    assert differences() == {"rss_fetch_items": differences()["rss_fetch_items"]}
    follow(ONCE)
    assert differences() == {}


@pytest.mark.slow
def test_a_stop_during_the_first_load_ends_it(legacy):
    from stillme.transfer.inventory.selection import Selection
    from stillme.transfer.steps.install_capture import install_capture

    legacy()
    install_capture("default", Selection())
    stop = threading.Event()
    stop.set()
    follow(FollowOptions(), stop=stop)
    assert FileState.objects.get(file="rss").state == "captured"
    follow(ONCE)
    assert differences() == {}


@pytest.mark.slow
@pytest.mark.parametrize("rows", [10, 60])
def test_rows_without_a_key_are_read_once_a_round(data, rows):
    insert = "INSERT INTO tier_metrics (item_id, tier) VALUES (NULL, 'L%d')"
    write(data / "continuum_memory.db", *(insert % (n % 4) for n in range(rows)))
    follow(ONCE)
    file = next(file for file in legacy_files() if file.name == "continuum")
    asked = []
    with closing(LiveFile(file, None)) as live:
        live.connection.set_trace_callback(asked.append)
        drop_keyless("default", live.tables["tier_metrics"])
    assert len(asked) == 1
    write(
        data / "continuum_memory.db",
        "DELETE FROM tier_metrics WHERE item_id IS NULL AND tier = 'L1'",
        insert % 3,
    )
    follow(ONCE)
    assert differences() == {}


@pytest.mark.parametrize(
    ("changes", "seconds", "next_round"),
    [(10_000, 20.0, 2_500), (150, 200.0, 100), (10_000, 0.5, 40_000), (5, 0.01, 10_000)],
)
def test_long_rounds_are_followed_by_smaller_ones(changes, seconds, next_round):
    pace = Pace(100_000)
    pace.limit = 10_000
    pace.note_round(changes, seconds)
    assert pace.limit == next_round


def test_a_round_takes_no_more_than_was_asked_for():
    pace = Pace(100_000)
    pace.limit = 100_000
    pace.note_round(100_000, 0.5)
    assert pace.limit == 100_000


def test_a_locked_file_is_waited_for_longer_and_longer():
    pace = Pace(100)
    assert not pace.is_waiting
    assert [0.05, 0.1, 0.2] < [pace.wait() for _ in range(3)] < [0.15, 0.3, 0.6]
    assert pace.is_waiting
    assert max(pace.wait() for _ in range(20)) <= 7.5
    pace.go_on()
    assert not pace.is_waiting
    assert pace.wait() <= 0.15


@pytest.mark.slow
def test_the_same_rows_again_after_small_rounds(data):
    write(data / "rss_fetch_history.db", "UPDATE rss_fetch_items SET title = title || '!'")
    follow(FollowOptions(once=True, batch=7))
    assert differences() == {}
    assert query("SELECT count(*) FROM rss.fetch_items WHERE item_title LIKE '%%!'")[0][0] > 7


HALF_WAY = """
import os, sqlite3, sys
db = sqlite3.connect(sys.argv[1], isolation_level=None)
db.execute("PRAGMA cache_size = 2")
db.execute("BEGIN")
db.execute("UPDATE knowledge_items SET content = content || hex(zeroblob(60000))")
os.kill(os.getpid(), 9)
"""


@pytest.mark.only_files("knowledge")
def test_a_writer_that_was_killed_half_way_is_waited_for(data):
    """Its journal is there until somebody writes; a follower, which only reads, goes on then."""
    path, told = data / "knowledge_retention.db", []
    run = ledger.start_run("default", "sync_sqlite", {})
    follower = Follower(
        FollowOptions(once=True),
        [f for f in legacy_files() if f.name == "knowledge"],
        run,
        told.append,
    )
    follower.open()
    try:
        subprocess.run([sys.executable, "-c", HALF_WAY, str(path)], check=False)
        assert path.with_name(f"{path.name}-journal").exists()
        assert follower.step("knowledge") == 0
        assert "the file is locked" in told[-1].data["message"]
        write(path, "UPDATE learning_sessions SET session_type = 'x' WHERE id = 2")
        follower._followed["knowledge"].pace.go_on()
        assert follower.step("knowledge") == 1
    finally:
        follower.close()
    assert differences() == {}
