"""The clock of a file that is written to: the last import's decision, until the next import.

A file imported in winter showed +01:00. In summer its rows show +02:00: each of them is read by
its own twin, but a row without one is read at +01:00 as before. Whoever follows the file is told
to import again, and the go/no-go list says no until that is done.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence

from stillme.transfer.conf import time_zone
from stillme.transfer.errors import StateError
from stillme.transfer.mapping import TableMapping
from stillme.transfer.plumbing.zones import AUTO, zone_name
from stillme.transfer.records.recorded_clock import recorded_clock
from stillme.transfer.sqlite.clock.file_clock import (
    Clock,
    clock_of_record,
    format_offset,
    read_clock,
)

_AGAIN = "run manage.py import_sqlite again"


def file_clock(
    alias: str, file: str, connection: sqlite3.Connection, mappings: Sequence[TableMapping]
) -> Clock:
    """As the last import decided; by the rows of a file that was never imported so."""
    recorded = recorded_clock(alias, file)
    if recorded is not None and recorded.zone == zone_name(time_zone(file)):
        return clock_of_record(recorded)
    return read_clock(connection, mappings, time_zone(file))


def require_zone(alias: str, file: str) -> None:
    """Raise StateError where LEGACY_TIME_ZONE is not what it was at the last import."""
    recorded = recorded_clock(alias, file)
    if recorded is not None and recorded.zone != zone_name(time_zone(file)):
        raise StateError(f"{_other_zone(file, recorded.zone)}.")


def clock_problem(
    alias: str,
    file: str,
    connection: sqlite3.Connection,
    mappings: Sequence[TableMapping],
) -> str:
    """Why the file has to be imported again, "" where its rows show what the import saw."""
    recorded = recorded_clock(alias, file)
    if recorded is None:
        return ""
    if recorded.zone != zone_name(time_zone(file)):
        return _other_zone(file, recorded.zone)
    if recorded.zone is not None:
        return ""
    shown = read_clock(connection, mappings, time_zone(file)).evidence
    return unknown_offsets(file, clock_of_record(recorded), shown)


def unknown_offsets(file: str, clock: Clock, shown: Iterable[int | None]) -> str:
    """The sentence for rows with offsets that the last import did not see, "" where none has."""
    found = sorted(clock.unknown_offsets(shown)) if clock.is_recorded else []
    if not found:
        return ""
    offsets = ", ".join(format_offset(minutes) for minutes in found)
    return (
        f"{file}: a row shows the clock offset {offsets}, which no row showed at the last import: "
        f"name the zone in LEGACY_TIME_ZONE, or leave it, and {_AGAIN}"
    )


def _other_zone(file: str, imported: str | None) -> str:
    return (
        f"{file}: the last import read its local times by LEGACY_TIME_ZONE={imported or AUTO}, "
        f"and it is {time_zone(file)} now: set it back, or, while the files are in "
        f"charge, {_AGAIN}"
    )
