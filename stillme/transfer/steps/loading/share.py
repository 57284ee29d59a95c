"""A range that several importers may load: whoever gets its lock does, once."""

from __future__ import annotations

from django.db import connections

from stillme.transfer import ledger
from stillme.transfer.models import Chunk, SharedRange
from stillme.transfer.postgresql.locks import claimed
from stillme.transfer.sqlite.ranges import KeyRange
from stillme.transfer.steps.loading.load_range import load_range
from stillme.transfer.steps.rows.job import TableSource
from stillme.transfer.steps.rows.outcome import Outcome


def load_shared(
    alias: str, source: TableSource, key_range: KeyRange, previous: Chunk | None
) -> Outcome | None:
    """Load the range unless somebody else has; None while somebody else is at it.

    What is found done is returned as its loader wrote it down, whoever that was.
    """
    job = source.job
    assert job.run_id is not None
    offered = SharedRange.objects.using(alias)
    shared = job.mapping.identity.of(offered).get(run_id=job.run_id, number=key_range.number)
    with claimed(connections[alias], shared.pk) as held:
        # Looked at again under the lock: it may have been loaded since.
        shared.refresh_from_db(using=alias)
        if shared.outcome is not None:
            return Outcome(**{**shared.outcome, "elsewhere": True})
        if not held:
            return None
        outcome = load_range(alias, source, key_range, previous)
        if outcome.skipped:
            # Nothing was written, so no transaction carried the record.
            ledger.record_shared(alias, job, key_range.number, outcome)
        return outcome
