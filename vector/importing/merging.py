"""A batch of converted rows into `vector.items`: straight in, or merged with what is there.

Runs in the caller's transaction and leaves everything that belongs to the batch in it: rows, the
originals of repaired cells, quarantined rows (law 5).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from django.db import connections
from django.utils import timezone

from stillme.postgresql.statements import execute, fetch_all
from stillme.transfer.errors import TransferError
from stillme.transfer.identity import OF_TABLE
from stillme.transfer.models import KeptCell, QuarantinedRow
from stillme.transfer.postgresql.distributed import staged_for
from stillme.transfer.records.outcome import MOST_KEYS, Outcome
from vector import chroma, models
from vector.importing.binary_rows import COLUMNS, COPY_HEADER, COPY_TRAILER
from vector.importing.conversion import Ready, jsonable, original, original_json
from vector.names import COLLECTIONS, FILE

ITEMS = '"vector"."items"'
STAGE = "vector_stage"
_BATCH = 500
_BLOCK = 1 << 18
_NAMES = ", ".join(COLUMNS)
_VALUES = COLUMNS[2:]
# Bits, not values: jsonb equality takes 1 for 1.0, an array's -0.0 for 0.0. An exact vector is
# not given up for the segment's approximation of it, when Chroma has purged its queue meanwhile.
_PURGED = (
    "(s.origin = 'segment_cosine' AND t.origin = 'queue' AND s.legacy_seq_id = t.legacy_seq_id)"
)
_DIFFERS = (
    "((s.document, s.metadata::text, s.created_at, s.legacy_seq_id) IS DISTINCT FROM "
    "(t.document, t.metadata::text, t.created_at, t.legacy_seq_id) OR (NOT "
    f"{_PURGED} AND (array_send(s.embedding), s.origin) IS DISTINCT FROM "
    "(array_send(t.embedding), t.origin)))"
)
# A row written by somebody else than the import has an xmin that no mark knows.
OURS = "(t.xmin::text::bigint IN (SELECT mod(xid, 4294967296) FROM transfer.write_mark))"


def write_merged(
    alias: str, table: str, rows: Iterable[Ready], outcome: Outcome, *, overwrite: bool
) -> None:
    """Insert what is new, update what changed, leave alone what the target side changed."""
    connection = connections[alias]
    execute(connection, f"DROP TABLE IF EXISTS pg_temp.{STAGE}")
    execute(
        connection,
        f"CREATE TEMPORARY TABLE {STAGE} ON COMMIT DROP AS SELECT {_NAMES} FROM {ITEMS} "
        "WITH NO DATA",
    )
    copy_rows(alias, f"pg_temp.{STAGE}", rows)
    execute(connection, f"ANALYZE pg_temp.{STAGE}")
    _forget_old(alias, table)
    table_of_items = staged_for(connection, ITEMS, STAGE, COLUMNS[:2])
    whose = OURS if table_of_items.is_near else "FALSE"
    allowed = "TRUE" if overwrite else whose
    conflicts = fetch_all(
        connection,
        f"SELECT s.embedding_id FROM {STAGE} AS s JOIN {table_of_items.present()} AS t "
        f"ON {table_of_items.same_row} WHERE {_DIFFERS} AND NOT {allowed} ORDER BY 1",
    )
    outcome.conflict_count += len(conflicts)
    outcome.conflicts = (outcome.conflicts + [row[0] for row in conflicts])[:MOST_KEYS]
    outcome.updated += table_of_items.update(_VALUES, f"{_DIFFERS} AND {allowed}", [])
    outcome.inserted += table_of_items.insert(COLUMNS)


def copy_rows(alias: str, relation: str, rows: Iterable[Ready]) -> int:
    """Send rows in blocks, so that the server parses one while the next is made; how many."""
    statement = f"COPY {relation} ({_NAMES}) FROM STDIN (FORMAT binary)"
    count, block, size = 0, [COPY_HEADER], 0
    with connections[alias].cursor() as cursor, cursor.copy(statement) as copy:
        for row in rows:
            count += 1
            size += len(row.row)
            block.append(row.row)
            if size > _BLOCK:
                copy.write(b"".join(block))
                block, size = [], 0
        copy.write(b"".join([*block, COPY_TRAILER]))
    return count


def _forget_old(alias: str, table: str) -> None:
    """Kept cells of staged rows are written again; their quarantine entries are resolved."""
    staged = f"SELECT s.embedding_id FROM {STAGE} AS s"
    execute(
        connections[alias],
        f"DELETE FROM {KeptCell._meta.db_table} WHERE {OF_TABLE} AND key IN ({staged})",
        [FILE, table],
    )
    execute(
        connections[alias],
        f"UPDATE {QuarantinedRow._meta.db_table} SET status = 'repaired', decided_at = now(), "
        f"note = 'The legacy row loads now.' WHERE {OF_TABLE} AND key IN ({staged}) "
        "AND status <> 'repaired'",
        [FILE, table],
    )


def keep_cells(alias: str, table: str, run_id: int | None, rows: Sequence[Ready]) -> None:
    """The originals of repaired cells, next to the rows."""
    cells = [cell for row in rows for cell in row.kept]
    for cell in cells:
        cell.run_id = run_id
    if cells:
        keys = {cell.key for cell in cells}
        KeptCell.objects.using(alias).filter(file=FILE, table=table, key__in=keys).delete()
        KeptCell.objects.using(alias).bulk_create(cells, batch_size=_BATCH)


def set_aside(
    alias: str, table: str, run_id: int | None, records: Sequence[QuarantinedRow]
) -> None:
    """Quarantine rows. One that is there with the same cells keeps its state and decision."""
    rows = QuarantinedRow.objects.using(alias).filter(file=FILE, table=table)
    keyed = rows.filter(key__in=[record.key for record in records if record.key is not None])
    known = {_identity(row): row for row in [*keyed, *rows.filter(key=None)]}
    fresh = []
    for record in records:
        record.run_id = run_id
        old = known.get(_identity(record))
        if old is None:
            fresh.append(record)
        elif (old.cells, old.reason) != (record.cells, record.reason) or old.status == "repaired":
            record.pk, record.created_at = old.pk, timezone.now()
            record.save(using=alias, force_update=True)
    QuarantinedRow.objects.using(alias).bulk_create(fresh, batch_size=_BATCH)


def _identity(record: QuarantinedRow) -> tuple[str | None, int | None]:
    return record.key, record.rowid if record.key is None else None


def write_collection(alias: str, collection: chroma.Collection, run_id: int | None) -> int:
    """Insert or update the collection's own row; its primary key."""
    metadata, reason = jsonable(collection.metadata)
    if metadata is None:
        raise TransferError(
            f"The collection {collection.name} has metadata keys that differ only in what "
            "PostgreSQL cannot hold: rename one in the vector store."
        )
    where = {
        "tenant": collection.tenant,
        "database": collection.database,
        "name": collection.name,
    }
    values = {
        **where,
        "dimension": collection.dimension,
        "metric": collection.metric.value,
        "metadata": metadata,
        "configuration": collection.configuration,
        "schema": collection.schema,
    }
    # The legacy has no time for a collection, so the default "now" must not step in.
    row, _ = models.Collection.objects.using(alias).update_or_create(
        uuid=collection.id, defaults=values, create_defaults={**values, "created_at": None}
    )
    kept = KeptCell.objects.using(alias).filter(file=FILE, table=COLLECTIONS, key=collection.id)
    kept.delete()
    if reason:
        text = original_json(collection.metadata)
        cell = original(COLLECTIONS, collection.id, "metadata", text, reason)
        cell.run_id = run_id
        cell.save(using=alias)
    return int(row.pk)
