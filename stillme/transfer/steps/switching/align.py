"""Bringing the target to what the files hold after the way back.

What a file could not take (a fraction of a second in a column of whole seconds) goes from the
target too, and is kept in `transfer.carried_cell`. From here on the file is what counts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict

from stillme.transfer.keys import Key
from stillme.transfer.mapping import EXTRA_COLUMN, TableMapping
from stillme.transfer.models import CarriedCell
from stillme.transfer.postgresql.copy import execute, quoted
from stillme.transfer.steps.merging.children import children_of, known_by
from stillme.transfer.steps.replaying.replay import Replayed, apply_rows
from stillme.transfer.steps.switching.carry_back import other_fields
from stillme.transfer.steps.switching.legacy_rows import Carried
from stillme.transfer.steps.syncing.live_file import LiveFile


def align(alias: str, live: LiveFile, by_table: dict[str, Carried], run_id: int) -> None:
    """Keep what the file could not take, then bring the target to what the file says."""
    keys = {t: by_table[t].keys for t in live.tables if t in by_table}
    for table, wanted in keys.items():
        mapping = live.tables[table].job.mapping
        lost = by_table[table].lost
        kept = [CarriedCell(run_id=run_id, file=live.file.name, **asdict(cell)) for cell in lost]
        CarriedCell.objects.using(alias).bulk_create(kept, batch_size=1000)
        _reset_others(alias, mapping, wanted)
    apply_rows(alias, live, live.read(with_children(alias, live, keys)), Replayed())


def with_children(
    alias: str, live: LiveFile, keys: Mapping[str, Sequence[Key]]
) -> dict[str, list[Key]]:
    """The keys, and those of the rows that refer to them.

    A row that was set aside may have got its parent in PostgreSQL, or lost it.
    """
    every: dict[str, dict[Key, None]] = {t: dict.fromkeys(wanted) for t, wanted in keys.items()}
    for table in live.tables:
        changed = every.get(table, {})
        parents = {("", key) for key in changed} | known_by(alias, live.tables, table, changed)
        for child, children in children_of(alias, live.tables, table, parents).items():
            every.setdefault(child, {}).update(dict.fromkeys(children))
    return {table: list(wanted) for table, wanted in every.items()}


def _reset_others(alias: str, mapping: TableMapping, keys: Sequence[Key]) -> None:
    """Give columns that the file does not have what an import gives them.

    Every row is written, so that the engine counts as its writer.
    """
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
        alias,
        f"UPDATE {mapping.relation} SET {', '.join(parts)} WHERE {among}",
        values,
    )
