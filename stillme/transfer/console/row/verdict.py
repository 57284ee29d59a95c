"""What the judge says of one row: the same reading as `verify_migration`, for a single key."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass, field

from stillme.transfer.conf import time_zone
from stillme.transfer.mapping import TableMapping
from stillme.transfer.plumbing.stored_cells import Raw
from stillme.transfer.plumbing.zones import zone_name
from stillme.transfer.records.recorded_clock import recorded_clock
from stillme.transfer.sqlite.clock.epochs import units_of
from stillme.transfer.sqlite.reading.connect import quoted
from stillme.transfer.verify.kinds.local_clock import LocalClock, row_minutes_sql
from stillme.transfer.verify.result import TableProof
from stillme.transfer.verify.rows.row_judge import RowJudge
from stillme.transfer.verify.sides.legacy_rows import StoredRow
from stillme.transfer.verify.sides.target_table import TargetSide

# A row with more than this is judged by verify_migration, not while a page waits.
LARGEST = 4_000_000


@dataclass(slots=True)
class RowVerdict:
    """Target columns that differ, with the sentence; `unsure` ones cannot be told from here."""

    differs: dict[str, str] = field(default_factory=dict)
    unsure: set[str] = field(default_factory=set)
    general: list[str] = field(default_factory=list)


def judge_row(
    connection: sqlite3.Connection,
    mapping: TableMapping,
    rowid: int | None,
    cells: dict[str, tuple[str, Raw]],
    size: int,
) -> RowVerdict:
    """Judge one row as both sides are now; `size` is the bytes of what is long in it."""
    if size > LARGEST:
        said = f"{size:,} bytes are not compared here: manage.py verify_migration compares them."
        return RowVerdict(unsure={c.target for c in mapping.columns}, general=[said])
    minutes = _minutes(connection, mapping, rowid)
    known = _clock(mapping.file)
    clock = known or LocalClock()
    row = StoredRow(rowid, cells, minutes, frozenset(), False)
    side = TargetSide("default", mapping)
    judge = RowJudge("default", mapping, clock, _units(mapping, cells), side)
    proof = TableProof(mapping.file, mapping.declared_table, mapping.target)
    judge.judge([row], proof)
    verdict = RowVerdict(unsure=_times(mapping) if known is None else set())
    for finding in proof.findings.kept:
        column = finding.where.partition(":")[2]
        said = f"expected {finding.expected}, found {finding.found}"
        said += f" ({finding.note})" if finding.note else ""
        target = next((c.target for c in mapping.columns if c.legacy == column), column)
        if not target:
            verdict.general.append(said)
        elif target not in verdict.unsure:
            verdict.differs[target] = said
    return verdict


def _minutes(
    connection: sqlite3.Connection, mapping: TableMapping, rowid: int | None
) -> int | None:
    if mapping.clock is None or rowid is None:
        return None
    sql = f"SELECT {row_minutes_sql(mapping.clock)} FROM {quoted(mapping.table)} WHERE rowid = ?"
    found = connection.execute(sql, (rowid,)).fetchone()
    return None if found is None or found[0] is None else int(found[0])


def _clock(file: str) -> LocalClock | None:
    """The clock of the last import; None where the file was never imported."""
    recorded = recorded_clock("default", file)
    if zone := zone_name(time_zone(file)):
        return LocalClock(zone=zone)
    if recorded is None:
        return None
    return LocalClock(usual=recorded.usual, offsets=tuple(sorted(recorded.offsets)))


def _units(mapping: TableMapping, cells: dict[str, tuple[str, Raw]]) -> dict[str, str]:
    """The unit of a number in a time column: that of a file whose numbers all agree."""
    times = ((c.legacy, cells[c.legacy][1]) for c in mapping.columns if c.kind.is_time)
    return units_of({name: (raw, raw) for name, raw in times if isinstance(raw, int | float)})


def _times(mapping: TableMapping) -> set[str]:
    return {c.target for c in mapping.columns if c.kind.depends_on_clock}
