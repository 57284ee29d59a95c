"""What an import would do to one table, without a server."""

from __future__ import annotations

from stillme.transfer.keys import whole_key
from stillme.transfer.sqlite.ranges import KeyRange
from stillme.transfer.steps.rows.careful import SetAside, keys_not_taken
from stillme.transfer.steps.rows.job import TableJob, TableSource
from stillme.transfer.steps.rows.outcome import Outcome
from stillme.transfer.steps.rows.read_range import RangeReader


def dry_table(job: TableJob) -> tuple[Outcome, tuple[int, ...]]:
    """The outcome by docs/reference/values.md, and the keys of the rows that would be set aside.

    What only PostgreSQL can tell (a day that no calendar has, say) is asked cell by cell too:
    every row goes the careful way.
    """
    source = TableSource(job)
    outcome = Outcome()
    aside: list[int] = []
    try:
        for raw in RangeReader(source, KeyRange(0)).everything():
            row = source.careful.convert(raw)
            outcome.legacy_rows += 1
            if isinstance(row, SetAside):
                outcome.quarantined += 1
                outcome.reasons[row.reason] = outcome.reasons.get(row.reason, 0) + 1
                if (key := _key_taken(job, row)) is not None:
                    aside.append(key)
            else:
                outcome.repaired += row.repaired
                outcome.loaded += not row.repaired
    finally:
        source.close()
    return outcome, tuple(aside)


def _key_taken(job: TableJob, row: SetAside) -> int | None:
    if row.key is None or row.reason in keys_not_taken(job.mapping):
        return None
    return whole_key(row.key)
