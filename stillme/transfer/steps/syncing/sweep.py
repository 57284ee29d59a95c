"""The sweep: digests of key ranges find rows that were written without capture.

A snapshot is taken, and the target brought to its last change. A range of 10,000 keys that no
replay touched since the last sweep must have the digest it had then; a range that was touched is
compared with the target row by row. The snapshot holds its own change log, so what the application
writes during the sweep is known, and is not taken for a bypass.
"""

from __future__ import annotations

import hashlib
import marshal
import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from django.db import transaction

from stillme.transfer import kinds
from stillme.transfer.findings import Finding, FindingKind
from stillme.transfer.identity import TableId
from stillme.transfer.keys import whole_keys
from stillme.transfer.mapping import TableMapping
from stillme.transfer.models_sync import RangeDigest
from stillme.transfer.scratch import scratch_folder
from stillme.transfer.sqlite.capture import ChangeLog
from stillme.transfer.sqlite.capture.log import collapse
from stillme.transfer.sqlite.connect import quoted
from stillme.transfer.sqlite.ranges import KeyRange, key_ranges
from stillme.transfer.sqlite.snapshot import Snapshot, take_snapshot
from stillme.transfer.steps.merging.compare import compare_keys, compare_range
from stillme.transfer.steps.merging.foreign import foreign_among
from stillme.transfer.steps.rows.job import TableSource
from stillme.transfer.steps.syncing import states
from stillme.transfer.steps.syncing.live_file import LiveFile
from stillme.transfer.steps.syncing.replay import key_text, replay_round

RANGE_ROWS = 10_000
_MOST_KEYS = 100


@dataclass(frozen=True, slots=True)
class Swept:
    """The outcome for one file. `bypassed` is declared table -> keys that differ.

    `schema_version` is the file's at the moment of the snapshot; `snapshot` is the copy that was
    swept, which stays where the caller named a folder for it.
    """

    file: str
    ranges: int
    compared: int
    bypassed: dict[str, list[str]]
    schema_version: int
    snapshot: Snapshot

    def findings(self) -> list[Finding]:
        """One finding per key, clipped per table."""
        return [
            Finding(FindingKind.DIGEST, f"{self.file}:{table}", key, note=_NOTE)
            for table, keys in self.bypassed.items()
            for key in keys[:_MOST_KEYS]
        ]


_NOTE = "written without capture: a restored file, or a writer with triggers off"


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
        connection = snapshot.open()
        try:
            log = ChangeLog(connection)
            # What was copied is what was followed: nothing of another file is compared.
            live.check_history(states.standing(alias, live.file.name).position, log)
            last = log.last()
            _replay_until(alias, live, last)
            swept = Swept(live.file.name, 0, 0, {}, version, snapshot)
            for table, source in live.tables.items():
                job = replace(source.job, snapshot=snapshot)
                swept = _sweep_table(
                    alias, live, TableSource(job, connection), table, last, swept, between
                )
            return swept
        finally:
            connection.close()


def _replay_until(alias: str, live: LiveFile, last: int) -> None:
    """Replay what the snapshot has, and no more."""
    while (position := states.standing(alias, live.file.name).position) < last:
        found = live.look(position, last - position)
        if not found.changes:
            return
        replay_round(alias, live, found)


def _sweep_table(
    alias: str,
    live: LiveFile,
    source: TableSource,
    table: str,
    last: int,
    swept: Swept,
    between: Callable[[], None],
) -> Swept:
    mapping = source.job.mapping
    if mapping.key is None:
        return swept
    known = {d.number: d for d in mapping.identity.of(RangeDigest.objects.using(alias))}
    bounds = _joined_bounds(known)
    ranges = key_ranges(source.connection, mapping, RANGE_ROWS, bounds)
    compared, suspects = 0, []
    fresh: list[RangeDigest] = []
    for key_range in ranges:
        between()
        digest, rows = range_digest(source.connection, mapping, key_range)
        old = known.get(key_range.number)
        same_bounds = old is not None and (old.after, old.upto) == (key_range.after, key_range.upto)
        if not (same_bounds and old and not old.dirty and old.digest == digest):
            compared += 1
            suspects += compare_range(alias, source, key_range)
        fresh.append(
            RangeDigest(
                file=mapping.file,
                table=table,
                number=key_range.number,
                after=key_range.after,
                upto=key_range.upto,
                digest=digest,
                rows=rows,
            )
        )
    bypassed = _without_pending(alias, live, mapping, suspects, last) if suspects else []
    _store(alias, mapping.identity, fresh, bypassed=bool(bypassed))
    found = {**swept.bypassed, **({table: bypassed} if bypassed else {})}
    return replace(
        swept,
        ranges=swept.ranges + len(ranges),
        compared=swept.compared + compared,
        bypassed=found,
    )


def _joined_bounds(known: dict[int, RangeDigest]) -> tuple[int | str | None, ...]:
    ordered = [known[number] for number in sorted(known)]
    return tuple(d.upto for d in ordered if d.upto is not None)


def _without_pending(
    alias: str, live: LiveFile, mapping: TableMapping, suspects: Sequence[str], last: int
) -> list[str]:
    """The keys that still differ when asked again, without those that were captured since.

    The target may be ahead of the snapshot; a child that came back with its parent is, too.
    """
    present = compare_keys(alias, live.tables[mapping.declared_table], _typed(mapping, suspects))
    pending = collapse(live.log.after(last, 10_000_000)).get(mapping.table, [])
    later = {key_text(key) for key in pending}
    # A foreign row is named as such, not as a bypass.
    later |= set(foreign_among(alias, mapping, present))
    return [key for key in present if key not in later]


def _typed(mapping: TableMapping, keys: Sequence[str]) -> Sequence[int | str]:
    assert mapping.key is not None
    return whole_keys(keys) if isinstance(mapping.key.kind, kinds.Key) else list(keys)


def _store(alias: str, table: TableId, fresh: Sequence[RangeDigest], *, bypassed: bool) -> None:
    """Note what the next sweep compares with. After a bypass it compares every row."""
    for digest in fresh:
        digest.dirty = bypassed
    with transaction.atomic(using=alias):
        table.of(RangeDigest.objects.using(alias)).delete()
        RangeDigest.objects.using(alias).bulk_create(fresh)


def range_digest(
    connection: sqlite3.Connection, mapping: TableMapping, key_range: KeyRange
) -> tuple[str, int]:
    """(digest of every stored value with its storage class, rows) of a range."""
    assert mapping.key is not None
    names = [quoted(c.legacy) for c in mapping.columns] + [quoted(n) for n in mapping.extra]
    classes = " || ".join(f"substr(typeof({name}), 1, 1)" for name in names)
    # Text as bytes: what is not UTF-8 has a digest too.
    cells = ", ".join(
        f"CASE typeof({name}) WHEN 'text' THEN CAST({name} AS BLOB) ELSE {name} END"
        for name in names
    )
    key = quoted(mapping.key.legacy)
    where, values = key_range.where(key, nulls=not mapping.key_is_rowid)
    digest = hashlib.blake2b(digest_size=16)
    rows = 0
    for row in connection.execute(
        f"SELECT {classes}, {cells} FROM {quoted(mapping.table)} WHERE {where} ORDER BY {key}",
        values,
    ):
        # Version 2 has no back references, so equal rows give equal bytes.
        digest.update(marshal.dumps(row, 2))
        rows += 1
    return digest.hexdigest(), rows
