"""What an import into an empty target will make of one table: exact, and without a server.

Rows are read as the loader reads them. Its predicate for common rows is made stricter by what
PostgreSQL itself would refuse (30 February, a year 0, a JSON number beyond numeric), and every
other row goes through the loader's own policy, so that prediction and import cannot disagree.
"""

from __future__ import annotations

import zlib
from collections import Counter
from contextlib import closing
from dataclasses import dataclass, field, replace
from typing import Any

from stillme.transfer.mapping import TableMapping
from stillme.transfer.plumbing.quoting import chained
from stillme.transfer.records.outcome import Outcome
from stillme.transfer.records.table_job import TableJob
from stillme.transfer.sqlite.reading.connect import quoted
from stillme.transfer.sqlite.reading.key_ranges import key_ranges
from stillme.transfer.sqlite.reading.stored_rows import RawRow
from stillme.transfer.sqlite.schema.profile import (
    ATTENTION,
    ColumnProfile,
    add_common,
    add_row,
    empty_profiles,
)
from stillme.transfer.steps.kinds import loader_of
from stillme.transfer.steps.kinds.texts import LONGEST_KEY
from stillme.transfer.steps.rows.common_rows import CommonRows
from stillme.transfer.steps.rows.read_range import RangeReader
from stillme.transfer.steps.rows.table_source import TableSource
from stillme.transfer.steps.rows.unusual_rows import LoadedRow, SetAside, keys_not_taken

MOST_EXAMPLES = 3
_RANGE_ROWS = 50_000


@dataclass(slots=True)
class Prediction(Outcome):
    """What the import will count, what is behind it, and the profile of every column.

    `reasons` counts rows to be quarantined, `repairs` cells to be repaired as (column, reason).
    """

    repairs: Counter[tuple[str, str]] = field(default_factory=Counter)
    examples: list[SetAside] = field(default_factory=list)
    columns: list[ColumnProfile] = field(default_factory=list)
    long_keys: int = 0
    aside: list[int | str] = field(default_factory=list)


def predict_table(job: TableJob, *, profiled: bool = True) -> Prediction:
    """Tell the rows of a table apart; in a second pass, if `profiled`, profile its columns."""
    prediction = Prediction()
    profiles = empty_profiles(job.mapping)
    with closing(TableSource(job)) as source:
        source.common = _strict(source.common, job.mapping)
        source.connection.execute(f"CREATE TEMP TABLE {ATTENTION} (number INTEGER PRIMARY KEY)")
        for key_range in key_ranges(source.connection, job.mapping, _RANGE_ROWS):
            reader = RangeReader(source, key_range)
            for _ in reader.blocks():
                pass
            attention = []
            for row in reader.others():
                _note(prediction, job, _judge(source, row, prediction))
                if profiled:
                    add_row(job.mapping, profiles, row.whole())
                attention.append((row.rowid,))
            prediction.legacy_rows += reader.rows
            prediction.loaded += reader.rows - len(attention)
            source.connection.executemany(f"INSERT INTO temp.{ATTENTION} VALUES (?)", attention)
        if profiled and job.mapping.has_rowid:
            add_common(source.connection, job.mapping, profiles)
    prediction.columns = list(profiles.values())
    return prediction


def _strict(common: CommonRows, mapping: TableMapping) -> CommonRows:
    """What the predicate leaves to PostgreSQL, days no calendar has for example, is tested too."""
    tests = [f"({common.predicate})"]
    for column in mapping.columns:
        name = quoted(column.legacy)
        if test := loader_of(column.kind).strict_test(name):
            tests.append(test if column.required else f"({name} IS NULL OR {test})")
    return replace(common, predicate=chained(tests, "AND"))


def _judge(source: TableSource, row: RawRow, prediction: Prediction) -> LoadedRow | SetAside:
    """The loader's verdict, and PostgreSQL's own for a key that no index entry holds."""
    verdict = source.careful.convert(row)
    mapping = source.job.mapping
    if isinstance(verdict, SetAside) or not mapping.key_columns.holds_text:
        return verdict
    key = verdict.key.encode()
    if len(key) <= LONGEST_KEY:
        return verdict
    prediction.long_keys += 1
    # zlib stands in for the compression of PostgreSQL's index entries.
    if len(zlib.compress(key, 1)) <= LONGEST_KEY:
        return verdict
    sentence = f"A key of {len(key):,} bytes is longer than an index of PostgreSQL takes."
    column = mapping.key_columns.names[0]
    return SetAside(verdict.key, row, "refused_by_target", column, sentence)


def _note(prediction: Prediction, job: TableJob, row: LoadedRow | SetAside) -> None:
    if isinstance(row, LoadedRow):
        prediction.repaired += row.repaired
        prediction.loaded += not row.repaired
        prediction.repairs.update((kept.column, kept.reason) for kept in row.kept)
        return
    prediction.quarantined += 1
    rows = prediction.reasons[row.reason] = prediction.reasons.get(row.reason, 0) + 1
    if rows <= MOST_EXAMPLES:
        prediction.examples.append(row)
    keys = job.mapping.key_columns
    is_blob = row.reason == "blob" and row.column in keys.names
    if keys.is_single and not is_blob and row.reason not in keys_not_taken(job.mapping):
        prediction.aside += keys.referred([row.key])


def as_dict(prediction: Prediction) -> dict[str, Any]:
    """Plain data for JSON."""
    return {
        "rows": prediction.legacy_rows,
        "loaded": prediction.loaded,
        "repaired": prediction.repaired,
        "quarantined": prediction.quarantined,
        "reasons": dict(sorted(prediction.reasons.items())),
        "repairs": [
            {"column": column, "reason": reason, "cells": cells}
            for (column, reason), cells in sorted(prediction.repairs.items())
        ],
        "examples": [
            {"key": e.key, "column": e.column, "reason": e.reason, "sentence": e.sentence}
            for e in prediction.examples
        ],
        "columns": [column.as_dict() for column in prediction.columns],
    }
