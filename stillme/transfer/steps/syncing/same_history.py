"""Is this the file, and the history of it, that was followed? And does capture still see it all?"""

from __future__ import annotations

import sqlite3

from stillme.transfer.errors import StateError
from stillme.transfer.live_identity import START_OVER
from stillme.transfer.registry import LegacyFile
from stillme.transfer.sqlite.capture import CaptureStatus, ChangeLog


def require_capture(file: LegacyFile, health: CaptureStatus) -> None:
    """Raise StateError where writes to the file may go unseen."""
    if health.is_healthy:
        return
    problem = health.problems[0] if health.problems else "it is not installed"
    raise StateError(
        f"Capture in {file.path} is {health.health} ({problem}): writes may have gone unseen. "
        "Run manage.py sync_sqlite --install, then manage.py sync_sqlite --follow, which loads "
        "the file again."
    )


def other_history(
    file: LegacyFile, log: ChangeLog, capture_id: str, witness: object, position: int
) -> str | None:
    """None where the log is the one that was followed, else the sentence that says it is not.

    A restored file, or one laid over ours, has another identity, lacks the last replayed change,
    or has another one at its number.
    """
    advice = f"put the right file back; if this one counts from now on, {START_OVER}"
    try:
        found = log.capture_id()
        if found != capture_id:
            return f"{file.path} is not the file that was followed (another capture): {advice}."
        if position > 0 and witness is not None:
            seen = log.witness(position)
            if seen is None or seen.as_list() != witness:
                return (
                    f"{file.path} has another history than the one replayed (change "
                    f"{position} is not the same; was a backup restored?): {advice}."
                )
        first = log.first_after(position)
        if first is not None and first > max(position, 0) + 1:
            return (
                f"{file.path} has lost changes that were never replayed here (change {first} comes "
                f"after {position}): another target follows the file too, and took them out of the "
                f"log. One target may follow a file; {advice}."
            )
    except sqlite3.OperationalError as error:
        if "no such" not in str(error):
            raise
        return f"{file.path} has lost its change table: {advice}."
    return None
