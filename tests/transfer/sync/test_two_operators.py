"""Two operators at once: what was looked at before the lock is looked at again under it."""

from __future__ import annotations

from contextlib import contextmanager

import pytest
from django.db import DatabaseError, connections

from rss.models import FetchCycle
from stillme.transfer.errors import TransferError
from stillme.transfer.findings import ignore_event
from stillme.transfer.inventory.selection import Selection
from stillme.transfer.postgresql import capture as reverse
from stillme.transfer.sqlite.capture.freeze import FOR_GOOD
from stillme.transfer.steps import (
    back_up,
    cutover,
    follow,
    install_capture,
    restore_over_live,
    rollback,
)
from stillme.transfer.steps.sealing import finish
from stillme.transfer.steps.sealing.seal import unseal
from stillme.transfer.steps.switching.to_legacy import ToLegacy
from stillme.transfer.steps.switching.to_target import ToTarget
from stillme.transfer.steps.syncing import file_states

from .switching import cut_over, files_there, roll_back
from .test_follow import state
from .test_limits import freezes
from .test_meanwhile import LOCK_ENDS, elsewhere

pytestmark = pytest.mark.only_files("rss")


@pytest.fixture
def ends_first(monkeypatch):
    """`ends_first(module, other)`: the other one's command ends while this one waits."""

    def arrange(module, other):
        exclusive = module.exclusive

        @contextmanager
        def after_the_other(alias, **given):
            monkeypatch.setattr(module, "exclusive", exclusive)
            other()
            with exclusive(alias, **given):
                yield

        monkeypatch.setattr(module, "exclusive", after_the_other)

    return arrange


@pytest.fixture
def outrun(monkeypatch):
    """`outrun(other)`: it ends between the look of a new installation and the write to the file.

    The log seems to be another one: a replay trimmed it between two reads, say.
    """

    def arrange(other):
        held, problem = file_states.held, install_capture.history_problem

        def after_the_other(alias, file):
            monkeypatch.setattr(file_states, "held", held)
            monkeypatch.setattr(install_capture, "history_problem", problem)
            other()
            return held(alias, file)

        monkeypatch.setattr(install_capture, "history_problem", lambda *_: "other")
        monkeypatch.setattr(file_states, "held", after_the_other)

    return arrange


def write_to_postgresql():
    FetchCycle.objects.create(cycle_number=1, status="x", started_at="2026-01-01T00:00:00Z")


def test_a_second_rollback_leaves_postgresql_closed(live, ends_first):
    """Else it would take writes that no file will ever have."""
    ends_first(rollback, roll_back)
    with pytest.raises(TransferError, match="No file is live"):
        roll_back()
    with pytest.raises(DatabaseError, match="takes no more writes"):
        write_to_postgresql()


def test_files_in_charge_are_not_sealed(live, ends_first):
    """A cut-over that is to be finished and a rollback at once: the old application writes."""
    unseal("default")
    ends_first(cutover, roll_back)
    assert cutover.finish_interrupted("default") is None
    for file in files_there():
        assert file.path.stat().st_mode & 0o200


def test_a_second_cut_over_changes_nothing(data, ends_first):
    ends_first(cutover, cut_over)
    with pytest.raises(TransferError, match="is live"):
        cut_over()
    assert set(freezes().values()) == {FOR_GOOD}
    write_to_postgresql()


def test_a_follower_that_waited_for_the_cut_over_ends(data, ends_first):
    ends_first(follow, cut_over)
    with pytest.raises(TransferError, match="is live"):
        follow.follow(follow.FollowOptions(once=True))
    assert state("rss") == "live"


def test_what_was_rolled_back_is_not_finished(live, ends_first):
    ends_first(finish, roll_back)
    with pytest.raises(TransferError, match="rolled back"):
        finish.finish("default", ignore_event)
    with pytest.raises(DatabaseError, match="takes no more writes"):
        write_to_postgresql()


def test_a_backup_is_not_laid_over_what_went_live_since_the_question(data, tmp_path):
    """The losses that were shown and agreed to are those of another state."""
    back_up.back_up(tmp_path / "backup")
    plan = restore_over_live.plan_restore("default", tmp_path / "backup")
    cut_over()
    write_to_postgresql()
    with pytest.raises(TransferError, match="since you were asked"):
        restore_over_live.restore("default", plan)
    assert state("rss") == "live"
    assert not reverse.is_frozen("default", reverse.every_target_table())
    write_to_postgresql()


def overtaken(switch, name, again, ended):
    """The lock's session is ended by the server at a step, and another command does it all.

    With `ended` the server ends this command's own session, too.
    """
    step = getattr(switch, name)

    def lose_it(self, *given):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(switch, name, step)
            elsewhere(LOCK_ENDS)
            again()
        if ended:
            connections["default"].connection.close()
        step(self, *given)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(switch, name, lose_it)
        with pytest.raises(TransferError, match="Another command has made"):
            again()


@pytest.mark.parametrize("ended", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_whoever_lost_the_lock_opens_nothing(data, ended):
    """It would let writers into the side that the other command has just closed."""
    overtaken(ToTarget, "_verify_tail", cut_over, ended)
    assert set(freezes().values()) == {FOR_GOOD}
    assert reverse.status("default", reverse.every_target_table()).is_healthy
    write_to_postgresql()
    overtaken(ToLegacy, "_carry", roll_back, ended)
    with pytest.raises(DatabaseError, match="takes no more writes"):
        write_to_postgresql()
    assert set(freezes().values()) == {None}


@pytest.mark.only_files("rss")
def test_capture_of_a_file_that_was_cut_over_meanwhile_is_left_alone(data, outrun):
    """The way back asks for the capture with which the file was frozen."""
    outrun(cut_over)
    with pytest.raises(TransferError, match="rss is live"):
        install_capture.install_capture("default", Selection())
    write_to_postgresql()
    roll_back()
    assert state("rss") == "rolled back"


@pytest.mark.only_files("rss")
def test_of_two_installations_one_is_left(data, outrun):
    """Else the ledger names the capture of one, and the file has the other's."""

    def install():
        install_capture.install_capture("default", Selection())

    def install_anew():
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(install_capture, "history_problem", lambda *_: "other")
            install()

    outrun(install_anew)
    with pytest.raises(TransferError, match="Another command installed capture in rss"):
        install()
    assert state("rss") == "captured"
    follow.follow(follow.FollowOptions(once=True))
    assert state("rss") == "following"
