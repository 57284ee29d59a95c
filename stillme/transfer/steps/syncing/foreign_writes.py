"""Settling what somebody else wrote in PostgreSQL, for a file that is followed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from django.db import transaction

from stillme.transfer.scratch import scratch_folder
from stillme.transfer.sqlite.capture import ChangeLog
from stillme.transfer.sqlite.capture.log import collapse
from stillme.transfer.sqlite.snapshot import take_snapshot
from stillme.transfer.steps.merging.foreign import MOST, Restored, adopt_equal, foreign_writers
from stillme.transfer.steps.rows.job import TableSource
from stillme.transfer.steps.syncing import states
from stillme.transfer.steps.syncing.live_file import LiveFile
from stillme.transfer.steps.syncing.replay import key_text

_ALL = 10_000_000


def settle_foreign(
    alias: str, live: LiveFile, between: Callable[[], None] = lambda: None
) -> dict[str, list[str]]:
    """Adopt foreign rows that are equal to the file's; note and return the keys of the others.

    The caller holds the writer's lock and replays nothing meanwhile. `between` is called between
    two ranges. In a database that was restored from a dump this reads every row again.
    """
    stand = states.standing(alias, live.file.name)
    known: dict[str, list[str]] = stand.details.get("foreign") or {}
    others: dict[str, list[str]] = {}
    if any(foreign_writers(alias, mapping) for mapping in live.mappings.values()):
        others = _compare(alias, live, stand, known, between)
    found = {table: keys for table, keys in others.items() if keys}
    if found or known or "restored" in stand.details:
        short = {table: keys[:MOST] for table, keys in found.items()}
        with transaction.atomic(using=alias):
            states.note(alias, live.file.name, foreign=short or None, restored=None)
    return found


def _compare(
    alias: str,
    live: LiveFile,
    stand: states.Standing,
    known: dict[str, list[str]],
    between: Callable[[], None],
) -> dict[str, list[str]]:
    others = {}
    upto = stand.details.get("restored")
    with scratch_folder("compare") as folder:
        snapshot = take_snapshot(live.file.name, live.file.path, folder)
        connection = snapshot.open()
        try:
            changes = collapse(ChangeLog(connection).after(stand.position, _ALL))
            for table, source in live.tables.items():
                pending = {key_text(k) or "" for k in changes.get(source.job.mapping.table, ())}
                foreign = frozenset(known.get(table, ()))
                others[table] = adopt_equal(
                    alias,
                    TableSource(replace(source.job, snapshot=snapshot), connection),
                    live.run_id,
                    pending=pending,
                    restored=None if upto is None else Restored(int(upto), foreign),
                    between=between,
                )
        finally:
            connection.close()
    return others
