"""From the stage into the target: insert what is new, update what changed, no more."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.db import connections

from stillme.transfer import kinds
from stillme.transfer.identity import OF_TABLE
from stillme.transfer.mapping import TableMapping
from stillme.transfer.models import KeptCell, QuarantinedRow
from stillme.transfer.postgresql.copy import STAGE, copy_over, execute, fetch_all, quoted
from stillme.transfer.steps.merging import image
from stillme.transfer.steps.merging.difference import merged_columns, rows_differ
from stillme.transfer.steps.merging.merged import Merged
from stillme.transfer.steps.rows.job import TableJob
from stillme.transfer.steps.rows.outcome import MOST_KEYS

# A row written by somebody else than the engine has an xmin that no mark knows.
# Correlated, so that few rows ask the index on the expression: a follower leaves a mark a round.
OURS = (
    "EXISTS (SELECT 1 FROM transfer.write_mark AS w "
    "WHERE mod(w.xid, 4294967296) = t.xmin::text::bigint)"
)


def merge_stage(
    alias: str, job: TableJob, merged: Merged, within: tuple[str, list[int | str]] = ("TRUE", [])
) -> None:
    """Insert and update from the stage; rows that the target side changed are left alone.

    `within` is a condition on the target `t`, with its parameters, that holds for every staged
    key: it spares the server a look at the whole table.
    """
    condition, values = within
    connection = connections[alias]
    mapping = job.mapping
    assert mapping.key is not None
    key = quoted(mapping.key.target)
    elsewhere = image.is_elsewhere(alias, mapping)
    present = image.staged_to_read(alias, mapping)
    allowed = "TRUE" if job.overwrite else "FALSE" if elsewhere else OURS
    # Compared once; few rows differ as a rule, and those are found again by their key.
    changed = fetch_all(
        connection,
        f"SELECT s.{key}, {allowed} FROM {STAGE} AS s JOIN {present} AS t ON t.{key} = s.{key} "
        f"WHERE {condition} AND {rows_differ(mapping)} ORDER BY s.{key}::text FOR UPDATE OF t",
        values,
    )
    conflicts = [str(name) for name, ours in changed if not ours]
    merged.outcome.conflict_count += len(conflicts)
    merged.outcome.conflicts += conflicts[:MOST_KEYS]
    _forget_old(alias, job, key)
    to_update = [name for name, ours in changed if ours]
    if to_update:
        merged.outcome.updated += _update(alias, mapping, to_update, elsewhere=elsewhere)
    columns = [quoted(name) for name in mapping.target_columns]
    new = (
        f"SELECT {', '.join(f's.{name}' for name in columns)} FROM {STAGE} AS s WHERE NOT EXISTS "
        f"(SELECT 1 FROM {present} AS t WHERE t.{key} = s.{key}"
    )
    if elsewhere:
        # The image holds the rows of the staged keys and no others.
        merged.outcome.inserted += copy_over(
            connection, f"{new})", mapping.relation, mapping.target_columns
        )
        return
    insert = f"INSERT INTO {mapping.relation} ({', '.join(columns)}) {new} AND {condition})"
    merged.outcome.inserted += execute(connection, insert, values)


def _update(alias: str, mapping: TableMapping, keys: Sequence[Any], *, elsewhere: bool) -> int:
    """Give target rows their staged values."""
    assert mapping.key is not None
    key = quoted(mapping.key.target)
    chosen = f"s.{key} = ANY(%s)"
    if elsewhere:
        return image.update_rows(
            connections[alias], mapping.relation, STAGE, [mapping.key.target],
            merged_columns(mapping), chosen, [list(keys)],
        )  # fmt: skip
    settings = ", ".join(f"{name} = s.{name}" for name in map(quoted, merged_columns(mapping)))
    return execute(
        connections[alias],
        f"UPDATE {mapping.relation} AS t SET {settings} FROM {STAGE} AS s "
        f"WHERE t.{key} = s.{key} AND {chosen}",
        [list(keys)],
    )


def _forget_old(alias: str, job: TableJob, key: str) -> None:
    """Kept cells of staged rows are written anew; their quarantine entries are resolved.

    Not those of rows whose own key no staged row can have: a blob that reads like it, say.
    """
    connection = connections[alias]
    assert job.mapping.key is not None
    is_text = isinstance(job.mapping.key.kind, kinds.TextKey)
    storages = ["text", "integer", "real"] if is_text else ["integer"]
    staged = f"SELECT s.{key}::text FROM {STAGE} AS s"
    execute(
        connection,
        f"DELETE FROM {KeptCell._meta.db_table} WHERE {OF_TABLE} AND key IN ({staged})",
        job.mapping.identity,
    )
    execute(
        connection,
        f"UPDATE {QuarantinedRow._meta.db_table} SET status = 'repaired', decided_at = now(), "
        f"note = 'The legacy row loads now.' WHERE {OF_TABLE} AND key IN ({staged}) "
        "AND status <> 'repaired' AND coalesce(cells -> %s ->> 0, 'integer') = ANY(%s)",
        [*job.mapping.identity, job.mapping.key.legacy, storages],
    )
