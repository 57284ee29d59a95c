"""Items of a collection that an earlier import loaded and whose legacy item is gone since.

They are reported; `import_sqlite --prune` deletes them, their kept originals, and the quarantine
records of items that are gone as well.
"""

from __future__ import annotations

from dataclasses import dataclass

from django.db import connections

from stillme.postgresql.statements import execute, fetch_all
from stillme.transfer.models import KeptCell, QuarantinedRow
from stillme.transfer.records.outcome import MOST_KEYS
from vector.importing import earlier_collections, merging
from vector.importing.result import CollectionResult, VectorOptions
from vector.names import FILE


@dataclass(frozen=True, slots=True)
class StillThere:
    """What the store has now: ids of items that were read, and keys of items that were set aside.

    An item without an id is known by the number (an int) of its vector.
    """

    seen: set[str]
    aside: set[str | int | None]

    def has(self, key: str | int | None) -> bool:
        """Whether the store has an item of this id, or a vector of this number."""
        return key in self.seen or key in self.aside


def find_vanished(
    alias: str, pk: int, result: CollectionResult, still_there: StillThere, options: VectorOptions
) -> None:
    """Note in `result` what is gone of the collection `pk`; delete it where `options` say so."""
    rows = fetch_all(
        connections[alias],
        f"SELECT t.embedding_id FROM {merging.ITEMS} AS t "
        f"WHERE t.collection_id = %s AND {merging.OURS} ORDER BY 1",
        [pk],
    )
    gone = [key for (key,) in rows if not still_there.has(key)]
    outcome = result.outcome
    outcome.vanished_count, outcome.vanished = len(gone), gone[:MOST_KEYS]
    records = _gone_records(alias, result.table, still_there) if options.prune else []
    found = earlier_collections.deletion_of_items(alias, pk, result.table, gone, len(records))
    if options.prune and options.approve([found]) and not options.dry_run:
        QuarantinedRow.objects.using(alias).filter(pk__in=records).delete()
        found.deleted = True
    if found.deleted and gone:
        KeptCell.objects.using(alias).filter(file=FILE, table=result.table, key__in=gone).delete()
        outcome.pruned = execute(
            connections[alias],
            f"DELETE FROM {merging.ITEMS} WHERE collection_id = %s AND embedding_id = ANY(%s)",
            [pk, gone],
        )


def _gone_records(alias: str, table: str, still_there: StillThere) -> list[int]:
    """Ids of the quarantine records whose legacy item is gone."""
    rows = QuarantinedRow.objects.using(alias).filter(file=FILE, table=table)
    return [
        pk
        for pk, key, number in rows.values_list("pk", "key", "rowid")
        if not still_there.has(number if key is None else key)
    ]
