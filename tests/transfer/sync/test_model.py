"""A state machine of capture, follow, crash, cut-over and rollback (hypothesis).

Whatever the order, after a drain both sides are equal and every row is accounted for.
"""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
from contextlib import closing, suppress
from datetime import UTC, datetime
from pathlib import Path
from unittest import mock

import pytest
from django.conf import settings
from django.db import connection
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)

from continuum.models import TierMetric
from rss.models import FetchCycle, FetchItem
from stillme.demo.samples.generate import make_samples
from stillme.transfer.inventory.selection import Selection
from stillme.transfer.models import FileState
from stillme.transfer.postgresql import capture as reverse
from stillme.transfer.postgresql.capture import target_tables
from stillme.transfer.steps.follow import FollowOptions, follow
from stillme.transfer.steps.install_capture import install_capture
from stillme.transfer.steps.load import ImportOptions, import_files
from stillme.transfer.steps.switching import to_legacy, to_target
from stillme.transfer.steps.syncing import file_states
from tests.campaigns import size

from .equal import differences
from .switching import cut_over, roll_back

FILES = ("continuum_memory.db", "rss_fetch_history.db")
NAMES = ("continuum", "rss")
keys = st.integers(1, 6)
# Values that the target refuses or repairs are part of the game.
titles = st.sampled_from(["plain", "học", "nul\0inside", "", b"\xc3\x28", 5])
LOCAL = "2026-05-06T14:08:09.123456"


class Killed(BaseException):
    """What kill -9 is to the code under test: nothing runs after it."""


def killed(*args, **kwargs):
    raise Killed


class Migration(RuleBasedStateMachine):
    """Two files, their target, and everything that may happen to them."""

    def __init__(self):
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="stillme-model-"))
        self.original = settings.TRANSFER["FILES"]
        self.live = False
        self.broken_rollback = False

    @initialize()
    def start(self):
        tables = target_tables(NAMES)
        reverse.remove("default", tables)
        reverse.unfreeze_target("default", tables)
        with connection.cursor() as cursor:
            cursor.execute(
                "TRUNCATE rss.fetch_cycles, continuum.tier_metrics, continuum.tier_audit, "
                "continuum.forgetting_metrics, transfer.run, transfer.file_state, "
                "transfer.reverse_change, transfer.carried_cell, "
                "transfer.quarantined_row, transfer.kept_cell, transfer.chunk RESTART IDENTITY "
                "CASCADE"
            )
        make_samples(self.folder / "data", rows=8, variant="clean", files=FILES)
        settings.TRANSFER["FILES"] = {
            name: {**entry, "path": self.folder / "data" / Path(entry["path"]).name}
            for name, entry in self.original.items()
        }
        install_capture("default", Selection())

    def write(self, file, sql, *values):
        with closing(sqlite3.connect(self.folder / "data" / file)) as db:
            db.execute(sql, values)
            db.commit()

    # -- the old application

    @precondition(lambda self: not self.live)
    @rule(key=keys, title=titles, cycle=keys)
    def replace_item(self, key, title, cycle):
        self.write(
            FILES[1],
            "INSERT OR REPLACE INTO rss_fetch_items (id, cycle_id, title, source_url, "
            "fetch_timestamp, status) VALUES (?, ?, ?, 'x', ?, 'y')",
            key, cycle, title, LOCAL,
        )  # fmt: skip

    @precondition(lambda self: not self.live)
    @rule(key=keys)
    def delete_cycle(self, key):
        self.write(FILES[1], "DELETE FROM rss_fetch_cycles WHERE id = ?", key)

    @precondition(lambda self: not self.live)
    @rule(key=keys)
    def put_cycle(self, key):
        self.write(
            FILES[1],
            "INSERT OR REPLACE INTO rss_fetch_cycles (id, cycle_number, started_at) "
            "VALUES (?, 1, ?)",
            key, LOCAL,
        )  # fmt: skip

    @precondition(lambda self: not self.live)
    @rule(key=keys, new=keys)
    def renumber_item(self, key, new):
        self.write(FILES[1], "UPDATE OR REPLACE rss_fetch_items SET id = ? WHERE id = ?", new, key)

    @precondition(lambda self: not self.live)
    @rule(title=titles, tier=st.sampled_from(["L0", "L3"]))
    def put_metric(self, title, tier):
        self.write(
            FILES[0],
            "INSERT OR REPLACE INTO tier_metrics (item_id, tier) VALUES (?, ?)",
            title, tier,
        )  # fmt: skip

    @precondition(lambda self: not self.live)
    @rule()
    def delete_all_metrics_and_vacuum(self):
        self.write(FILES[0], "DELETE FROM tier_metrics")
        with closing(sqlite3.connect(self.folder / "data" / FILES[0])) as db:
            db.execute("VACUUM")

    # -- the migration

    @precondition(lambda self: not self.live)
    @rule()
    def load(self):
        import_files(ImportOptions(jobs=1))

    @precondition(lambda self: not self.live)
    @rule(sweep=st.booleans())
    def drain(self, sweep):
        result = follow(FollowOptions(once=True, sweep=sweep))
        assert not result.bypassed
        assert differences() == {}

    @precondition(lambda self: not self.live)
    @rule()
    def follower_is_killed(self):
        with mock.patch.object(file_states, "advance", killed), suppress(Killed):
            follow(FollowOptions(once=True))
        connection.close()

    @precondition(lambda self: not self.live)
    @rule(step=st.sampled_from(["_drain_frozen", "_freeze_for_good", "_mark"]))
    def cut_over_is_killed(self, step):
        self.drain(False)
        with (
            mock.patch.object(to_target.ToTarget, step, killed),
            mock.patch.object(to_target.ToTarget, "undo"),
            suppress(Killed),
        ):
            cut_over()
        connection.close()
        assert {s.state for s in FileState.objects.all()} == {"following"}
        # The next command lifts what the killed one left.
        follow(FollowOptions(once=True))

    @precondition(lambda self: not self.live)
    @rule()
    def switch(self):
        follow(FollowOptions(once=True))
        cut_over()
        self.live = True
        assert differences() == {}

    @precondition(lambda self: self.live and not self.broken_rollback)
    @rule(key=keys, title=st.sampled_from(["plain", "học"]))
    def target_writes(self, key, title):
        moment = datetime(2026, 5, 6, 7, 8, 9, 654321, tzinfo=UTC)
        cycle = FetchCycle.objects.create(cycle_number=key, started_at=moment)
        FetchItem.objects.create(
            cycle=cycle, item_title=title, feed_url="z", status="s", fetch_timestamp=moment
        )
        FetchItem.objects.filter(pk=key).delete()
        TierMetric.objects.update_or_create(item_id=title, defaults={"tier": "L1"})

    @precondition(lambda self: self.live)
    @rule(step=st.sampled_from(["_write_file", "_mark"]))
    def rollback_is_killed(self, step):
        with (
            mock.patch.object(to_legacy.ToLegacy, step, killed),
            mock.patch.object(to_legacy.ToLegacy, "undo"),
            suppress(Killed),
        ):
            roll_back()
        connection.close()
        self.broken_rollback = True

    @precondition(lambda self: self.live)
    @rule()
    def go_back(self):
        roll_back()
        self.live = self.broken_rollback = False
        assert differences() == {}

    def teardown(self):
        try:
            if self.live:
                self.go_back()
            self.drain(True)
        finally:
            settings.TRANSFER["FILES"] = self.original
            shutil.rmtree(self.folder, ignore_errors=True)


@pytest.mark.slow(campaign=True)
def test_any_order_ends_equal(clean_target):
    run_state_machine_as_test(
        Migration,
        settings=hypothesis_settings(
            max_examples=size(4, 12),
            stateful_step_count=14,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            database=None,
            derandomize=True,
        ),
    )
