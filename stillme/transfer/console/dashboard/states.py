"""The states of files in a person's words, and whether somebody follows the files that need it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from stillme.transfer.models import FileState
from stillme.transfer.steps.status import FileStatus
from stillme.transfer.steps.syncing.file_states import MEANING, State
from stillme.transfer.steps.syncing.life_sign import START, life_sign, moment

# "absent" is the ledger's word for a file without capture.
_NOT_CAPTURED = "not captured"
_LOADED = "loaded, not captured"
_LOADED_MEANS = "what is written to the file from now on is not brought over"
_NOT_LOADED = "not loaded"
_COMMAND = START.removeprefix("start ")


def state_of(status: FileStatus) -> tuple[str, str]:
    """The state of a file in words, and what it means."""
    state = State(status.state)
    if state != State.ABSENT:
        return _word(state), MEANING[state]
    return (_LOADED, _LOADED_MEANS) if status.as_of else (_NOT_LOADED, MEANING[state])


def steps(present: str) -> list[dict[str, Any]]:
    """The way of a file through its states, with the one it is in."""
    at = list(MEANING).index(State(present))
    return [
        {"name": _word(name), "meaning": meaning, "now": place == at, "done": 0 < place < at}
        for place, (name, meaning) in enumerate(MEANING.items())
    ]


def _word(state: State) -> str:
    return _NOT_CAPTURED if state == State.ABSENT else str(state.value)


def dead_follower(alias: str) -> str:
    """The sentence of the red card, "" where somebody follows what is to be followed.

    Reads the ledger only: the page asks it every two seconds.
    """
    rows = FileState.objects.using(alias).filter(state=State.FOLLOWING)
    following = list(rows.order_by("file"))
    if not following:
        return ""
    now = moment(alias)
    silent = [row for row in following if life_sign(row.state, row.details, now).problem]
    if not silent:
        return ""
    # The moment, not how long ago: the card is read aloud whenever its text changes.
    last = max(datetime.fromisoformat(str(row.details["seen_at"])) for row in silent)
    return (
        f"Nobody brings over what is written to {', '.join(row.file for row in silent)}: the "
        f"follower's last sign was at {last.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC. "
        f"Start it: {_COMMAND}"
    )
