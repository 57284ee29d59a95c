"""Cut-over and rollback, again and again, under processes that behave like the old classes.

None of them is stopped for a switch: they call, are refused, keep their connections open, rest,
and call again. Each switch is made within its limit, or refused with the files free again.
"""

from __future__ import annotations

import os
import time

import pytest

from stillme.transfer.errors import TransferError
from stillme.transfer.inventory.selection import Selection
from stillme.transfer.models import Run
from stillme.transfer.steps.follow import FollowOptions, follow
from stillme.transfer.steps.install_capture import install_capture
from tests.campaigns import size

from .old_and_new import (
    assert_files_take_writes,
    assert_nothing_lost,
    new_application,
    old_application,
)
from .switching import cut_over, roll_back
from .test_follow import state

ROUNDS = int(os.environ.get("STILLME_SWITCHES", size(1, 2)))
LIMIT = 10.0


def switch_over(data, attempts=5):
    """Cut over, trying again where it was refused; the seconds that writers were locked out."""
    for _ in range(attempts):
        try:
            done = cut_over(freeze_limit=LIMIT)
            print({name: round(seconds, 2) for name, seconds in done.steps.items()})
            return done.frozen_seconds
        except TransferError as error:
            print("refused:", error)
            assert state("knowledge") == "following"
            assert_files_take_writes(data)
            follow(FollowOptions(once=True))
    raise AssertionError(f"refused {attempts} times")


@pytest.mark.slow(campaign=True)
@pytest.mark.parametrize(("rate", "idle"), [(15, 0.25), (2, 3.0)], ids=["under load", "at rest"])
def test_there_and_back(legacy, tmp_path, rate, idle):
    data = legacy(variant="clean", rows=60)
    install_capture("default", Selection())
    follow(FollowOptions(once=True))
    old = [tmp_path / f"old {n}.jsonl" for n in range(4)]
    new = [tmp_path / f"new {n}.jsonl" for n in range(ROUNDS)]
    there, back = [], []
    with old_application(data, old, rate=rate, idle=idle):
        for log in new:
            there.append(switch_over(data))
            with new_application(log):
                time.sleep(0.3)
                back.append(roll_back().frozen_seconds)
            assert_files_take_writes(data)
            time.sleep(0.5)
            follow(FollowOptions(once=True))
    follow(FollowOptions(once=True))
    count = assert_nothing_lost(old + new)
    print(f"there {max(there):.2f} s at most, back {max(back):.2f} s, {count} rows acknowledged")
    assert max(there) <= LIMIT
    assert not Run.objects.filter(command="rollback_migration", status="failed").exists()
    assert count > 100
