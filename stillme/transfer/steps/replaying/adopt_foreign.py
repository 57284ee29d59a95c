"""Comparing foreign rows with files that are followed, and adopting the equal ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from django.db import transaction

from stillme.transfer.keys import spelled_keys
from stillme.transfer.plumbing.scratch import scratch_folder
from stillme.transfer.sqlite.capture import ChangeLog
from stillme.transfer.sqlite.capture.log import collapse
from stillme.transfer.sqlite.copying.snapshot import take_snapshot
from stillme.transfer.steps.merging.foreign import (
    MOST,
    Compared,
    Restored,
    adopt_equal,
    compare_foreign,
    foreign_writers,
)
from stillme.transfer.steps.rows.table_source import TableSource
from stillme.transfer.steps.syncing import file_states
from stillme.transfer.steps.syncing.live_file import LiveFile

_ALL = 10_000_000


def settle_foreign(
    alias: str, files: Sequence[LiveFile], between: Callable[[], None] = lambda: None
) -> dict[str, list[str]]:
    """Adopt foreign rows that are equal to the files'; note and return the keys of the others.

    All files at once, because one transaction may have written rows of several. The caller holds
    the writer's lock and replays nothing meanwhile. `between` is called between two ranges. In a
    database that was restored from a dump this reads every row again.
    """
    found: dict[str, dict[str, Compared]] = {live.file.name: {} for live in files}
    for live in files:
        if any(foreign_writers(alias, mapping) for mapping in live.mappings.values()):
            found[live.file.name] = _compare(alias, live, between)
    tables = [compared for by_table in found.values() for compared in by_table.values()]
    adopt_equal(alias, files[0].run_id if files else None, tables)
    named: dict[str, list[str]] = {}
    for file, by_table in found.items():
        others = {table: compared.others for table, compared in by_table.items()}
        others = {table: keys for table, keys in others.items() if keys}
        _note(alias, file, others)
        named |= others
    return named


def _note(alias: str, file: str, others: dict[str, list[str]]) -> None:
    details = file_states.standing(alias, file).details
    if others or "foreign" in details or "restored" in details:
        short = {table: keys[:MOST] for table, keys in others.items()}
        with transaction.atomic(using=alias):
            file_states.note(alias, file, foreign=short or None, restored=None)


def _compare(alias: str, live: LiveFile, between: Callable[[], None]) -> dict[str, Compared]:
    stand = file_states.standing(alias, live.file.name)
    known: dict[str, list[str]] = stand.details.get("foreign") or {}
    upto = stand.details.get("restored")
    found = {}
    with scratch_folder("compare") as folder:
        snapshot = take_snapshot(live.file.name, live.file.path, folder)
        connection = snapshot.open()
        try:
            changes = collapse(ChangeLog(connection).after(stand.position, _ALL))
            for table, source in live.tables.items():
                pending = set(spelled_keys(changes.get(source.job.mapping.table, ())))
                foreign = frozenset(known.get(table, ()))
                found[table] = compare_foreign(
                    alias,
                    TableSource(replace(source.job, snapshot=snapshot), connection),
                    pending=pending,
                    restored=None if upto is None else Restored(int(upto), foreign),
                    between=between,
                )
        finally:
            connection.close()
    return found
