"""Both tables once more as a whole, by a way that no key and no index has a part in.

The rows are compared key range by key range. A range is found through an index, and an index can
miss rows or hold stale entries: on the legacy side that of a text key, on the target side that of
the primary key. So both tables are counted by a full scan, and each index is held against it.

Example: somebody broke the primary key's index, and every row of the table was inserted again.
Read by key there are 1,000 rows, in the table there are 2,000.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from typing import Any

from django.db import connections, transaction

from stillme.postgresql.statements import set_local
from stillme.transfer.findings import Finding, FindingKind
from stillme.transfer.mapping import TableMapping
from stillme.transfer.sqlite.reading.connect import quoted
from stillme.transfer.verify.result import TableProof
from stillme.transfer.verify.sides.target_table import select_all
from stillme.transfer.verify.tables.table_judge import TableCase

_MOST_NAMED = 20
_MOST_LISTED = 1_000_000
# Without these a table is scanned, and without those it is read in the order of its index.
_DIGESTS = {
    "bigint": "hashint8extended",
    "text": "hashtextextended",
    "uuid": "uuid_hash_extended",
}
_BY_INDEX = ("enable_indexscan", "enable_indexonlyscan", "enable_bitmapscan")
_BY_SCAN = ("enable_seqscan", "enable_bitmapscan", "enable_sort", "enable_incremental_sort")


def check_whole_tables(alias: str, case: TableCase, proof: TableProof) -> Iterator[Finding]:
    """What a full scan of either side says otherwise than the comparison by key."""
    yield from _legacy(case, proof)
    yield from _target(alias, case.mapping)


def _legacy(case: TableCase, proof: TableProof) -> Iterator[Finding]:
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
    if rows != proof.legacy_rows or lost:
        found = f"{proof.legacy_rows:,} compared, {lost:,} not to be found by their key"
        note = "the legacy file is damaged: `manage.py backup_sqlite` says what can still be read"
        yield Finding(
            FindingKind.CONSERVATION, mapping.target, None, f"{rows:,} legacy rows", found, note
        )


def _target(alias: str, mapping: TableMapping) -> Iterator[Finding]:
    connection = connections[alias]
    if not mapping.key_columns:
        return
    keys = mapping.key_columns
    key = keys.target_names()
    digest = _DIGESTS[keys.columns[0].kind.key_type if keys.is_single else "text"]
    text = key if len(keys.columns) == 1 else keys.target_text()
    sums = f"SELECT count(*), sum({digest}({text}, 0)), count(*) - count({text}) FROM"
    ordered = f"(SELECT {key} FROM {mapping.relation} ORDER BY {key} OFFSET 0) AS ordered"
    is_alone = not connection.in_atomic_block
    with transaction.atomic(using=alias):
        if is_alone:
            # Writers may be at work: both scans see one moment.
            select_all(alias, ["SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"])
        scanned = _planned(alias, _BY_INDEX, f"{sums} {mapping.relation}")[0]
        by_index = _planned(alias, _BY_SCAN, f"{sums} {ordered}")[0]
        if scanned != by_index:
            yield from _different(alias, mapping, scanned[0], by_index[0])
    if scanned[2]:
        found = f"{scanned[2]:,} rows without a key"
        yield Finding(FindingKind.EXTRA_ROW, mapping.target, None, "none", found)


def _different(alias: str, mapping: TableMapping, scanned: int, by_index: int) -> Iterator[Finding]:
    """The primary key's index does not lead to the rows that the table has."""
    keys = mapping.key_columns
    where = f"{mapping.target}:{', '.join(keys.targets)}"
    yield Finding(
        FindingKind.INDEX,
        where,
        None,
        f"{scanned:,} rows by a full scan",
        f"{by_index:,} rows by the primary key's index, or rows with other keys",
        "REINDEX the table, then run verify_migration again: it compares the rows",
    )
    if scanned > _MOST_LISTED:
        return
    key = keys.target_names()
    ordered = f"(SELECT {key} FROM {mapping.relation} ORDER BY {key} OFFSET 0) AS ordered"
    names = f"SELECT {keys.target_text()} FROM {ordered}"
    there = Counter(row[0] for row in _planned(alias, _BY_INDEX, names))
    found = Counter(row[0] for row in _planned(alias, _BY_SCAN, names))
    both = sorted((there - found).items())[:_MOST_NAMED] + sorted((found - there).items())
    for each, _ in both[: 2 * _MOST_NAMED]:
        yield Finding(
            FindingKind.INDEX,
            where,
            each,
            f"{there[each]} rows by a full scan",
            f"{found[each]} by the index",
        )
        if there[each] > found[each]:
            note = "a row that the primary key's index does not know"
            yield Finding(FindingKind.EXTRA_ROW, mapping.target, each, "no row", "a row", note)


def _planned(alias: str, off: tuple[str, ...], sql: str) -> list[tuple[Any, ...]]:
    """The rows of a query, some ways of the planner switched off for it."""
    set_local(connections[alias], dict.fromkeys(off, "off"))
    found = select_all(alias, [sql])[0]
    # Inside a caller's transaction they would stay.
    set_local(connections[alias], dict.fromkeys(off))
    return found
