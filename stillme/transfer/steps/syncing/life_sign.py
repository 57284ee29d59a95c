"""Whether a file's follower is alive, by the time of its last note and the lock that it holds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from stillme.transfer.models import FileState
from stillme.transfer.postgresql.locks import is_held
from stillme.transfer.steps.syncing import file_states

# A follower writes its time down once a second, and less often in a long round. It holds the
# writer's lock as long as it lives: without that lock it is dead after a few seconds of silence.
DEAD_AFTER = 5.0
SILENT_AFTER = 30.0
START = "start manage.py sync_sqlite --follow"


@dataclass(frozen=True, slots=True)
class Moment:
    """The server's time, and whether somebody holds the writer's lock then."""

    now: datetime
    held: bool


@dataclass(frozen=True, slots=True)
class LifeSign:
    """`problem` is a sentence where nobody follows, "" otherwise; `ended` if it was told to end."""

    problem: str = ""
    ended: bool = False


def moment(alias: str) -> Moment:
    """Now."""
    return Moment(_time(file_states.server_now(alias)), is_held(alias))


def life_sign(state: str, details: Mapping[str, Any], at: Moment) -> LifeSign:
    """What the details of a file tell about its follower."""
    seen = details.get("seen_at")
    if state != FileState.State.FOLLOWING or seen is None:
        return LifeSign()
    seconds = max(0.0, (at.now - _time(str(seen))).total_seconds())
    ended = "ended_at" in details
    if ended and seconds > SILENT_AFTER:
        return LifeSign(f"the follower is silent: it was ended {age(seconds)} ago: {START}", True)
    if not ended and seconds > (SILENT_AFTER if at.held else DEAD_AFTER):
        return LifeSign(f"the follower is silent: no sign for {age(seconds)}: {START}")
    return LifeSign(ended=ended)


def age(seconds: float) -> str:
    """A length of time for an operator: 90 s, 45 min, 25 h."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.0f} h"


def _time(text: str) -> datetime:
    found = datetime.fromisoformat(text)
    return found if found.tzinfo else found.replace(tzinfo=UTC)
