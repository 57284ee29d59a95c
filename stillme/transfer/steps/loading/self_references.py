"""Tables that refer to themselves: which of their rows are set aside is found before any is loaded.

A row may stand before its parent, so the table is loaded as one range, in one transaction, whose
foreign key is looked at in the end. A row whose parent is set aside is set aside too, and so are
that row's own children.
"""

from __future__ import annotations

from collections.abc import Collection
from contextlib import closing

from stillme.transfer.keys import Key
from stillme.transfer.mapping import TableMapping
from stillme.transfer.records.table_job import TableJob
from stillme.transfer.sqlite.reading.connect import quoted
from stillme.transfer.sqlite.reading.other_rows import no_earlier
from stillme.transfer.steps.loading.predict import predict_table

_KEYS = "temp.set_aside_here"


def set_aside_of_itself(
    job: TableJob, loaded: Collection[str] = ()
) -> dict[str, tuple[int | str, ...]]:
    """The job's `set_aside` with the table itself, where it refers to itself.

    `loaded` are keys (as text) of bad rows that are in the target all the same: edited ones.
    """
    mapping, keys = job.mapping, job.mapping.key_columns
    if not mapping.refers_to_itself:
        return job.set_aside
    bad = predict_table(job, profiled=False).aside
    found = {key for key in bad if str(key) not in loaded}
    news = found
    with closing(job.snapshot.open()) as connection:
        connection.execute(f"CREATE TABLE {_KEYS} (key PRIMARY KEY)")
        query = _children(mapping)
        while news:
            connection.execute(f"DELETE FROM {_KEYS}")
            connection.executemany(f"INSERT INTO {_KEYS} VALUES (?)", ((key,) for key in news))
            rows = connection.execute(query)
            children = {key.values[0] for key in keys.held(map(Key.of_flat, rows))}
            news = {key for key in children - found if str(key) not in loaded}
            found |= news
    return {**job.set_aside, mapping.declared_table: tuple(sorted(found))}


def _children(mapping: TableMapping) -> str:
    """SQL: the keys of rows that refer to a key of the temporary table."""
    keys, table = mapping.key_columns, quoted(mapping.table)
    tests = [
        f"{table}.{quoted(column.legacy)} COLLATE BINARY IN (SELECT key FROM {_KEYS})"
        for column, parent in mapping.references()
        if parent == mapping.declared_table
    ]
    first = "" if mapping.key_is_unique else f" AND {no_earlier(mapping)}"
    return (
        f"SELECT {keys.legacy_parts(table)} FROM {table} "
        f"WHERE ({' OR '.join(tests)}) AND {keys.legacy_usual(table)}{first}"
    )
