"""What is done to one table before its first range is loaded and after its last."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack, closing
from dataclasses import replace

from django.db import IntegrityError

from stillme.transfer.errors import TransferError
from stillme.transfer.identity import TableId
from stillme.transfer.keys import bound_from_json
from stillme.transfer.mapping import TableMapping
from stillme.transfer.models import Chunk, DroppedObject, QuarantinedRow
from stillme.transfer.postgresql import objects
from stillme.transfer.postgresql.after_load import renew_planner_figures, set_sequence
from stillme.transfer.postgresql.capture import engine_transaction
from stillme.transfer.postgresql.copy import fetch_all
from stillme.transfer.records import ledger
from stillme.transfer.records.edited_rows import keys_of_edited_rows
from stillme.transfer.records.outcome import Outcome
from stillme.transfer.records.table_job import TableJob
from stillme.transfer.sqlite.reading.key_ranges import KeyRange
from stillme.transfer.steps.loading.import_options import ImportOptions
from stillme.transfer.steps.loading.plan import PlannedTable
from stillme.transfer.steps.loading.predict_tables import SetAsideKeys, set_aside_in_circle
from stillme.transfer.steps.loading.workers import Task
from stillme.transfer.steps.merging.circle_orphans import take_out_orphans
from stillme.transfer.steps.rows.table_source import TableSource
from stillme.transfer.steps.rows.unusual_rows import keys_not_taken

# Below this size live indexes and keys cost less than taking them down and building them again.
LARGE_TABLE_ROWS = 5_000


def prepare_table(
    alias: str,
    planned: PlannedTable,
    chunks: Sequence[Chunk],
    *,
    with_parents: bool,
    keys_down: Sequence[PlannedTable] = (),
) -> None:
    """Take down what slows the load of a large, empty table; forget chunks beyond the ranges.

    The foreign keys to `keys_down` are taken down in any case.

    Before anything of its file is loaded: a foreign key is dropped under a lock of its parent
    too, and only `with_parents`, which this run loads from the first row: parents that were
    there before may have lost rows.
    """
    mapping = planned.job.mapping
    is_large = planned.rows >= LARGE_TABLE_ROWS and is_fresh(alias, planned, chunks)
    if is_large or keys_down:
        objects.take_down(
            alias,
            mapping.relation,
            planned.job.run_id,
            indexes=is_large,
            foreign_keys=is_large and with_parents,
            parents=[other.job.mapping.relation for other in keys_down],
        )
    beyond = mapping.identity.of(Chunk.objects.using(alias))
    beyond.filter(number__gte=len(planned.ranges)).delete()


def is_fresh(alias: str, planned: PlannedTable, chunks: Sequence[Chunk]) -> bool:
    """Whether the target has no row of the table, nor ever had by the ledger."""
    query = f"SELECT 1 FROM {planned.job.mapping.relation} LIMIT 1"
    return not chunks and not fetch_all(alias, query)


def complete_jobs(options: ImportOptions, tables: Sequence[PlannedTable]) -> None:
    """Say in the jobs of a table, or of a circle of tables, what is set aside of their parents.

    Parents that are in no circle with them are loaded.
    """
    alias = options.database
    names = frozenset(planned.name for planned in tables)
    jobs = {
        planned.name: replace(
            planned.job,
            overwrite=options.overwrite,
            prune=options.prune,
            set_aside={
                name: _set_aside_keys(alias, TableId(planned.job.mapping.file, name), parent)
                for name, parent in planned.job.parents.items()
                # A table without rows needs no keys of its parents.
                if planned.rows and name not in names
            },
            later=names - {planned.name},
        )
        for planned in tables
    }
    inside: SetAsideKeys = {}
    if any(names & job.parents.keys() for job in jobs.values()):
        edited = {name: keys_of_edited_rows(alias, job.mapping) for name, job in jobs.items()}
        inside = set_aside_in_circle(jobs, edited)
    for planned in tables:
        job = jobs[planned.name]
        own = {name: keys for name, keys in inside.items() if name in job.parents}
        planned.job = replace(job, set_aside={**job.set_aside, **own})


def as_tasks(job: TableJob, ranges: Sequence[KeyRange], chunks: Sequence[Chunk]) -> list[Task]:
    """Ranges as the workers take them: with the record of an earlier run of just that range."""
    exact = {(c.number, *map(bound_from_json, (c.after, c.upto))): c for c in chunks}
    return [
        (job, r, exact.get((r.number, r.after, r.upto)) or _stand_in(r, chunks)) for r in ranges
    ]


def _stand_in(key_range: KeyRange, chunks: Sequence[Chunk]) -> Chunk | None:
    """A record that fits nothing, where records of other ranges overlap this one."""
    # The last range was unbounded before and has grown: it may hold rows that are loaded.
    overlaps = any(c.upto is None and c.number <= key_range.number for c in chunks)
    return Chunk(mapping_digest="", file_sha256="", digest="") if overlaps else None


def settle_circle(alias: str, tables: Sequence[PlannedTable]) -> dict[str, int]:
    """Take rows out whose parents PostgreSQL refused. Table -> how many."""
    taken: Counter[str] = Counter()
    with ExitStack() as opened, engine_transaction(alias):
        sources = {p.name: opened.enter_context(closing(TableSource(p.job))) for p in tables}
        some = True
        while some:
            found = {table: len(take_out_orphans(alias, sources, table)) for table in sources}
            taken.update(found)
            some = any(found.values())
        ledger.mark_write(alias, tables[0].job.run_id)
    return taken


def _set_aside_keys(
    alias: str, table: TableId, mapping: TableMapping | None
) -> tuple[int | str, ...]:
    """The keys of a parent table's rows that are in quarantine."""
    if mapping is None or not mapping.key_columns.is_single:
        return ()
    rows = table.of(QuarantinedRow.objects.using(alias))
    rows = rows.exclude(reason__in=keys_not_taken(mapping))
    # A blob that reads like a text key is no key.
    rows = rows.exclude(reason="blob", column=mapping.key_columns.names[0])
    keys = rows.exclude(status=QuarantinedRow.Status.REPAIRED).values_list("key", flat=True)
    return mapping.key_columns.referred(keys)


def finish_table(
    alias: str,
    mapping: TableMapping,
    dropped: Sequence[DroppedObject],
    mark: int,
    outcome: Outcome,
) -> None:
    """Build what was taken down, set the sequence beyond `mark`, renew the planner's figures.

    Raises TransferError where parent rows vanished from the target meanwhile.
    """
    try:
        objects.build_all_again(alias, dropped)
    except IntegrityError as error:
        raise TransferError(
            f"Rows of {mapping.target} refer to rows that somebody deleted from the target during "
            "the import, so that its foreign key is still down: run `manage.py import_sqlite` "
            "again without --table; it brings them back and builds the key. If it says this again, "
            "the file's own references are broken: its PRAGMA foreign_key_check lists them."
        ) from error
    set_sequence(alias, mapping, mark)
    if outcome.inserted + outcome.updated:
        # The admin shows the planner's estimate instead of counting.
        renew_planner_figures(alias, mapping.relation)
