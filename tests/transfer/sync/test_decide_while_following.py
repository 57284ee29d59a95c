"""The quarantine is decided while a follower runs: what one does, the other knows."""

from __future__ import annotations

import sqlite3
import threading
from contextlib import closing, contextmanager

import pytest
from django.core.management import call_command
from django.db import connections

from stillme.transfer.errors import Busy, TransferError
from stillme.transfer.models import FileState, QuarantinedRow
from stillme.transfer.postgresql import locks
from stillme.transfer.postgresql.locks import exclusive
from stillme.transfer.quarantine import decisions
from stillme.transfer.steps.follow import FollowOptions, follow
from stillme.transfer.steps.replaying import replay
from tests.transfer.load.support import query, wait_until

from .equal import differences
from .test_follow import ONCE, write

pytestmark = pytest.mark.only_files("rss")

SWEEP = FollowOptions(once=True, sweep=True)


def title(key):
    found = query("SELECT item_title FROM rss.fetch_items WHERE id = %s", key)
    return found[0][0] if found else None


@pytest.fixture
def bad(data):
    """Row 3 of rss_fetch_items is set aside: its title is not UTF-8."""
    write(
        data / "rss_fetch_history.db",
        "UPDATE rss_fetch_items SET title = CAST(x'61ff62' AS TEXT) WHERE id = 3",
    )
    follow(ONCE)
    return QuarantinedRow.objects.get(table="rss_fetch_items", key="3", status="open")


@contextmanager
def following():
    """A follower at work, in a thread of its own."""
    stop = threading.Event()

    def run():
        try:
            follow(FollowOptions(interval=0.01), stop=stop)
        finally:
            connections.close_all()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        wait_until(lambda: locks.is_held("default"), "the follower has the lock")
        yield
    finally:
        stop.set()
        thread.join(300)
    assert not thread.is_alive()


def test_a_row_is_retried_while_a_follower_runs(bad, data, capsys):
    with following():
        call_command("quarantine", "edit", str(bad.pk), "--column", "title", "--value", "mended")
        call_command("quarantine", "retry", str(bad.pk))
        assert title(3) == "mended"
        write(data / "rss_fetch_history.db", "UPDATE rss_fetch_items SET title = 'x' WHERE id = 5")
        wait_until(lambda: title(5) == "x", "the follower goes on")
    assert differences() == {}
    assert follow(SWEEP).bypassed is False


@pytest.mark.slow
def test_a_retry_waits_for_a_round_and_then_sees_what_it_did(bad, data, monkeypatch):
    """A round has read the mended row and not committed: an old retry must not come after it."""
    decisions.edit("default", bad, "title", "old news", "text")
    reached, go = threading.Event(), threading.Event()
    apply_rows = replay.apply_rows

    def slowly(*given):
        apply_rows(*given)
        reached.set()
        go.wait(300)

    monkeypatch.setattr(replay, "apply_rows", slowly)
    write(data / "rss_fetch_history.db", "UPDATE rss_fetch_items SET title = 'new' WHERE id = 3")

    def replays():
        try:
            follow(ONCE)
        finally:
            connections.close_all()

    thread = threading.Thread(target=replays)
    thread.start()
    assert reached.wait(300)
    threading.Timer(0.3, go.set).start()
    result = decisions.retry("default", [bad])
    thread.join(300)
    assert result.loaded == ()
    assert "in the target" in result.still[0][1]
    assert title(3) == "new"
    assert differences() == {}


def test_a_retry_of_a_row_that_changed_in_the_file_is_refused(bad, data):
    write(
        data / "rss_fetch_history.db",
        "UPDATE rss_fetch_items SET title = CAST(x'62ff' AS TEXT) WHERE id = 3",
    )
    follow(ONCE)
    result = decisions.retry("default", [bad])
    assert result.loaded == ()
    with pytest.raises(TransferError, match="changed"):
        decisions.edit("default", bad, "title", "x", "text")
    with pytest.raises(TransferError, match="changed"):
        decisions.accept("default", [bad], "why")


def test_a_retry_beside_an_import_is_refused_in_a_sentence(bad, monkeypatch):
    monkeypatch.setattr(locks, "_DECISION", "100ms")
    with exclusive("default"), pytest.raises(Busy, match="wait until it has ended"):
        decisions.retry("default", [bad])
    with pytest.raises(SystemExit):
        call_command("quarantine", "retry", str(bad.pk))


@pytest.mark.slow
def test_what_was_retried_cannot_be_accepted_afterwards(bad):
    decisions.edit("default", bad, "title", "mended", "text")
    assert decisions.retry("default", [bad]).loaded == (bad.pk,)
    with pytest.raises(TransferError, match="in the target"):
        decisions.accept("default", [bad], "why")
    assert follow(SWEEP).bypassed is False


@pytest.mark.slow
def test_children_whose_parent_was_retried_are_not_blamed_on_a_writer(data):
    """Two children of a bad parent: one stays open, one is accepted. Then the parent is mended."""
    rss = data / "rss_fetch_history.db"
    cycle, children = query(
        "SELECT cycle_id, array_agg(id ORDER BY id) FROM rss.fetch_items GROUP BY 1 "
        "HAVING count(*) > 1 LIMIT 1"
    )[0]
    write(rss, f"UPDATE rss_fetch_cycles SET cycle_number = 'none' WHERE id = {cycle}")
    follow(SWEEP)
    open_rows = QuarantinedRow.objects.filter(status="open")
    parent = open_rows.get(table="rss_fetch_cycles", key=str(cycle))
    aside = list(open_rows.filter(table="rss_fetch_items", reason="missing_parent"))
    assert {row.key for row in aside} == set(map(str, children))
    decisions.accept("default", aside[:1], "not wanted")
    decisions.edit("default", parent, "cycle_number", "7", "integer")
    assert decisions.retry("default", [parent]).loaded == (parent.pk,)
    write(rss, f"UPDATE rss_fetch_items SET title = title || '!' WHERE cycle_id <> {cycle}")
    swept = follow(SWEEP)
    assert swept.bypassed is False
    assert "bypassed" not in FileState.objects.get(file="rss").details
    assert decisions.retry("default", aside[1:]).loaded
    assert follow(SWEEP).bypassed is False


@pytest.mark.slow
def test_a_set_aside_row_that_was_written_without_capture_is_still_found(bad, data):
    rss = data / "rss_fetch_history.db"
    with closing(sqlite3.connect(rss)) as connection:
        triggers = "SELECT name, sql FROM sqlite_master WHERE type = 'trigger'"
        found = connection.execute(triggers).fetchall()
        for name, _ in found:
            connection.execute(f'DROP TRIGGER "{name}"')
        connection.execute("UPDATE rss_fetch_items SET title = 'unseen' WHERE id = 3")
        for _, sql in found:
            connection.execute(sql)
        connection.commit()
    swept = {found.file: found.bypassed for found in follow(SWEEP).swept}
    assert swept["rss"] == {"rss_fetch_items": ["3"]}


@pytest.mark.slow
def test_edited_rows_are_left_out_of_a_bulk_acceptance(data, capsys):
    write(
        data / "rss_fetch_history.db",
        "UPDATE rss_fetch_items SET title = CAST(x'61ff62' AS TEXT) WHERE id IN (3, 4)",
    )
    follow(ONCE)
    third, fourth = QuarantinedRow.objects.filter(reason="invalid_utf8").order_by("key")
    decisions.edit("default", third, "title", "mended", "text")
    with pytest.raises(SystemExit):
        call_command("quarantine", "accept", "--reason", "invalid_utf8", "--note", "gone")
    said = capsys.readouterr().out
    assert "1 row accepted" in said
    assert f"quarantine retry {third.pk}" in said
    third.refresh_from_db()
    fourth.refresh_from_db()
    assert (third.status, fourth.status) == ("open", "accepted")
    call_command("quarantine", "accept", str(third.pk), "--note", "meant")
    third.refresh_from_db()
    assert third.status == "accepted"


def test_a_row_that_cannot_be_retried_cannot_be_edited(data):
    row = QuarantinedRow.objects.create(
        file="vector", table="embeddings", key="1", cells={"document": ["null", None]},
        reason="invalid_utf8", sentence="x",
    )  # fmt: skip
    with pytest.raises(TransferError, match="import_sqlite --file vector"):
        decisions.edit("default", row, "document", "x", "text")
