"""Quarantined rows, with their edits, through the checks of the import again.

Each row in a transaction of its own, with its record locked: what becomes of one does not depend on
its neighbours, and a follower that resolves the record waits.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from django.db.models.functions import Now

from stillme.transfer.errors import TransferError
from stillme.transfer.identity import TableId
from stillme.transfer.inventory.taking import who_decides
from stillme.transfer.mapping import TableMapping, map_table
from stillme.transfer.models import QuarantinedRow
from stillme.transfer.postgresql.capture import as_replay
from stillme.transfer.postgresql.locks import deciding
from stillme.transfer.postgresql.sequences import set_sequence
from stillme.transfer.records import ledger
from stillme.transfer.records.table_job import TableJob
from stillme.transfer.registry import legacy_model, legacy_models
from stillme.transfer.sqlite.schema.found import FoundColumn, FoundSchema, FoundTable
from stillme.transfer.steps.aside.file_decisions import decisions_for
from stillme.transfer.steps.aside.retry_row import OtherRecords, raw_row, taken
from stillme.transfer.steps.merging.apply_rows import apply_raw
from stillme.transfer.steps.rows.unusual_rows import CarefulLoader, key_as_text
from stillme.transfer.steps.syncing import file_states
from stillme.transfer.steps.syncing.file_decisions import Decisions

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
    loaded: list[int] = []
    still: list[tuple[int, str]] = []
    for table in sorted({TableId(row.file, row.table) for row in rows}):
        refuse_store(table)
        batch = [
            row for row in rows if (row.file, row.table) == table and row.status != Status.REPAIRED
        ]
        if not batch:
            continue
        _refuse_keyless(batch)
        done, left = _retry_table(alias, batch, who or who_decides())
        loaded += done
        still += left
    return Retried(tuple(loaded), tuple(still))


def refuse_store(table: TableId) -> None:
    """A store (the vector folder) has no mapping to put a row through."""
    if table not in {model.identity() for model in legacy_models()}:
        raise TransferError(
            f"Rows of {table.table} are not retried one by one: mend what the reason names and run "
            f"`manage.py import_sqlite --file {table.file}` again, or accept them: "
            "`manage.py quarantine accept`."
        )


def _refuse_keyless(rows: Iterable[QuarantinedRow]) -> None:
    for row in rows:
        if row.key is None and not row.repairs:
            raise TransferError(f"Row {row.pk} has no key: edit its key column before a retry.")


class _KeptSource:
    """Stands for a legacy file: the rows come from the quarantine itself."""

    def __init__(self, job: TableJob) -> None:
        self.job = job
        self.careful = CarefulLoader(job.mapping, job.clock, job.epoch_units)


def _retry_table(
    alias: str, rows: Sequence[QuarantinedRow], who: str
) -> tuple[list[int], list[tuple[int, str]]]:
    loaded: list[int] = []
    still: list[tuple[int, str]] = []
    decisions: dict[str, Decisions] = {}
    for row in rows:
        # One transaction a row: what one row comes to does not depend on its neighbours.
        with deciding(alias):
            if file_states.standing(alias, row.file).state != file_states.State.LIVE:
                # The files are in charge, and after a rollback PostgreSQL refuses other writers;
                # once it is live, the write is captured like any other.
                as_replay(alias)
            sentence = _retry_row(alias, row, who, decisions)
        if sentence is None:
            loaded.append(row.pk)
        else:
            still.append((row.pk, sentence))
    return loaded, still


def _retry_row(
    alias: str, row: QuarantinedRow, who: str, decisions: dict[str, Decisions]
) -> str | None:
    """None where the row is in the target now, else why not."""
    try:
        found = locked_records(alias, [row.pk])[row.pk]
    except TransferError as error:
        return str(error)
    if found.cells != row.cells:
        return CHANGED.format(row.pk)
    row = found
    job = _job_of(alias, row, decisions)
    source = _KeptSource(job)
    raw = raw_row(row, job.mapping)
    if sentence := taken(alias, row, job.mapping, raw):
        return sentence
    others = OtherRecords(alias, row, key_as_text(job.mapping, raw))
    outcome = apply_raw(alias, source, [raw], into_quarantine=False)
    others.restore()
    ledger.mark_write(alias, row.run_id)
    if outcome.quarantined:
        return outcome.sentences[0]
    if outcome.conflict_count:
        return "The target holds a row with this key that was changed after the import."
    if row.repairs:
        # An edited key may be the greatest of all.
        set_sequence(alias, job.mapping, 0)
    QuarantinedRow.objects.using(alias).filter(pk=row.pk).update(
        status=Status.REPAIRED,
        decided_by=who,
        decided_at=Now(),
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
    mapping = map_table(model, FoundSchema({table: found}, (), 0, "delete"))
    assert mapping is not None
    return mapping
