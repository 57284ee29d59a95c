"""The sweep: every row of a snapshot is compared with the target.

It finds rows that were written without capture, and rows that somebody deleted in the target. A
snapshot is taken, and the target brought to its last change. The snapshot holds its own change log,
so what the application writes during the sweep is known, and is not taken for a bypass.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path

from stillme.transfer.keys import spelled_keys
from stillme.transfer.mapping import TableMapping
from stillme.transfer.plumbing.scratch import scratch_folder
from stillme.transfer.sqlite.capture import ChangeLog
from stillme.transfer.sqlite.capture.log import collapse
from stillme.transfer.sqlite.copying.snapshot import Snapshot, take_snapshot
from stillme.transfer.steps.merging.differing_keys import compare_keys, compare_table
from stillme.transfer.steps.merging.foreign import foreign_among
from stillme.transfer.steps.replaying.replay import replay_round
from stillme.transfer.steps.rows.table_source import TableSource
from stillme.transfer.steps.syncing.live_file import LiveFile


@dataclass(slots=True)
class Swept:
    """The outcome for one file. `bypassed` is declared table -> keys that differ.

    `schema_version` is the file's at the moment of the snapshot; `snapshot` is the copy that was
    swept, which stays where the caller named a folder for it.
    """

    file: str
    schema_version: int
    snapshot: Snapshot
    bypassed: dict[str, list[str]] = field(default_factory=dict)


def sweep_file(
    alias: str,
    live: LiveFile,
    between: Callable[[], None] = lambda: None,
    directory: Path | None = None,
) -> Swept:
    """Sweep one followed file; the caller holds the follower's lock.

    `between` is called between two ranges. It may replay, but must leave the change log whole.
    The snapshot stays in `directory`, if one is given. Raises StateError where the file is not
    the one that is followed.
    """
    with scratch_folder("sweep") as folder:
        live.refresh()
        live.check_place()
        version = live.schema_version
        snapshot = take_snapshot(live.file.name, live.file.path, directory or folder)
        swept = Swept(live.file.name, version, snapshot)
        with closing(snapshot.open()) as connection:
            log = ChangeLog(connection)
            # What was copied is what was followed: nothing of another file is compared.
            live.check_history(log, live.standing())
            last = log.last()
            _replay_until(alias, live, last)
            for table, source in live.tables.items():
                copy = TableSource(replace(source.job, snapshot=snapshot), connection)
                suspects = compare_table(alias, copy, between)
                found = _without_pending(alias, live, source.job.mapping, suspects, last)
                if found:
                    swept.bypassed[table] = found
    return swept


def _replay_until(alias: str, live: LiveFile, last: int) -> None:
    """Replay what the snapshot has, and no more."""
    while (left := last - live.standing().position) > 0:
        found = live.look(left)
        if not found.changes:
            return
        replay_round(alias, live, found)


def _without_pending(
    alias: str, live: LiveFile, mapping: TableMapping, suspects: Sequence[str], last: int
) -> list[str]:
    """The keys that still differ when asked again, without those that were captured since.

    The target may be ahead of the snapshot; a child that came back with its parent is, too.
    """
    if not suspects:
        return []
    keys = mapping.key_columns.parsed(suspects)
    present = compare_keys(alias, live.tables[mapping.declared_table], keys)
    pending = collapse(live.log.after(last, 10_000_000), [mapping]).get(mapping.table, [])
    # A foreign row is named as such, not as a bypass.
    known = {*spelled_keys(pending), *foreign_among(alias, mapping, present)}
    return [key for key in present if key not in known]
