"""The sweep: digests of key ranges find writers that bypassed capture.

A range that no replayed change touched since the last sweep must have the digest it had then. A
range that was touched is compared row by row with the target. Everything is read from a snapshot
that holds its own change log, so what changed since is known and never blamed.
"""

from __future__ import annotations

import hashlib
import marshal
import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from django.db import transaction

from stillme.transfer.findings import Finding, FindingKind
from stillme.transfer.identity import TableId
from stillme.transfer.keys import Key, bound_from_json, bound_to_json, spelled_keys
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
from stillme.transfer.steps.syncing.replay import replay_round

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
    if not mapping.key_columns:
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
        after, upto = map(bound_to_json, (key_range.after, key_range.upto))
        same_bounds = old is not None and (old.after, old.upto) == (after, upto)
        if not (same_bounds and old and not old.dirty and old.digest == digest):
            compared += 1
            suspects += compare_range(alias, source, key_range)
        fresh.append(
            RangeDigest(
                file=mapping.file,
                table=table,
                number=key_range.number,
                after=after,
                upto=upto,
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


def _joined_bounds(known: dict[int, RangeDigest]) -> list[Key]:
    bounds = [bound_from_json(known[number].upto) for number in sorted(known)]
    return [bound for bound in bounds if bound is not None]


def _without_pending(
    alias: str, live: LiveFile, mapping: TableMapping, suspects: Sequence[str], last: int
) -> list[str]:
    """The target may be ahead of the snapshot by what was captured since.

    That includes a child that came back with its parent: so both are asked once more.
    """
    keys = mapping.key_columns.parsed(suspects)
    present = compare_keys(alias, live.tables[mapping.declared_table], keys)
    pending = collapse(live.log.after(last, 10_000_000)).get(mapping.table, [])
    later = set(spelled_keys(pending))
    # Those that somebody wrote in PostgreSQL have a name of their own (foreign writes).
    later |= set(foreign_among(alias, mapping, present))
    return [key for key in present if key not in later]


def _store(alias: str, table: TableId, fresh: Sequence[RangeDigest], *, bypassed: bool) -> None:
    """The new base line. After a bypass there is none: the next sweep compares every row."""
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
