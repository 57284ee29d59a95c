"""What `/readyz` says of the migration, while it is installed: lags of followers, broken seals."""

from __future__ import annotations

from typing import Any

from django.conf import settings

from stillme.transfer.models import FileState
from stillme.transfer.steps.sealing.broken import broken_seals
from stillme.transfer.steps.syncing.life_sign import Moment, life_sign, moment


def follower_lags() -> dict[str, dict[str, Any]]:
    """The lag of each file that is followed, as the follower last wrote it down."""
    rows = list(FileState.objects.filter(state=FileState.State.FOLLOWING))
    now = moment("default") if rows else None
    return {row.file: _lag(row.details, now) for row in rows if now is not None}


def _lag(details: dict[str, Any], now: Moment) -> dict[str, Any]:
    """Seconds and changes behind, and the sentence where that is too much or nobody follows."""
    seconds = details.get("lag_seconds")
    problem = life_sign(FileState.State.FOLLOWING, details, now).problem
    if not problem and seconds is not None and seconds > settings.FOLLOWER_MAX_LAG:
        problem = f"the follower is {seconds} s behind"
    return {"seconds": seconds, "changes": details.get("lag_changes"), "problem": problem}


def seal_warnings() -> list[str]:
    """What somebody did to the old files since the cut-over; names, no folders."""
    return [broken.public for broken in broken_seals("default")]
