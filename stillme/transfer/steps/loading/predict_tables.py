"""What an import would do, table by table, without a server: for `--dry-run` and `inspect_sqlite`.

Parents come first, because a row whose parent is set aside is set aside too. An example: one row of
`rss_fetch_cycles` has a date that does not exist, and 40 rows of `rss_fetch_items` refer to it; so
1 row is quarantined for its date and 40 for their missing parent.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, replace

from stillme.transfer.identity import TableId
from stillme.transfer.records.table_job import TableJob
from stillme.transfer.sqlite.reading.connect import explain
from stillme.transfer.steps.loading.plan import PlannedTable
from stillme.transfer.steps.loading.predict import Prediction, predict_table
from stillme.transfer.steps.loading.self_references import set_aside_of_itself


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
    for planned in tables:
        began, file = time.monotonic(), planned.identity.file
        known = {name: aside.get(TableId(file, name), ()) for name in planned.job.parents}
        job = replace(planned.job, set_aside=known)
        try:
            job = replace(job, set_aside=set_aside_of_itself(job, edited(job)))
            prediction = predict_table(job, profiled=profiled)
        except sqlite3.Error as error:
            raise explain(job.snapshot.source, error) from error
        aside[planned.identity] = tuple(prediction.aside)
        yield Predicted(planned, job, prediction, time.monotonic() - began)
