"""The judge's look at the target's tables as wholes: structure, and rows of no known collection."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import chain

from stillme.transfer.findings import Finding, FindingKind
from stillme.transfer.verify.sides.target_table import select
from stillme.transfer.verify.structure.reference_tables import check_definitions
from stillme.transfer.verify.structure.sequences import check_sequence
from stillme.transfer.verify.structure.table_structure import check_structure, forbids_reading
from vector import chroma
from vector.judge.target_reading import full_scans
from vector.models import Collection, Item

_TABLES = (Collection, Item)
_COLLECTIONS, _ITEMS = '"vector"."collections"', '"vector"."items"'

_ORPHANS = (
    f"SELECT collection_id, count(*) FROM {_ITEMS} "
    "WHERE collection_id IS NULL OR collection_id <> ALL(%s::bigint[]) GROUP BY 1 ORDER BY 1"
)


def structure(alias: str) -> list[Finding]:
    """Columns, keys, constraints, indexes and sequences, as the models declare them.

    Where rows cannot be read as declared, nothing is said of definitions and sequences.
    """
    found = [finding for model in _TABLES for finding in check_structure(alias, model)]
    if any(map(forbids_reading, found)):
        return found
    found += check_definitions(alias, list(_TABLES), set(_TABLES))
    # The legacy gave no numbers of its own.
    return [*found, *chain.from_iterable(check_sequence(alias, model, 0) for model in _TABLES)]


def others(alias: str, collections: Sequence[chroma.Collection]) -> Iterator[Finding]:
    """Collections that the store has not, or that stand twice; items of no collection."""
    with full_scans(alias):
        rows = select(alias, f"SELECT id, uuid::text, name FROM {_COLLECTIONS}")
        orphans = select(alias, _ORPHANS, [[row[0] for row in rows]])
    uuids = Counter(row[1] for row in rows)
    known = {collection.id for collection in collections}
    for _, uuid, name in sorted(rows, key=lambda row: (row[2], row[0])):
        if uuid not in known:
            note = "it is not in the store"
            yield Finding(FindingKind.EXTRA_ROW, "vector.collections", name, note=note)
    for uuid, count in uuids.items():
        if count > 1:
            note = f"the collection is there {count} times"
            yield Finding(FindingKind.EXTRA_ROW, "vector.collections:uuid", uuid, note=note)
    for pk, count in Counter(row[0] for row in rows).items():
        if count > 1:
            note = f"{count} collections have this number"
            yield Finding(FindingKind.EXTRA_ROW, "vector.collections:id", str(pk), note=note)
    for pk, count in orphans:
        note = f"{count:,} items are of a collection that is not there"
        where, parent = "vector.items:collection_id", "a collection"
        yield Finding(FindingKind.FOREIGN_KEY, where, None, parent, f"none for {pk}", note)


def collection_metadata(alias: str, pk: int) -> str:
    """A collection's metadata as PostgreSQL spells it."""
    sql = f"SELECT metadata::text FROM {_COLLECTIONS} WHERE id = %s LIMIT 1"
    return str(select(alias, sql, [pk])[0][0])
