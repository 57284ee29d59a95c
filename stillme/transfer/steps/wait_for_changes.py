"""Waiting for changes in flight, for a proof that compares while the application writes."""

from __future__ import annotations

import time
from collections.abc import Callable

from stillme.transfer.errors import Busy
from stillme.transfer.inventory.selection import Selection
from stillme.transfer.registry import LegacyFile, legacy_files
from stillme.transfer.sqlite.capture.log import last_sequence
from stillme.transfer.sqlite.reading.connect import open_legacy
from stillme.transfer.steps.follow import FollowOptions, follow
from stillme.transfer.steps.syncing import file_states
from stillme.transfer.steps.syncing.file_states import State

_PATIENCE, _PAUSE = 30.0, 0.1


def settle_by_replay(alias: str) -> Callable[[str], bool]:
    """Return a function that waits until everything captured in the named file by now is replayed.

    A follower that is at work replays it; if none is, the function does. It returns False for a
    file that is not followed: a difference there is not a change in flight.
    """
    files = {file.name: file for file in legacy_files()}

    def settle(name: str) -> bool:
        file = files.get(name)
        if file is None or file_states.standing(alias, file.name).state != State.FOLLOWING:
            return False
        _wait(alias, file)
        return True

    return settle


def _wait(alias: str, file: LegacyFile) -> None:
    connection = open_legacy(file.path)
    try:
        goal = last_sequence(connection)
    finally:
        connection.close()
    end = time.monotonic() + _PATIENCE
    while file_states.standing(alias, file.name).position < goal:
        try:
            follow(FollowOptions(Selection(files=(file.name,)), once=True, database=alias))
        except Busy:
            if time.monotonic() > end:
                return
            time.sleep(_PAUSE)
