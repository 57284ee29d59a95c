"""Rows of the target that somebody else than the engine wrote while the files are in charge.

Before the cut-over PostgreSQL is to be written by the engine alone. The engine notes every
transaction of its own (a write mark), so a row whose `xmin` is in no mark is *foreign*: it is left
as it is, and named. After a dump and restore every row is foreign, as its `xmin` is new.

A foreign row that holds what the file says harms nobody: `adopt_equal` compares, adopts the equal
rows and returns the keys of the others, about which the operator decides.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from django.db import connections, transaction

from stillme.transfer.cluster import WHOLE_XID
from stillme.transfer.mapping import EXTRA_COLUMN, TableMapping
from stillme.transfer.models import WriteMark
from stillme.transfer.postgresql.capture import as_replay
from stillme.transfer.postgresql.copy import execute, fetch_all, quoted
from stillme.transfer.sqlite.ranges import key_ranges
from stillme.transfer.steps.merging import image
from stillme.transfer.steps.merging.compare import compare_range, target_keys
from stillme.transfer.steps.merging.merge_rows import OURS
from stillme.transfer.steps.rows.job import TableSource

MOST = 20
RANGE_ROWS = 10_000


@dataclass(frozen=True, slots=True)
class Restored:
    """What a restored database knows: `upto` is the last transaction that restored the ledger.

    `foreign` are keys that were foreign before the dump was made.
    """

    upto: int
    foreign: frozenset[str] = frozenset()


def foreign_rows(alias: str, mapping: TableMapping) -> list[str]:
    """Keys, some of them, of rows that somebody else wrote last. Reads the whole table."""
    if mapping.key is None:
        return []
    key = quoted(mapping.key.target)
    rows = fetch_all(
        connections[alias],
        f"SELECT t.{key}::text FROM {mapping.relation} AS t WHERE NOT {OURS} "
        f"ORDER BY t.{key} LIMIT {MOST}",
    )
    return [row[0] for row in rows]


def foreign_among(alias: str, mapping: TableMapping, keys: Sequence[str]) -> list[str]:
    """Those of the keys (as text) whose target row somebody else wrote last."""
    return [key for key, _ in _foreign_writers(alias, mapping, keys)]


def foreign_writers(alias: str, mapping: TableMapping) -> list[int]:
    """The transactions (64 bit) of others that wrote rows of the table last; one quick scan."""
    if mapping.key is None or image.is_elsewhere(alias, mapping):
        return []
    rows = fetch_all(
        connections[alias],
        f"SELECT {WHOLE_XID} "
        f"(SELECT DISTINCT xmin::text::bigint AS x FROM {mapping.relation}) AS t "
        "WHERE NOT EXISTS (SELECT 1 FROM transfer.write_mark AS w "
        "WHERE mod(w.xid, 4294967296) = x)",
    )
    return [int(row[0]) for row in rows]


def adopt_equal(
    alias: str,
    source: TableSource,
    run_id: int | None,
    *,
    pending: Collection[str] = (),
    restored: Restored | None = None,
    between: Callable[[], None] = lambda: None,
) -> list[str]:
    """Adopt foreign rows that hold what `source` says; return the keys of all others.

    `source` must not change meanwhile (a snapshot), nor may the engine write the target. The
    writers are listed before anything is compared, so a row written later keeps its own writer.
    Rows in `pending` wait for a replay, so they differ lawfully: in a restored database the
    replay may have those that the restore wrote, unless they were foreign before the dump.
    """
    mapping = source.job.mapping
    writers = foreign_writers(alias, mapping)
    if not writers:
        return []
    differing: list[str] = []
    for key_range in key_ranges(source.connection, mapping, RANGE_ROWS, ()):
        between()
        differing += compare_range(alias, source, key_range)
    others = [
        key
        for key, writer in _foreign_writers(alias, mapping, differing)
        if restored is None
        or key not in pending
        or writer > restored.upto
        or key in restored.foreign
    ]
    _adopt(alias, mapping, writers, others, run_id)
    return others


def _foreign_writers(
    alias: str, mapping: TableMapping, keys: Sequence[str]
) -> list[tuple[str, int]]:
    """(key, writer) of those of the keys whose target row somebody else wrote last."""
    if mapping.key is None or not keys:
        return []
    key = quoted(mapping.key.target)
    rows = fetch_all(
        connections[alias],
        f"SELECT name, {WHOLE_XID} (SELECT t.{key}::text AS name, t.xmin::text::bigint AS x "
        f"FROM {mapping.relation} AS t WHERE t.{key} = ANY(%s) AND NOT {OURS}) AS t ORDER BY 1",
        [target_keys(mapping, keys)],
    )
    return [(str(name), int(writer)) for name, writer in rows]


def _adopt(
    alias: str, mapping: TableMapping, writers: Sequence[int], others: list[str], run_id: int | None
) -> None:
    """Mark the writers as ours; the rows in `others` first get another writer, who is not.

    That writer is this transaction: it leaves no mark. So equal rows are not written at all.
    """
    assert mapping.key is not None
    key, column = quoted(mapping.key.target), quoted(EXTRA_COLUMN)
    with transaction.atomic(using=alias, durable=True):
        as_replay(alias)
        execute(
            connections[alias],
            f"UPDATE {mapping.relation} SET {column} = {column} WHERE {key} = ANY(%s)",
            [target_keys(mapping, others)],
        )
        marks = [WriteMark(xid=writer, run_id=run_id) for writer in writers]
        WriteMark.objects.using(alias).bulk_create(marks, ignore_conflicts=True, batch_size=5_000)


def sentence(table: str, keys: Sequence[str]) -> str:
    """What was found, and what to do."""
    shown = ", ".join(keys[:5]) + (", ..." if len(keys) > 5 else "")
    return (
        f"{table}: rows written in PostgreSQL by somebody else differ from the file ({shown}). "
        f"They are left as they are. {DECIDE}."
    )


DECIDE = (
    "End that writer and stop the follower; then manage.py import_sqlite --overwrite takes the "
    "file's values, and with --prune it also deletes rows that the file does not have"
)
