"""Check that a file is the one that was followed, with the same history.

Also check that capture still sees every write.

The witness of a position is the change that has that number in the log: its key and its time. A
restored file, or another one laid over ours, does not have it. It is asked for inside the read that
relies on it, every time. A rollback, which writes into the file, asks whether it is as the cut-over
left it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from stillme.transfer.errors import StateError
from stillme.transfer.records.live_files import START_OVER, require_place
from stillme.transfer.registry import LegacyFile
from stillme.transfer.sqlite.capture import CapturedTable, CaptureStatus, ChangeLog
from stillme.transfer.sqlite.capture.install import own_triggers
from stillme.transfer.sqlite.capture.templates import FREEZE_PREFIX, freeze_triggers
from stillme.transfer.steps.syncing import file_states
from stillme.transfer.steps.syncing.file_states import Standing
from stillme.visible import counted


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


def other_history(file: LegacyFile, log: ChangeLog, capture_id: str, stand: Standing) -> str:
    """The sentence that says that the log is not the one that was followed; "" where it is.

    A restored file, or one laid over ours, has another identity, lacks the last replayed change,
    or has another one at its number.
    """
    position, witness = stand.position, stand.details.get("witness")
    advice = f"put the right file back; to go on with this one, {START_OVER}"
    try:
        if log.capture_id() != capture_id:
            return f"{file.path} is not the file that was followed (another capture): {advice}."
        if position > 0 and witness is not None and log.witness(position) != witness:
            return (
                f"{file.path} has another history than the one replayed (change "
                f"{position} is not the same; was a backup restored, of it or of PostgreSQL?): "
                f"{advice}."
            )
        first = log.next_after(position)
        if first is not None and first.sequence > max(position, 0) + 1:
            return (
                f"{file.path} has lost changes that were never replayed here (change "
                f"{first.sequence} comes after {position}): PostgreSQL was restored to an older "
                "state, or another target follows the file too, and took them out of the log. One "
                f"target may follow a file; {advice}."
            )
    except sqlite3.OperationalError as error:
        if "no such" not in str(error):
            raise
        return f"{file.path} has lost its change table: {advice}."
    return ""


def frozen_elsewhere(file: LegacyFile) -> str:
    """The sentence for a frozen file that this database never captured."""
    return (
        f"{file.path} is frozen, but not by a cut-over into this database under the name "
        f"{file.name}: PostgreSQL may be in charge elsewhere. Use the settings of the cut-over; if "
        "that database is given up, manage.py sync_sqlite --remove."
    )


def require_as_left(
    alias: str,
    file: LegacyFile,
    connection: sqlite3.Connection,
    tables: Sequence[CapturedTable],
) -> None:
    """Raise StateError where the file is not as the cut-over left it.

    Call it in the transaction that is going to write: what the old application wrote since would
    be overwritten.
    """
    require_place(alias, [file])
    stand = file_states.standing(alias, file.name)
    log = ChangeLog(connection)
    try:
        what = _what_changed(connection, log, tables, stand)
    except sqlite3.OperationalError as error:
        if "no such" not in str(error):
            raise
        what = "its change table is gone"
    if what:
        raise StateError(
            f"{file.path} is not as the cut-over left it ({what}): a rollback could overwrite "
            "what was written to it. Put the frozen file back. If the file is the newer side "
            "(PostgreSQL was restored from before an earlier rollback), move it into another "
            "database. Or look at both sides and give up what PostgreSQL received: manage.py "
            "rollback_migration --to-backup DIR."
        )


def _what_changed(
    connection: sqlite3.Connection,
    log: ChangeLog,
    tables: Sequence[CapturedTable],
    stand: file_states.Standing,
) -> str:
    if log.capture_id() != stand.details.get("capture_id"):
        return "it has another capture"
    noted = stand.details.get("witness")
    if noted is not None and log.witness(stand.position) != noted:
        return f"it lacks change {stand.position}: it is an older copy"
    if written := log.written_after(stand.position):
        return counted(written, "change was written after it", "changes were written after it")
    found = own_triggers(connection, FREEZE_PREFIX)
    for table in tables:
        for name in freeze_triggers(table, "", None):
            if "julianday" in found.get(name, "julianday"):
                return f"{table.name} takes writes again"
    return ""
