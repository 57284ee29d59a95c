"""The judge's own decision about numbers in time columns (docs/values.md)."""

from __future__ import annotations

import sqlite3

from stillme.transfer.kinds import Date, Timestamp
from stillme.transfer.mapping import TableMapping
from stillme.transfer.sqlite.connect import quoted


def number_units(connection: sqlite3.Connection, mapping: TableMapping) -> dict[str, str]:
    """Legacy column -> "seconds", "milliseconds" or "julian" where all its numbers agree."""
    units: dict[str, str] = {}
    for column in mapping.columns:
        if isinstance(column.kind, Timestamp | Date):
            name = quoted(column.legacy)
            found = connection.execute(
                f"SELECT DISTINCT CASE WHEN {name} >= 1e8 AND {name} < 1e11 THEN 'seconds' "
                f"WHEN {name} >= 1e11 AND {name} < 1e14 THEN 'milliseconds' "
                f"WHEN {name} >= 1.7e6 AND {name} < 3e6 THEN 'julian' ELSE 'none' END "
                f"FROM {quoted(mapping.table)} WHERE typeof({name}) IN ('integer', 'real') LIMIT 2"
            ).fetchall()
            if len(found) == 1 and found[0][0] != "none":
                units[column.legacy] = found[0][0]
    return units
