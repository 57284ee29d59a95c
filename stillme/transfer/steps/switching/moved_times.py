"""The way back may move a legacy file's clock: rows were carried that are evidence of it.

Other rows' local times would be read as other instants then, although nobody touched them. They
are carried too: written so that they read as what the target holds.
"""

from __future__ import annotations

import sqlite3
from dataclasses import replace

from stillme.transfer.conf import time_zone
from stillme.transfer.errors import TransferError
from stillme.transfer.sqlite.clock import Clock, read_clock
from stillme.transfer.steps.rows.job import TableSource
from stillme.transfer.steps.switching.carried import Carried
from stillme.transfer.steps.switching.carry_back import carry_table
from stillme.transfer.steps.switching.written_keys import present_keys
from stillme.transfer.steps.syncing.decisions import Change, clock_difference
from stillme.transfer.steps.syncing.live_file import LiveFile
from stillme.transfer.steps.syncing.read_again import concerned_keys

_ROUNDS = 5


def carry_moved_times(
    alias: str, live: LiveFile, writable: sqlite3.Connection, found: dict[str, Carried]
) -> None:
    """Carry the rows that the file, as `writable` has it, reads otherwise; `found` grows by them.

    Raises TransferError where the clock moves on with every try.
    """
    clock = live.decisions.clock
    for _ in range(_ROUNDS):
        zone, mappings = time_zone(live.file.name), live.mappings
        after = read_clock(writable, mappings.values(), zone, recorded=clock.usual)
        since, everywhere = clock_difference(clock, after)
        if since is None:
            return
        clock = after
        _carry(alias, live, writable, found, clock, Change(since, everywhere))
    raise TransferError(
        f"{live.file.name}: its local times are read otherwise with each row carried back; "
        "PostgreSQL stays in charge: set LEGACY_TIME_ZONE, or use rollback_migration --to-backup."
    )


def _carry(
    alias: str,
    live: LiveFile,
    writable: sqlite3.Connection,
    found: dict[str, Carried],
    clock: Clock,
    change: Change,
) -> None:
    for table, source in live.tables.items():
        concerned = concerned_keys(writable, source.job.mapping, change)
        # What is set aside is not in the target, and stays in the file.
        keys = present_keys(alias, source.job.mapping, concerned) if concerned else []
        if keys:
            through = TableSource(replace(source.job, clock=clock), writable)
            found[table].add(carry_table(alias, through, writable, keys))
