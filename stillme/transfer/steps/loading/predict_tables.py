"""What an import would do, table by table, without a server: for `--dry-run` and `inspect_sqlite`.

Parents come first, because a row whose parent is set aside is set aside too. An example: one row of
`rss_fetch_cycles` has a date that does not exist, and 40 rows of `rss_fetch_items` refer to it; so
1 row is quarantined for its date and 40 for their missing parent.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from stillme.transfer.identity import TableId
from stillme.transfer.records.table_job import TableJob
from stillme.transfer.registry import circle
from stillme.transfer.sqlite.reading.connect import explain
from stillme.transfer.steps.loading.circles import set_aside_in_circle
from stillme.transfer.steps.loading.plan import PlannedTable
from stillme.transfer.steps.loading.predict import Prediction, predict_table


@dataclass(frozen=True, slots=True)
class Predicted:
    """One table: the job that an import would do, and what would become of its rows."""

    planned: PlannedTable
    job: TableJob
    prediction: Prediction
    seconds: float


def predict_tables(
    tables: Iterable[PlannedTable],
    edited: Callable[[TableJob], Collection[str]] = lambda job: (),
    *,
    profiled: bool = False,
) -> Iterator[Predicted]:
    """Predict planned tables, whose parents come first. Raises LegacyFileError.

    `edited` gives the keys of bad rows that are in the target all the same.
    """
    aside: dict[TableId, tuple[int | str, ...]] = {}
    every = list(tables)
    for planned in every:
        began = time.monotonic()
        try:
            aside |= _in_circle(planned, every, aside, edited)
            job = _knowing(planned.job, aside)
            prediction = predict_table(job, profiled=profiled)
        except sqlite3.Error as error:
            raise explain(job.snapshot.source, error) from error
        aside[planned.identity] = tuple(prediction.aside)
        yield Predicted(planned, job, prediction, time.monotonic() - began)


def _knowing(job: TableJob, aside: Mapping[TableId, tuple[int | str, ...]]) -> TableJob:
    file = job.mapping.file
    return replace(
        job, set_aside={name: aside.get(TableId(file, name), ()) for name in job.parents}
    )


def _in_circle(
    planned: PlannedTable,
    tables: Sequence[PlannedTable],
    aside: Mapping[TableId, tuple[int | str, ...]],
    edited: Callable[[TableJob], Collection[str]],
) -> dict[TableId, tuple[int | str, ...]]:
    """What is set aside in the table and its circle; nothing where that is known, or no circle."""
    file = planned.identity.file
    names = circle(*planned.identity) | {planned.name}
    members = [t for t in tables if t.identity.file == file and t.name in names]
    jobs = {member.name: _knowing(member.job, aside) for member in members}
    if planned.identity in aside or not any(names & job.parents.keys() for job in jobs.values()):
        return {}
    found = set_aside_in_circle(jobs, {name: edited(job) for name, job in jobs.items()})
    return {TableId(file, name): keys for name, keys in found.items()}
