"""A rollback writes only into a file that is as the cut-over left it."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from stillme.transfer.errors import StateError
from stillme.transfer.records.live_files import require_place
from stillme.transfer.registry import LegacyFile
from stillme.transfer.sqlite.capture import CapturedTable, ChangeLog
from stillme.transfer.sqlite.capture.install import own_triggers
from stillme.transfer.sqlite.capture.templates import FREEZE_PREFIX, freeze_triggers
from stillme.transfer.steps.syncing import file_states


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
            "what was written to it. Put the frozen file back, or look at both sides and give up "
            "what PostgreSQL received: manage.py rollback_migration --to-backup DIR."
        )


def _what_changed(
    connection: sqlite3.Connection,
    log: ChangeLog,
    tables: Sequence[CapturedTable],
    stand: file_states.Standing,
) -> str:
    if log.capture_id() != stand.details.get("capture_id"):
        return "it has another capture"
    noted, seen = stand.details.get("witness"), log.witness(stand.position)
    if noted is not None and (seen is None or seen.as_list() != noted):
        return f"it lacks change {stand.position}: it is an older copy"
    if log.last() != stand.position:
        return f"{log.last() - stand.position:,} changes were written after it"
    found = own_triggers(connection, FREEZE_PREFIX)
    for table in tables:
        for name in freeze_triggers(table, "", None):
            if "julianday" in found.get(name, "julianday"):
                return f"{table.name} takes writes again"
    return ""
