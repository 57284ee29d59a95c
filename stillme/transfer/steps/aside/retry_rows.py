"""Quarantined rows, with their edits, through the checks of the import again.

Each row in a transaction of its own, with its record locked: what becomes of one does not depend on
its neighbours, and a follower that resolves the record waits. It must not take another row's
place: neither a key that the target has, nor the record of another row with the same key.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass

from stillme.transfer.conf import conf
from stillme.transfer.errors import TransferError
from stillme.transfer.identity import TableId
from stillme.transfer.inventory.stores import stores
from stillme.transfer.inventory.taking import who_decides
from stillme.transfer.mapping import TableMapping, map_table
from stillme.transfer.models import QuarantinedRow
from stillme.transfer.plumbing.stored_cells import unpack_cell
from stillme.transfer.postgresql.after_load import set_sequence
from stillme.transfer.postgresql.capture import as_replay
from stillme.transfer.postgresql.copy import fetch_all
from stillme.transfer.postgresql.locks import deciding
from stillme.transfer.records import ledger
from stillme.transfer.records.proofs import time_of_decision
from stillme.transfer.records.recorded_clock import recorded_clock
from stillme.transfer.records.table_job import TableJob
from stillme.transfer.registry import legacy_files, legacy_model, legacy_models
from stillme.transfer.sqlite.clock.evidence_sql import row_offset_sql
from stillme.transfer.sqlite.clock.file_clock import clock_of_record
from stillme.transfer.sqlite.reading.connect import quoted
from stillme.transfer.sqlite.reading.stored_rows import Raw, RawRow
from stillme.transfer.sqlite.schema.found import FoundColumn, FoundSchema, FoundTable
from stillme.transfer.steps.merging.apply_rows import apply_raw
from stillme.transfer.steps.rows.unusual_rows import CarefulLoader, key_as_text, keys_not_taken
from stillme.transfer.steps.syncing import file_states
from stillme.transfer.steps.syncing.file_decisions import Decisions
from stillme.transfer.steps.syncing.live_file import LiveFile

Status = QuarantinedRow.Status
CHANGED = "Row {} was changed in the legacy file meanwhile: look at it again."


@dataclass(frozen=True, slots=True)
class Retried:
    """What a retry came to: rows loaded, rows that are still set aside with the sentence why."""

    loaded: tuple[int, ...]
    still: tuple[tuple[int, str], ...]


def locked_records(alias: str, ids: Sequence[int]) -> dict[int, QuarantinedRow]:
    """The records as they are now, held against a follower that would resolve them.

    Raises TransferError where a row is in the target, or gone from the legacy file.
    """
    records = QuarantinedRow.objects.using(alias).filter(pk__in=ids).order_by("pk")
    found = {row.pk: row for row in records.select_for_update()}
    for pk in ids:
        if pk not in found:
            raise TransferError(
                f"There is no quarantined row {pk} any more: its legacy row was changed or deleted."
            )
        if found[pk].status == Status.REPAIRED:
            raise TransferError(f"Row {pk} is in the target: there is nothing to decide about it.")
    return found


def retry(alias: str, rows: Sequence[QuarantinedRow], who: str = "") -> Retried:
    """Put rows, with their edits, through the checks of the import again."""
    rows = sorted(rows, key=lambda row: (row.file, row.table))
    for table in {TableId(row.file, row.table): None for row in rows}:
        refuse_store(table)
    waiting = [row for row in rows if row.status != Status.REPAIRED]
    for row in waiting:
        if row.key is None and not row.repairs:
            raise TransferError(f"Row {row.pk} has no key: edit its key column before a retry.")
    loaded: list[int] = []
    still: list[tuple[int, str]] = []
    decisions: dict[str, Decisions] = {}
    for row in waiting:
        # One transaction a row: what one row comes to does not depend on its neighbours.
        with deciding(alias):
            if file_states.standing(alias, row.file).state != file_states.State.LIVE:
                # The files are in charge, and after a rollback PostgreSQL refuses other writers;
                # once it is live, the write is captured like any other.
                as_replay(alias)
            sentence = _retry_row(alias, row, who or who_decides(), decisions)
        if sentence is None:
            loaded.append(row.pk)
        else:
            still.append((row.pk, sentence))
    return Retried(tuple(loaded), tuple(still))


def refuse_store(table: TableId) -> None:
    """A store (the vector folder) has no mapping to put a row through; nor has a table that other
    settings carried."""
    if table not in {model.identity() for model in legacy_models()}:
        if table.file not in {store.name for store in stores()}:
            raise TransferError(
                f"The present settings do not carry {table.table} of {table.file}: run this with "
                "the settings that loaded it."
            )
        raise TransferError(
            f"Rows of {table.table} are not retried one by one: mend what the reason names and run "
            f"`manage.py import_sqlite --file {table.file}` again, or accept them: "
            "`manage.py quarantine accept`."
        )


class _KeptSource:
    """Stands for a legacy file: the rows come from the quarantine itself."""

    def __init__(self, job: TableJob) -> None:
        self.job = job
        self.careful = CarefulLoader(job.mapping, job.clock, job.epoch_units)


def _retry_row(
    alias: str, row: QuarantinedRow, who: str, decisions: dict[str, Decisions]
) -> str | None:
    """None where the row is in the target now, else why not."""
    seen = row.cells
    try:
        row = locked_records(alias, [row.pk])[row.pk]
    except TransferError as error:
        return str(error)
    if row.cells != seen:
        return CHANGED.format(row.pk)
    job = _job_of(alias, row, decisions)
    source = _KeptSource(job)
    raw = raw_row(row, job.mapping)
    if sentence := taken(alias, row, job.mapping, raw):
        return sentence
    merged = apply_raw(alias, source, [raw], into_quarantine=False)
    ledger.mark_write(alias, row.run_id)
    if merged.set_aside:
        still = merged.set_aside[0]
        if still.reason == row.reason and not row.repairs:
            # Another of its parents may be the one that is missing now.
            QuarantinedRow.objects.using(alias).filter(pk=row.pk).update(
                column=still.column, sentence=still.sentence
            )
        return still.sentence
    if merged.outcome.conflict_count:
        return "The target holds a row with this key that was changed after the import."
    if row.repairs:
        # An edited key may be the greatest of all.
        set_sequence(alias, job.mapping, 0)
    QuarantinedRow.objects.using(alias).filter(pk=row.pk).update(
        status=Status.REPAIRED,
        decided_by=who,
        decided_at=time_of_decision(alias),
        note="Edited and retried." if row.repairs else "Retried.",
    )
    return None


def _job_of(alias: str, row: QuarantinedRow, decisions: dict[str, Decisions]) -> TableJob:
    """The job under which the row was set aside: its columns, the file's clock and units."""
    mapping = _mapping_of(TableId(row.file, row.table), list(row.cells))
    decided = decisions_for(alias, row, mapping, decisions)
    parents: dict[str, TableMapping | None] = {
        parent: _mapping_of(TableId(row.file, parent), None) for _, parent in mapping.references()
    }
    return TableJob(
        snapshot=None,  # type: ignore[arg-type]
        mapping=mapping,
        clock=decided.clock,
        epoch_units=decided.units.get(row.table, {}),
        run_id=row.run_id,
        parents=parents,
        overwrite=True,
    )


def _mapping_of(identity: TableId, columns: list[str] | None) -> TableMapping:
    model, table = legacy_model(*identity), identity.table
    names = columns or [str(c.column) for c in model.columns()]
    keys = {str(c.column) for c in model.columns() if c.primary_key}
    found = FoundTable(
        table,
        "",
        tuple(FoundColumn(n, "INTEGER", False, None, int(n in keys)) for n in names),
        {},
        without_rowid=False,
        key_collation=None,
    )
    mapping = map_table(model, FoundSchema({table: found}, (), 0))
    assert mapping is not None
    return mapping


def raw_row(row: QuarantinedRow, mapping: TableMapping) -> RawRow:
    """The row with its edits; one that repeats a key does so until its key is edited."""
    cells = {name: unpack_cell(cell) for name, cell in {**row.cells, **row.repairs}.items()}
    repeated = row.reason == "duplicate_key" and not _has_new_key(row, mapping)
    return RawRow(row.rowid, cells, _own_offset(mapping, cells), frozenset(), repeated)


def _own_offset(mapping: TableMapping, cells: dict[str, tuple[str, Raw]]) -> int | None:
    """The offset that the row's own stamps show, by the very SQL that the import asks."""
    twin = mapping.clock
    if twin is None:
        return None
    stamps = [cells.get(name, ("null", None)) for name in (twin.local, twin.utc)]
    marks = ["CAST(? AS TEXT)" if storage == "text" else "?" for storage, _ in stamps]
    names = f"{marks[0]} AS {quoted(twin.local)}, {marks[1]} AS {quoted(twin.utc)}"
    with closing(sqlite3.connect(":memory:")) as connection:
        query = f"SELECT {row_offset_sql(twin)} FROM (SELECT {names})"
        found = connection.execute(query, [raw for _, raw in stamps]).fetchone()[0]
    return None if found is None else int(found)


def taken(alias: str, row: QuarantinedRow, mapping: TableMapping, raw: RawRow) -> str:
    """Why the edited key cannot be this row's; "" where it can, or was not edited."""
    key = key_as_text(mapping, raw)
    if key is None or not _has_new_key(row, mapping):
        return ""
    others = mapping.identity.of(QuarantinedRow.objects.using(alias)).filter(key=key)
    others = others.exclude(status=QuarantinedRow.Status.REPAIRED).exclude(pk=row.pk)
    if standing := others.exclude(reason__in=keys_not_taken(mapping)).first():
        return f"Row {standing.pk} in quarantine has the key {key}: give this one another."
    among, values = mapping.key_columns.target_among(mapping.key_columns.parsed([key]))
    query = f"SELECT 1 FROM {mapping.relation} WHERE {among}"
    if fetch_all(alias, query, values):
        return f"The target has a row with the key {key}: give this one another."
    return ""


def _has_new_key(row: QuarantinedRow, mapping: TableMapping) -> bool:
    return any(name in row.repairs for name in mapping.key_columns.names)


def decisions_for(
    alias: str, row: QuarantinedRow, mapping: TableMapping, known: dict[str, Decisions]
) -> Decisions:
    """Clock and units for a row. `known` keeps by file what was read, as it takes a whole look.

    The ledger knows the clock, and enough of a row without numbers among its times. Raises
    TransferError where other rows tell and the file is not there, or cannot be read.
    """
    recorded = recorded_clock(alias, row.file)
    if recorded is not None and not _has_numbers(row, mapping):
        return Decisions(clock_of_record(recorded))
    if row.file not in known:
        known[row.file] = _read(alias, row.file)
    return known[row.file]


def _has_numbers(row: QuarantinedRow, mapping: TableMapping) -> bool:
    cells = {**row.cells, **row.repairs}
    times = [c.legacy for c in mapping.columns if c.kind.is_time]
    return any(cells[name][0] in ("integer", "real") for name in times if name in cells)


def _read(alias: str, name: str) -> Decisions:
    file = next(file for file in legacy_files() if file.name == name)
    if not file.path.exists():
        raise TransferError(
            f"How the times of this row are read depends on other rows of {file.path}, which is "
            f"missing: put the file back, or set its path ({conf().paths}), and retry."
        )
    with closing(LiveFile(file, None, alias=alias)) as live:
        return live.decisions
