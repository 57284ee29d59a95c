"""Both sides equal? The rows of every file, loaded once more beside the target and compared."""

from __future__ import annotations

from django.db import connection

from stillme.postgresql.statements import fetch_all
from stillme.transfer.models import QuarantinedRow
from stillme.transfer.registry import LegacyFile, legacy_files
from stillme.transfer.sqlite.reading.key_ranges import KeyRange
from stillme.transfer.sqlite.schema.found import row_count
from stillme.transfer.steps.merging.differing_keys import compare_range
from stillme.transfer.steps.syncing.live_file import LiveFile


def unequal(file: LegacyFile) -> dict[str, list[str]]:
    """Table of one file -> keys of rows that are not the same on both sides."""
    live, whole = LiveFile(file, None), KeyRange(0)
    found = {t: compare_range("default", source, whole) for t, source in live.tables.items()}
    live.close()
    return {table: keys for table, keys in found.items() if keys}


def differences() -> dict[str, object]:
    """Table -> what is wrong; empty when both sides are equal and every row is accounted for."""
    found: dict[str, object] = {}
    for file in legacy_files():
        if not file.path.exists() or not file.path.stat().st_size:
            continue
        live = LiveFile(file, None)
        for table, source in live.tables.items():
            keys = compare_range("default", source, KeyRange(0))
            rows = row_count(live.connection, source.job.mapping.table)
            relation = source.job.mapping.relation
            target = fetch_all(connection, f"SELECT count(*) FROM {relation}")[0][0]
            aside = QuarantinedRow.objects.filter(table=table).exclude(status="repaired").count()
            if keys or rows != target + aside:
                found[table] = (keys[:5], f"{rows} legacy, {target} target, {aside} set aside")
        live.close()
    return found
