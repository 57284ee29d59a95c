"""From the stage into the target: insert what is new, update what changed, no more."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.db import connections

from stillme.transfer.identity import OF_TABLE
from stillme.transfer.key_columns import Condition
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
    alias: str, job: TableJob, merged: Merged, within: Condition = ("TRUE", [])
) -> None:
    """Insert and update from the stage; rows that the target side changed are left alone.

    `within` is a condition on the target `t`, with its parameters, that holds for every staged
    key: it spares the server a look at the whole table.
    """
    condition, values = within
    connection = connections[alias]
    mapping = job.mapping
    keys = mapping.key_columns
    same = keys.target_same("t", "s")
    elsewhere = image.is_elsewhere(alias, mapping)
    present = image.staged_to_read(alias, mapping)
    allowed = "TRUE" if job.overwrite else "FALSE" if elsewhere else OURS
    # Compared once; few rows differ as a rule, and those are found again by their key.
    changed = fetch_all(
        connection,
        f"SELECT {allowed}, {keys.target_text('s')}, {keys.target('s')} "
        f"FROM {STAGE} AS s JOIN {present} AS t ON {same} "
        f"WHERE {condition} AND {rows_differ(mapping)} ORDER BY 2 FOR UPDATE OF t",
        values,
    )
    conflicts = [name for ours, name, *_ in changed if not ours]
    merged.outcome.conflict_count += len(conflicts)
    merged.outcome.conflicts += conflicts[:MOST_KEYS]
    _forget_old(alias, job)
    to_update = [tuple(key) for ours, _, *key in changed if ours]
    if to_update:
        merged.outcome.updated += _update(alias, mapping, to_update, elsewhere=elsewhere)
    columns = [quoted(name) for name in mapping.target_columns]
    new = (
        f"SELECT {', '.join(f's.{name}' for name in columns)} FROM {STAGE} AS s WHERE NOT EXISTS "
        f"(SELECT 1 FROM {present} AS t WHERE {same}"
    )
    if elsewhere:
        # The image holds the rows of the staged keys and no others.
        merged.outcome.inserted += copy_over(
            connection, f"{new})", mapping.relation, mapping.target_columns
        )
        return
    insert = f"INSERT INTO {mapping.relation} ({', '.join(columns)}) {new} AND {condition})"
    merged.outcome.inserted += execute(connection, insert, values)


def _update(
    alias: str, mapping: TableMapping, keys: Sequence[tuple[Any, ...]], *, elsewhere: bool
) -> int:
    """Give target rows their staged values."""
    chosen, values = mapping.key_columns.target_among(keys, "s")
    if elsewhere:
        return image.update_rows(
            connections[alias], mapping.relation, STAGE, mapping.key_columns.targets,
            merged_columns(mapping), chosen, values,
        )  # fmt: skip
    settings = ", ".join(f"{name} = s.{name}" for name in map(quoted, merged_columns(mapping)))
    return execute(
        connections[alias],
        f"UPDATE {mapping.relation} AS t SET {settings} FROM {STAGE} AS s "
        f"WHERE {mapping.key_columns.target_same('t', 's')} AND {chosen}",
        values,
    )


def _forget_old(alias: str, job: TableJob) -> None:
    """Kept cells of staged rows are written anew; their quarantine entries are resolved.

    Not those of rows whose own key no staged row can have: a blob that reads like it, say.
    """
    connection = connections[alias]
    keys = job.mapping.key_columns
    staged = f"SELECT {keys.target_text('s')} FROM {STAGE} AS s"
    own = "".join(" AND coalesce(cells -> %s ->> 0, 'integer') = ANY(%s)" for _ in keys)
    classes = [part for c in keys for part in (c.legacy, list(c.key_classes))]
    execute(
        connection,
        f"DELETE FROM {KeptCell._meta.db_table} WHERE {OF_TABLE} AND key IN ({staged})",
        job.mapping.identity,
    )
    execute(
        connection,
        f"UPDATE {QuarantinedRow._meta.db_table} SET status = 'repaired', decided_at = now(), "
        f"note = 'The legacy row loads now.' WHERE {OF_TABLE} AND key IN ({staged}) "
        f"AND status <> 'repaired'{own}",
        [*job.mapping.identity, *classes],
    )
