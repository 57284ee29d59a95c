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
from dataclasses import dataclass, field, replace
from pathlib import Path

from django.db import transaction

from stillme.transfer.findings import Finding, FindingKind
from stillme.transfer.identity import TableId
from stillme.transfer.keys import Key, bound_from_json, bound_to_json, spelled_keys
from stillme.transfer.mapping import TableMapping
from stillme.transfer.models import RangeDigest
from stillme.transfer.plumbing.scratch import scratch_folder
from stillme.transfer.sqlite.capture import ChangeLog
from stillme.transfer.sqlite.capture.log import collapse
from stillme.transfer.sqlite.copying.snapshot import Snapshot, take_snapshot
from stillme.transfer.sqlite.reading.connect import quoted
from stillme.transfer.sqlite.reading.key_ranges import KeyRange, key_ranges
from stillme.transfer.steps.merging.differing_keys import compare_keys, compare_range
from stillme.transfer.steps.merging.foreign import foreign_among
from stillme.transfer.steps.replaying.replay import replay_round
from stillme.transfer.steps.rows.table_source import TableSource
from stillme.transfer.steps.syncing import file_states
from stillme.transfer.steps.syncing.live_file import LiveFile

RANGE_ROWS = 10_000
_MOST_KEYS = 100


@dataclass(slots=True)
class Swept:
    """The outcome for one file. `bypassed` is declared table -> keys that differ.

    `schema_version` is the file's at the moment of the snapshot; `snapshot` is the copy that was
    swept, which stays where the caller named a folder for it.
    """

    file: str
    schema_version: int
    snapshot: Snapshot
    ranges: int = 0
    compared: int = 0
    bypassed: dict[str, list[str]] = field(default_factory=dict)

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
            live.check_history(file_states.standing(alias, live.file.name).position, log)
            last = log.last()
            _replay_until(alias, live, last)
            sweep = _Sweep(alias, live, last, Swept(live.file.name, version, snapshot), between)
            for source in live.tables.values():
                job = replace(source.job, snapshot=snapshot)
                sweep.table(TableSource(job, connection))
            return sweep.swept
        finally:
            connection.close()


def _replay_until(alias: str, live: LiveFile, last: int) -> None:
    """Replay what the snapshot has, and no more."""
    while (position := file_states.standing(alias, live.file.name).position) < last:
        found = live.look(position, last - position)
        if not found.changes:
            return
        replay_round(alias, live, found)


class _Sweep:
    """The tables of one file, one after the other; `last` is the snapshot's last change."""

    def __init__(
        self, alias: str, live: LiveFile, last: int, swept: Swept, between: Callable[[], None]
    ) -> None:
        self._alias = alias
        self._live = live
        self._last = last
        self._between = between
        self.swept = swept

    def table(self, source: TableSource) -> None:
        """Sweep one table of the snapshot."""
        mapping = source.job.mapping
        if not mapping.key_columns:
            return
        known = {d.number: d for d in mapping.identity.of(RangeDigest.objects.using(self._alias))}
        ranges = key_ranges(source.connection, mapping, RANGE_ROWS, _joined_bounds(known))
        suspects: list[str] = []
        fresh = []
        for key_range in ranges:
            self._between()
            now = _read_range(source, key_range)
            if not _is_as_before(known.get(key_range.number), now):
                self.swept.compared += 1
                suspects += compare_range(self._alias, source, key_range)
            fresh.append(now)
        bypassed = (
            _without_pending(self._alias, self._live, mapping, suspects, self._last)
            if suspects
            else []
        )
        _store(self._alias, mapping.identity, fresh, bypassed=bool(bypassed))
        self.swept.ranges += len(ranges)
        if bypassed:
            self.swept.bypassed[mapping.declared_table] = bypassed


def _read_range(source: TableSource, key_range: KeyRange) -> RangeDigest:
    mapping = source.job.mapping
    digest, rows = range_digest(source.connection, mapping, key_range)
    return RangeDigest(
        file=mapping.file,
        table=mapping.declared_table,
        number=key_range.number,
        after=bound_to_json(key_range.after),
        upto=bound_to_json(key_range.upto),
        digest=digest,
        rows=rows,
    )


def _is_as_before(old: RangeDigest | None, now: RangeDigest) -> bool:
    """Whether no replay touched the range, and its rows are those of the last sweep."""
    if old is None or old.dirty:
        return False
    return (old.after, old.upto, old.digest) == (now.after, now.upto, now.digest)


def _joined_bounds(known: dict[int, RangeDigest]) -> list[Key]:
    bounds = [bound_from_json(known[number].upto) for number in sorted(known)]
    return [bound for bound in bounds if bound is not None]


def _without_pending(
    alias: str, live: LiveFile, mapping: TableMapping, suspects: Sequence[str], last: int
) -> list[str]:
    """The keys that still differ when asked again, without those that were captured since.

    The target may be ahead of the snapshot; a child that came back with its parent is, too.
    """
    keys = mapping.key_columns.parsed(suspects)
    present = compare_keys(alias, live.tables[mapping.declared_table], keys)
    pending = collapse(live.log.after(last, 10_000_000)).get(mapping.table, [])
    later = set(spelled_keys(pending))
    # A foreign row is named as such, not as a bypass.
    later |= set(foreign_among(alias, mapping, present))
    return [key for key in present if key not in later]


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
    names = [quoted(c.legacy) for c in mapping.columns] + [quoted(n) for n in mapping.extra]
    classes = " || ".join(f"substr(typeof({name}), 1, 1)" for name in names)
    # Text as bytes: what is not UTF-8 has a digest too.
    cells = ", ".join(
        f"CASE typeof({name}) WHEN 'text' THEN CAST({name} AS BLOB) ELSE {name} END"
        for name in names
    )
    where, values = key_range.where(mapping)
    digest = hashlib.blake2b(digest_size=16)
    rows = 0
    for row in connection.execute(
        f"SELECT {classes}, {cells} FROM {quoted(mapping.table)} WHERE {where} "
        f"ORDER BY {mapping.key_columns.legacy()}",
        values,
    ):
        # Version 2 has no back references, so equal rows give equal bytes.
        digest.update(marshal.dumps(row, 2))
        rows += 1
    return digest.hexdigest(), rows
