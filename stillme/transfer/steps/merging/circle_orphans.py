"""Rows of tables in a circle whose parent did not come: taken out of the target again.

Tables that refer to each other in a circle are loaded without asking for each other's rows. Then
each row whose parent is not in the target is quarantined as `missing_parent` and deleted, and so
are the rows that refer to it, until every row has its parents.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from stillme.transfer.key_columns import Condition
from stillme.transfer.keys import Key, spelled_keys
from stillme.transfer.mapped_column import MappedColumn
from stillme.transfer.mapping import TableMapping
from stillme.transfer.postgresql.copy import fetch_all, quoted
from stillme.transfer.steps.merging.merge import delete_keys
from stillme.transfer.steps.merging.orphans import parent_sentence
from stillme.transfer.steps.rows.packed import pack
from stillme.transfer.steps.rows.set_aside import quarantine_rows
from stillme.transfer.steps.rows.table_source import TableSource
from stillme.transfer.steps.rows.unusual_rows import SetAside, key_as_text


def take_out_orphans(
    alias: str,
    sources: Mapping[str, TableSource],
    table: str,
    within: Collection[Key] | None = None,
) -> list[Key]:
    """Take rows of one table out, of those keys or of all. Returns their keys.

    `sources` are the tables of the circle. In the caller's transaction.
    """
    source = sources[table]
    mapping = source.job.mapping
    found: dict[Key, SetAside] = {}
    for column, parent in _references(sources, mapping):
        orphans = _orphans(alias, mapping, column, parent, within)
        for raw in source.raw.keys(key for key in orphans if key not in found):
            if not raw.repeated:
                key = mapping.key_columns.in_target(mapping.key_columns.of_cells(raw.cells))
                assert key is not None
                found[key] = SetAside(
                    key_as_text(mapping, raw), raw, "missing_parent", column.legacy,
                    parent_sentence(parent),
                )  # fmt: skip
    delete_keys(alias, mapping, spelled_keys(found))
    quarantine_rows(
        alias, mapping, source.job.run_id, [pack(mapping, row) for row in found.values()]
    )
    return list(found)


def _references(
    sources: Mapping[str, TableSource], mapping: TableMapping
) -> Iterator[tuple[MappedColumn, TableMapping]]:
    for column, table in mapping.references():
        if table in sources and sources[table].job.mapping.key_columns.is_single:
            yield column, sources[table].job.mapping


def _orphans(
    alias: str,
    mapping: TableMapping,
    column: MappedColumn,
    parent: TableMapping,
    within: Collection[Key] | None,
) -> list[Key]:
    keys, name = mapping.key_columns, quoted(column.target)
    everywhere: Condition = ("TRUE", [])
    among, values = everywhere if within is None else keys.target_among(keys.held(within), "t")
    up = parent.key_columns.targets[0]
    rows = fetch_all(
        alias,
        f"SELECT {keys.target('t')} FROM {mapping.relation} AS t WHERE {among} "
        f"AND t.{name} IS NOT NULL AND NOT EXISTS "
        f"(SELECT 1 FROM {parent.relation} AS up WHERE up.{quoted(up)} = t.{name})",
        values,
    )
    return [Key.of(*row) for row in rows]
