"""What a cut-over finds in a frozen file that no log tells of."""

from __future__ import annotations

import itertools
import sqlite3
from contextlib import closing

import pytest

from stillme.transfer.errors import LegacyFileError, TransferError
from stillme.transfer.registry import LegacyFile
from stillme.transfer.sqlite.capture import install
from stillme.transfer.sqlite.copying.snapshot import take_snapshot
from stillme.transfer.steps.switching.unseen import Unseen, _Watch
from stillme.transfer.steps.syncing.live_file import LiveFile

from .test_capture import tables_of
from .test_follow import write

pytestmark = pytest.mark.only_files("rss", "continuum")


class Touched(dict):
    """Stands for the tail: table -> keys."""

    def touch(self, file, table, keys):
        if keys:
            self[table] = [value for key in sorted(set(keys)) for _, value in key.bindings]

    def note_log(self, live, position):
        assert position == 0


@pytest.fixture
def compared(db, legacy, tmp_path):
    """`compared(file, *statements)`: what is touched after them, and whether it was quiet."""

    def run(file, *statements, watch=lambda connection: None):
        name = {"continuum": "continuum_memory.db", "rss": "rss_fetch_history.db"}[file]
        path = legacy() / name
        install(path, tables_of(path))
        live = LiveFile(LegacyFile(file, file, path), None)
        unseen, tail = Unseen(), Touched()
        unseen._watches[file] = _Watch(path)
        unseen._snapshots[file] = take_snapshot(file, path, tmp_path)
        write(path, *statements)
        unseen.at_lock(file)
        try:
            unseen.touch(live, tail, watch)
        finally:
            unseen.close()
            live.close()
        return dict(tail)

    return run


def test_a_quiet_file_is_not_compared(compared, monkeypatch):
    monkeypatch.setattr("stillme.transfer.steps.switching.unseen._differing", lambda *_: 1 / 0)
    assert compared("rss") == {}


def test_rows_of_either_side(compared):
    found = compared(
        "rss",
        "UPDATE rss_fetch_items SET title = 'other' WHERE id = 3",
        "UPDATE rss_fetch_items SET id = 9000 WHERE id = 4",
        "DELETE FROM rss_fetch_items WHERE id = 5",
        "INSERT INTO rss_fetch_items (id, cycle_id, title, source_url, fetch_timestamp, status) "
        "VALUES (-1, 1, 'n', 'x', '2026-01-02T03:04:05.678901', 'Error')",
        "UPDATE rss_fetch_items SET title = title WHERE id = 6",
    )
    assert found == {"rss_fetch_items": [-1, 3, 4, 5, 9000]}


@pytest.mark.slow
def test_as_many_rows_gone_as_come(compared):
    """A count alone would not tell."""
    found = compared(
        "rss",
        "UPDATE rss_fetch_items SET id = 9000 WHERE id = 4",
        "UPDATE rss_fetch_items SET id = 9001 WHERE id = 5",
    )
    assert found == {"rss_fetch_items": [4, 5, 9000, 9001]}


@pytest.mark.slow
def test_text_keys_and_their_case(compared):
    found = compared(
        "continuum",
        "INSERT INTO tier_metrics (item_id, tier) VALUES ('a', 'L0'), ('7', 'L0')",
        "UPDATE tier_metrics SET surprise_score = -5 WHERE rowid = 1",
        "UPDATE tier_metrics SET item_id = item_id || char(0) WHERE rowid = 2",
    )
    assert len(found["tier_metrics"]) == 5
    assert {"a", "7"} < set(found["tier_metrics"])


@pytest.mark.slow
def test_the_limit_ends_the_comparison(compared):
    looks = itertools.count()

    def watch(connection):
        """Breaks off what runs, but for the first statements."""
        connection.set_progress_handler(lambda: next(looks) > 50, 10)

    with pytest.raises(LegacyFileError, match="interrupted"):
        compared("rss", "UPDATE rss_fetch_items SET title = 'x'", watch=watch)


@pytest.mark.slow
def test_a_table_that_went_away(compared):
    with pytest.raises(TransferError, match="other tables or columns"):
        compared("rss", "ALTER TABLE rss_fetch_items DROP COLUMN summary")


def test_a_watch_notices_every_commit(tmp_path):
    path = tmp_path / "a.db"
    write(path, "CREATE TABLE t (a)")
    watch = _Watch(path)
    with closing(sqlite3.connect(path)) as file:
        file.execute("INSERT INTO t VALUES (1)")
        file.rollback()
        assert not watch.has_moved()
        file.execute("INSERT INTO t VALUES (1)")
        file.commit()
        assert watch.has_moved()
    watch.rest()
    assert not watch.has_moved()
    watch.close()
