"""Count both tables by a full scan, and compare each index of a key with it.

The judge compares rows key range by key range. It finds a range through an index, and an index can
miss rows or hold stale entries: on the legacy side that of a text key, on the target side that of
the primary key.

Example: somebody broke the primary key's index, and every row of the table was inserted again.
Read by key there are 1,000 rows, in the table there are 2,000.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass

from stillme.transfer.findings import Finding, FindingKind
from stillme.transfer.mapping import TableMapping
from stillme.transfer.sqlite.reading.connect import quoted
from stillme.transfer.verify.result import TableProof
from stillme.transfer.verify.tables.index_scans import (
    BY_INDEX,
    BY_SCAN,
    one_moment,
    planned,
)
from stillme.transfer.verify.tables.shard_scans import all_wrong_indexes, check_shard_rows
from stillme.transfer.verify.tables.table_judge import TableCase
from stillme.visible import counted

_MOST_NAMED = 20
_MOST_LISTED = 1_000_000
_DAMAGED = "the legacy file is damaged: `manage.py backup_sqlite` says what can still be read"


@dataclass(frozen=True, slots=True)
class ScannedLegacy:
    """What a full scan of a legacy table tells: its rows, and how many their key does not find."""

    target: str
    rows: int
    lost: int

    def differs(self, proof: TableProof) -> Iterator[Finding]:
        """A finding where the comparison by key says otherwise."""
        if self.rows != proof.legacy_rows or self.lost:
            found = f"{proof.legacy_rows:,} compared, {self.lost:,} not to be found by their key"
            wanted = counted(self.rows, "legacy row")
            yield Finding(FindingKind.CONSERVATION, self.target, None, wanted, found, _DAMAGED)


def scan_legacy_table(case: TableCase) -> ScannedLegacy:
    """Read the table from end to end."""
    mapping = case.mapping
    table = quoted(mapping.table)
    with closing(case.snapshot.open()) as connection:
        (rows,) = connection.execute(f"SELECT count(*) FROM {table} NOT INDEXED").fetchone()
        lost = 0
        keys = mapping.key_columns
        if keys and mapping.has_rowid and not mapping.key_is_rowid:
            same = " AND ".join(f"k.{name} IS t.{name}" for name in map(quoted, keys.names))
            (lost,) = connection.execute(
                f"SELECT count(*) FROM {table} AS t NOT INDEXED WHERE NOT EXISTS "
                f"(SELECT 1 FROM {table} AS k WHERE {same} AND k.rowid = t.rowid)"
            ).fetchone()
    return ScannedLegacy(mapping.target, rows, lost)


def check_target_table(alias: str, mapping: TableMapping) -> Iterator[Finding]:
    """What a full scan of the target table says otherwise than its unique indexes."""
    if not mapping.key_columns:
        return
    key = mapping.key_columns.target_text()
    keyless = f"SELECT count(*) - count({key}) FROM {mapping.relation}"
    primary = ""
    with one_moment(alias):
        yield from check_shard_rows(alias, mapping.relation)
        for wrong in all_wrong_indexes(alias, mapping.relation):
            at = f"{mapping.target}:{', '.join(wrong.index.columns)}".replace('"', "")
            yield wrong.finding(at)
            if wrong.index.is_primary and wrong.scanned <= _MOST_LISTED:
                primary = at
        if primary:
            yield from _different(alias, mapping, primary)
        [(lost,)] = planned(alias, BY_SCAN, keyless)
    if lost:
        found = f"{counted(lost, 'row')} without a key"
        yield Finding(FindingKind.EXTRA_ROW, mapping.target, None, "none", found)


def _different(alias: str, mapping: TableMapping, where: str) -> Iterator[Finding]:
    """The keys that the primary key's index does not lead to, or leads to in vain."""
    keys = mapping.key_columns
    key = keys.target_names()
    ordered = f"(SELECT {key} FROM {mapping.relation} ORDER BY {key} OFFSET 0) AS ordered"
    names = f"SELECT {keys.target_text()} FROM {ordered}"
    there = Counter(row[0] for row in planned(alias, BY_SCAN, names))
    found = Counter(row[0] for row in planned(alias, BY_INDEX, names))
    both = sorted((there - found).items())[:_MOST_NAMED] + sorted((found - there).items())
    for each, _ in both[: 2 * _MOST_NAMED]:
        yield Finding(
            FindingKind.INDEX,
            where,
            each,
            f"{counted(there[each], 'row')} by a full scan",
            f"{found[each]} by the index",
        )
        if there[each] > found[each]:
            note = "a row that the primary key's index does not know"
            yield Finding(FindingKind.EXTRA_ROW, mapping.target, each, "no row", "a row", note)
