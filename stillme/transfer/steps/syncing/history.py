"""Is this the file, and the history of it, that was followed? And does capture still see it all?

The witness of a position is the change that has that number in the log: its key and its time. A
restored file, or another one laid over ours, does not have it. `FollowedHistory` is asked inside
the read that relies on it, every time.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing

from stillme.transfer.errors import StateError
from stillme.transfer.records.live_files import START_OVER
from stillme.transfer.registry import LegacyFile
from stillme.transfer.sqlite.capture import CaptureStatus, ChangeLog, Witness
from stillme.transfer.sqlite.reading.connect import open_legacy
from stillme.transfer.steps.syncing import file_states


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
    advice = f"put the right file back; to go on with this one, {START_OVER}"
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


class FollowedHistory:
    """The history of a file as far as a follower has replayed it."""

    def __init__(
        self,
        alias: str,
        file: LegacyFile,
        capture_id: str,
        position: int,
        witness: list[object] | None,
    ) -> None:
        self._alias = alias
        self._file = file
        self._capture_id = capture_id
        self._witnesses: dict[int, list[object] | None] = {position: witness}

    def at(self, position: int) -> tuple[str, list[object] | None]:
        """The capture's identity and the witness at a position that was followed to."""
        return self._capture_id, self._witnesses.get(position)

    def note(self, start: int, end: int, witness: Witness | None) -> None:
        """A round was read. It may fail to be applied: then it is looked for at its start again."""
        known = self._witnesses.get(start)
        noted = None if witness is None else witness.as_list()
        self._witnesses = {start: known, end: noted}

    def require(self, log: ChangeLog, position: int) -> None:
        """Raise StateError where the log is not the one that was followed up to `position`."""
        if position not in self._witnesses:
            stand = file_states.standing(self._alias, self._file.name)
            self._witnesses[stand.position] = stand.details.get("witness")
        witness = self._witnesses.get(position)
        if other := other_history(self._file, log, self._capture_id, witness, position):
            raise StateError(other)

    def require_on_disk(self, position: int) -> None:
        """Raise StateError where a fresh connection finds another history than was followed.

        A file in WAL mode that something else than SQLite writes over keeps its wal-index, and
        the open connection keeps its cached pages.
        """
        with closing(open_legacy(self._file.path, timeout=2.0, in_place=True)) as fresh:
            self.require(ChangeLog(fresh), position)
