"""After the way back: the target holds what the file says, and what it could not take is kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from django.db import connections

from stillme.transfer.errors import TransferError
from stillme.transfer.keys import Key
from stillme.transfer.mapping import EXTRA_COLUMN, TableMapping
from stillme.transfer.models_sync import CarriedCell
from stillme.transfer.postgresql.copy import execute, quoted
from stillme.transfer.steps.merging.compare import compare_keys
from stillme.transfer.steps.switching.carry_back import Carried, other_fields
from stillme.transfer.steps.syncing.children import children_of
from stillme.transfer.steps.syncing.live_file import LiveFile
from stillme.transfer.steps.syncing.replay import Replayed, apply_rows


def align(alias: str, live: LiveFile, by_table: dict[str, Carried], run_id: int) -> None:
    """Keep what the file could not take, then bring the target to what the file says."""
    keys = {t: by_table[t].keys for t in live.tables if t in by_table}
    for table, wanted in keys.items():
        mapping = live.tables[table].job.mapping
        _keep_lost(alias, live, by_table[table], run_id)
        _reset_others(alias, mapping, wanted)
    every = _with_children(alias, live, keys)
    rows = {table: list(live.rows(table, wanted)) for table, wanted in every.items()}
    apply_rows(alias, live, every, rows, Replayed())
    for table, wanted in keys.items():
        source = live.tables[table]
        unequal = compare_keys(alias, source, wanted)
        if unequal:
            raise TransferError(
                f"{table} row {unequal[0]} is not the same on both sides after the way back; "
                "PostgreSQL stays in charge: report this row."
            )


def _with_children(
    alias: str, live: LiveFile, keys: Mapping[str, Sequence[Key]]
) -> dict[str, list[Key]]:
    """The keys, and those of the rows that refer to them.

    A parent that came or went on PostgreSQL changes what becomes of rows that were set aside.
    """
    every: dict[str, dict[Key, None]] = {t: dict.fromkeys(wanted) for t, wanted in keys.items()}
    for table in live.tables:
        parents = sorted(every.get(table, ()))
        for child, children in children_of(alias, live, table, parents).items():
            every.setdefault(child, {}).update(dict.fromkeys(children))
    return {table: list(wanted) for table, wanted in every.items()}


def _keep_lost(alias: str, live: LiveFile, carried: Carried, run_id: int) -> None:
    CarriedCell.objects.using(alias).bulk_create(
        [
            CarriedCell(
                run_id=run_id,
                file=live.file.name,
                table=lost.table,
                key=lost.key,
                column=lost.column,
                value=lost.value,
                reason=lost.reason,
            )
            for lost in carried.lost
        ],
        batch_size=1000,
    )


def _reset_others(alias: str, mapping: TableMapping, keys: Sequence[Key]) -> None:
    """Columns that the legacy has not get what an import gives them; every row becomes ours."""
    among, values = mapping.key_columns.target_among(keys)
    key = quoted(mapping.key_columns.targets[0])
    fed = set(mapping.target_columns)
    names = [
        str(f.column)
        for f in other_fields(mapping)
        if f.column not in fed and f.column != EXTRA_COLUMN
    ]
    parts = [f"{key} = {key}", *(f"{quoted(name)} = DEFAULT" for name in names)]
    if not mapping.extra:
        parts += [f"{quoted(name)} = NULL" for name in mapping.extra_columns]
    execute(
        connections[alias],
        f"UPDATE {mapping.relation} SET {', '.join(parts)} WHERE {among}",
        values,
    )
