"""What a file's state allows is what the commands do, and what every sentence advises."""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from unittest.mock import patch

import pytest
from django.db import connection, transaction

from stillme.transfer.errors import StateError
from stillme.transfer.findings import FindingKind, ignore_event
from stillme.transfer.inventory.selection import Selection
from stillme.transfer.reports.advice import advice
from stillme.transfer.steps import rollback
from stillme.transfer.steps.cutover import check_cutover
from stillme.transfer.steps.follow import FollowOptions, follow
from stillme.transfer.steps.install_capture import install_capture, remove_capture
from stillme.transfer.steps.load import ImportOptions, import_files
from stillme.transfer.steps.sealing.finish import finish
from stillme.transfer.steps.status import overview
from stillme.transfer.steps.syncing import file_states
from stillme.transfer.steps.syncing.file_states import (
    NEXT_STEP,
    WAYS,
    Action,
    State,
    move,
    note,
    standing,
)
from tests.transfer.verify.support import JUDGE

from .switching import cut_over, options, roll_back

pytestmark = pytest.mark.only_files("rss")

FILE = "rss"
ALL = Selection()
# What a sentence may tell the operator to run -> what that does. The others change no state.
COMMANDS = {
    r"sync_sqlite --install": Action.INSTALL,
    r"sync_sqlite --remove": Action.REMOVE,
    r"(?:manage\.py |or )sync_sqlite --(?:follow|once|sweep)\b": Action.FOLLOW,
    r"manage\.py import_sqlite(?! --file vector)": Action.IMPORT,
    r"manage\.py cutover(?! --finish)": Action.CUT_OVER,
    r"manage\.py cutover --finish": Action.FINISH,
    r"manage\.py rollback_migration(?! --to-backup)": Action.ROLL_BACK,
}


def install(path):
    """Anew: capture that is whole would be left as it is, with the state."""
    if Action.INSTALL in WAYS[present()]:
        with closing(sqlite3.connect(path)) as file:
            found = file.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'")
            for (name,) in found.fetchall():
                file.execute(f"DROP TRIGGER {name}")
    install_capture("default", ALL)


DO = {
    Action.INSTALL: install,
    Action.REMOVE: lambda path: remove_capture("default", ALL),
    Action.IMPORT: lambda path: import_files(ImportOptions()),
    Action.FOLLOW: lambda path: follow(FollowOptions(once=True)),
    Action.CUT_OVER: lambda path: cut_over(),
    Action.ROLL_BACK: lambda path: roll_back(),
    Action.FINISH: lambda path: finish("default", ignore_event),
}
# The same without doing it. A dry run of the import reads the files and asks no server.
DRY = {
    Action.IMPORT: lambda: import_files(ImportOptions(dry_run=True, prune=True)),
    Action.ROLL_BACK: lambda: rollback.plan_rollback("default"),
}


@pytest.fixture
def path(legacy):
    """One small file: the walk below is long."""
    directory = legacy(rows=10)
    for other in directory.glob("*.db"):
        if "rss" not in other.name:
            other.unlink()
    return directory / "rss_fetch_history.db"


def present():
    return standing("default", FILE).state


def act(action, path):
    """Do it. A captured file is loaded by the first follower, which goes on at once."""
    before = present()
    DO[action](path)
    wanted = WAYS[before][action]
    if (before, action) == (State.CAPTURED, Action.FOLLOW):
        wanted = WAYS[wanted][action]
    assert present() == wanted, (before, action)


def way(start, end):
    """The shortest row of actions from one state to another."""
    ways = [[(None, start)]]
    while ways:
        way = ways.pop(0)
        if way[-1][1] == end:
            return [action for action, _ in way[1:]]
        for action, state in WAYS[way[-1][1]].items():
            if state not in [seen for _, seen in way]:
                ways.append([*way, (action, state)])
    raise AssertionError(f"no way from {start} to {end}")


def refused(action, path):
    before = present()
    with pytest.raises(StateError):
        DO[action](path)
    if action in DRY:
        with pytest.raises(StateError):
            DRY[action]()
    assert present() == before


def advised(sentence):
    """What a sentence tells to do, in its order."""
    found = [
        (match.start(), action)
        for pattern, action in COMMANDS.items()
        for match in re.finditer(pattern, sentence)
    ]
    return [action for _, action in sorted(found)]


def check_advice(sentence, state):
    """Each thing that is advised can be done when its turn comes."""
    for action in advised(sentence):
        assert action in WAYS[state], (sentence, state)
        state = WAYS[state][action]


def check_what_is_said(path):
    state = present()
    (status,) = [status for status in overview("default").files if status.file == FILE]
    assert status.state == state
    check_advice(status.next_step, state)
    lines = check_cutover(options(), JUDGE)
    is_go = {line.subject: line.colour for line in lines}[f"{FILE}: state"] == "go"
    assert is_go == (Action.CUT_OVER in WAYS[state])
    for line in lines:
        check_advice(line.advice, state)


@pytest.mark.long
def test_every_action_in_every_state(path):
    left = {(state, action) for state in WAYS for action in Action}
    while left:
        here = present()
        if any(state == here for state, _ in left):
            check_what_is_said(path)
            for action in [a for s, a in left if s == here and a not in WAYS[here]]:
                refused(action, path)
                left.remove((here, action))
            for action in [a for s, a in left if s == here and a in DRY]:
                DRY[action]()
        # Nothing leads on from the finish.
        nearest = sorted(
            (a is Action.FINISH, len(way(here, s)), s, a) for s, a in left if a in WAYS[s]
        )
        if not nearest:
            break
        *_, state, action = nearest[0]
        for step in way(here, state):
            left.discard((present(), step))
            act(step, path)
        if present() == state:
            act(action, path)
            left.discard((state, action))
    assert not left


@pytest.mark.parametrize("state", State)
def test_no_sentence_advises_what_the_state_refuses(state):
    check_advice(NEXT_STEP[state], state)
    for _, sentence in advice([kind.value for kind in FindingKind], [str(state)]):
        check_advice(sentence.replace("`", ""), state)


def test_a_sentence_is_read_right():
    assert advised("run manage.py sync_sqlite --install, then manage.py import_sqlite") == [
        Action.INSTALL,
        Action.IMPORT,
    ]
    with pytest.raises(AssertionError):
        check_advice("manage.py import_sqlite --prune", State.LIVE)


def test_a_state_is_on_disk_before_the_files_rely_on_it(legacy):
    """`synchronous_commit = off`: a crash took back the mark of a rollback that had ended."""
    legacy(rows=20)
    install_capture("default", ALL)
    with connection.cursor() as cursor:
        cursor.execute("SET synchronous_commit = off")
        for write in (
            lambda: note("default", FILE, trimmed_to=0),
            lambda: move("default", FILE, State.CAPTURED),
        ):
            with transaction.atomic():
                write()
                cursor.execute("SHOW synchronous_commit")
                assert cursor.fetchone() == ("on",)
        cursor.execute("RESET synchronous_commit")


def test_a_clock_that_was_set_back_loads_no_file_for_ever(legacy):
    """Capture was installed while the server's clock was a day ahead."""
    legacy(rows=20)
    with patch.object(file_states, "server_now", lambda alias: "2999-01-01 00:00:00+00"):
        install_capture("default", ALL)
    follow(FollowOptions(once=True))
    assert standing("default", FILE).state == State.FOLLOWING
