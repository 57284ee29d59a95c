"""What has to be judged in one file: for each table found, a `TableCase`.

A case holds the snapshot, the mapping of the table's columns, the file's clock, the units of
numbers in time columns, and which parent rows are in quarantine. The judge finds clock and units
itself.
"""

from __future__ import annotations

from contextlib import closing
from functools import partial

from django.db.models import Q

from stillme.transfer.conf import time_zone
from stillme.transfer.identity import TableId
from stillme.transfer.mapping import TableMapping, map_table
from stillme.transfer.models import QuarantinedRow
from stillme.transfer.plumbing.processes import usable_cores
from stillme.transfer.plumbing.zones import zone_name
from stillme.transfer.records.recorded_clock import recorded_clock
from stillme.transfer.registry import legacy_models
from stillme.transfer.sqlite.copying.snapshot import Snapshot
from stillme.transfer.sqlite.reading.connect import quoted
from stillme.transfer.sqlite.reading.scan_parts import scan_in_parts, scan_on
from stillme.transfer.verify.kinds.local_clock import find_clock
from stillme.transfer.verify.kinds.number_units import number_units
from stillme.transfer.verify.tables.table_judge import TableCase


def make_cases(alias: str, snapshot: Snapshot, *, live: bool = False) -> dict[str, TableCase]:
    """Return the case of each table of one file that was found, by its declared name.

    A `live` file is read by Python's sqlite3 alone: another library would drop its locks.
    """
    mappings: dict[str, TableMapping] = {}
    for model in legacy_models(snapshot.file):
        mapping = map_table(model, snapshot.schema)
        if mapping is not None:
            mappings[model._meta.db_table] = mapping
    zone = time_zone(snapshot.file)
    with closing(snapshot.open()) as connection:
        threads = usable_cores()
        scan = (
            scan_on(connection) if live else partial(scan_in_parts, snapshot.path, threads=threads)
        )
        recorded = recorded_clock(alias, snapshot.file)
        clock = find_clock(mappings.values(), zone_name(zone), scan, recorded)
        # A table without rows needs no keys of its parents, unless somebody writes to it.
        filled = {
            name
            for name, mapping in mappings.items()
            if live
            or connection.execute(f"SELECT 1 FROM {quoted(mapping.table)} LIMIT 1").fetchone()
        }
        return {
            name: TableCase(
                snapshot,
                mapping,
                clock,
                number_units(scan, mapping),
                {parent: mappings.get(parent) for _, parent in mapping.references()},
                {
                    parent: excluded_keys(
                        alias, TableId(snapshot.file, parent), mappings.get(parent)
                    )
                    for parent in {parent for _, parent in mapping.references()}
                    if name in filled
                },
            )
            for name, mapping in mappings.items()
        }


def excluded_keys(
    alias: str, table: TableId, mapping: TableMapping | None
) -> tuple[int | str, ...]:
    """Return the keys of a parent table whose rows are in quarantine, as its children hold them."""
    if mapping is None or not mapping.key_columns.is_single:
        return ()
    (key,) = mapping.key_columns
    undone = table.of(QuarantinedRow.objects.using(alias)).filter(
        ~Q(status=QuarantinedRow.Status.REPAIRED)
    )
    # Binary data is spelled like a text, and is the key of no child.
    undone = undone.exclude(Q(reason="bad_key") | Q(reason="blob", column=key.legacy))
    if mapping.has_rowid:
        # The first row of that key is loaded.
        undone = undone.exclude(reason="duplicate_key")
    return mapping.key_columns.referred(undone.values_list("key", flat=True))
