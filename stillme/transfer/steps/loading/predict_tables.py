"""What an import would do, table by table, without a server: for `--dry-run` and `inspect_sqlite`.

Parents come first, because a row whose parent is set aside is set aside too. An example: one row of
`rss_fetch_cycles` has a date that does not exist, and 40 rows of `rss_fetch_items` refer to it; so
1 row is quarantined for its date and 40 for their missing parent.

Tables may refer to themselves, or to each other in a circle, for example `folders` to `documents`
by `cover_id` and `documents` to `folders` by `folder_id`. No order of loading has every parent
before its children. So which rows are set aside is found before any is loaded: those that are bad,
then those that refer to them, then those that refer to these, until no more are found. The foreign
keys between the tables are down while they are loaded.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace

from stillme.transfer.identity import TableId
from stillme.transfer.keys import Key
from stillme.transfer.mapping import TableMapping
from stillme.transfer.records.table_job import TableJob
from stillme.transfer.registry import circle
from stillme.transfer.sqlite.reading.connect import explained, quoted
from stillme.transfer.sqlite.reading.other_rows import no_earlier
from stillme.transfer.steps.loading.plan import PlannedTable
from stillme.transfer.steps.loading.predict import Prediction, predict_table

_KEYS = "temp.set_aside_here"
SetAsideKeys = dict[str, tuple[int | str, ...]]


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
        with explained(planned.job.snapshot.source):
            aside |= _in_circle(planned, every, aside, edited)
            job = _knowing(planned.job, aside)
            prediction = predict_table(job, profiled=profiled)
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


def set_aside_in_circle(
    jobs: Mapping[str, TableJob], loaded: Mapping[str, Collection[str]]
) -> SetAsideKeys:
    """Table -> keys of its rows that will be set aside, for the tables of one circle.

    `jobs` know what is set aside of other parents. `loaded` are keys (as text) of bad rows that
    are in the target all the same: edited ones.
    """
    found: dict[str, set[int | str]] = {}
    news: dict[str, set[int | str]] = {}
    for table, job in jobs.items():
        bad = predict_table(job, profiled=False).aside
        news[table] = {key for key in bad if str(key) not in loaded[table]}
        found[table] = set(news[table])
    (job, *_) = jobs.values()
    with closing(job.snapshot.open()) as connection:
        connection.execute(f"CREATE TABLE {_KEYS} (key PRIMARY KEY)")
        while any(news.values()):
            before, news = news, {table: set() for table in jobs}
            for parent, keys in before.items():
                connection.execute(f"DELETE FROM {_KEYS}")
                connection.executemany(f"INSERT INTO {_KEYS} VALUES (?)", ((k,) for k in keys))
                for table, query in _children(jobs, parent):
                    columns = jobs[table].mapping.key_columns
                    rows = columns.held(map(Key.of_flat, connection.execute(query)))
                    children = {key.values[0] for key in rows} - found[table]
                    children = {key for key in children if str(key) not in loaded[table]}
                    news[table] |= children
                    found[table] |= children
    return {table: tuple(sorted(keys)) for table, keys in found.items()}


def _children(jobs: Mapping[str, TableJob], parent: str) -> list[tuple[str, str]]:
    """(table, SQL: the keys of its rows that refer to a key of the temporary table)."""
    return [
        (table, _children_of(job.mapping, parent))
        for table, job in jobs.items()
        if parent in job.parents and job.mapping.key_columns.is_single
    ]


def _children_of(mapping: TableMapping, parent: str) -> str:
    keys, table = mapping.key_columns, quoted(mapping.table)
    tests = [
        f"{table}.{quoted(column.legacy)} COLLATE BINARY IN (SELECT key FROM {_KEYS})"
        for column, name in mapping.references()
        if name == parent
    ]
    first = "" if mapping.key_is_unique else f" AND {no_earlier(mapping)}"
    return (
        f"SELECT {keys.legacy_parts(table)} FROM {table} "
        f"WHERE ({' OR '.join(tests)}) AND {keys.legacy_usual(table)}{first}"
    )
