"""What an import into an empty target will make of one table: exact, and without a server.

Common rows are told apart by the loader's own predicate plus what PostgreSQL itself would refuse
(30 February, a year 0, a JSON number beyond numeric); every other row goes through the loader's
own policy, so that prediction and import cannot disagree.
"""

from __future__ import annotations

import re
import zlib
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from stillme.transfer.mapping import TableMapping
from stillme.transfer.plumbing.quoting import chained
from stillme.transfer.records.outcome import Outcome
from stillme.transfer.records.table_job import TableJob
from stillme.transfer.sqlite.reading.connect import quoted
from stillme.transfer.sqlite.reading.stored_rows import RawRow
from stillme.transfer.sqlite.schema.profile import (
    ATTENTION,
    ColumnProfile,
    add_common,
    add_row,
    empty_profiles,
)
from stillme.transfer.steps.kinds import json_policy, loader_of
from stillme.transfer.steps.kinds.texts import LONGEST_KEY
from stillme.transfer.steps.rows.table_source import TableSource
from stillme.transfer.steps.rows.unusual_rows import LoadedRow, SetAside, keys_not_taken

MOST_EXAMPLES = 3
_BATCH_ROWS = 1000
_AT_ONCE = 500
_MOST_REMEMBERED = 1_000  # bytes of a document
_LONG_EXPONENT = re.compile(r"[0-9][eE][+-]?[0-9]{5}")


@dataclass(slots=True)
class Prediction:
    """Counts of rows, what is behind them, and the profile of every column.

    `reasons` counts rows to be quarantined, `repairs` cells to be repaired as (column, reason),
    `kept` cells whose original is kept although the row counts as loaded.
    """

    rows: int = 0
    repaired: int = 0
    quarantined: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    repairs: Counter[tuple[str, str]] = field(default_factory=Counter)
    examples: list[SetAside] = field(default_factory=list)
    columns: list[ColumnProfile] = field(default_factory=list)
    long_keys: int = 0
    aside: list[int | str] = field(default_factory=list)

    @property
    def loaded(self) -> int:
        """Rows that load as they are."""
        return self.rows - self.repaired - self.quarantined

    def outcome(self) -> Outcome:
        """The same as the import counts it."""
        return Outcome(
            legacy_rows=self.rows,
            loaded=self.loaded,
            repaired=self.repaired,
            quarantined=self.quarantined,
            reasons=dict(self.reasons),
        )


def predict_table(job: TableJob, *, profiled: bool = True) -> Prediction:
    """Tell the rows of a table apart; in a second pass, if `profiled`, profile its columns."""
    prediction = Prediction()
    profiles = empty_profiles(job.mapping)
    with closing(TableSource(job)) as streamed, closing(TableSource(job)) as source:
        # Texts are checked as bytes, a batch at a time; Python would stop at the first bad one.
        streamed.connection.text_factory = bytes
        streamed.connection.execute(f"CREATE TEMP TABLE {ATTENTION} (number INTEGER PRIMARY KEY)")
        for row in _rows_that_need_attention(streamed, source, prediction):
            _note(prediction, job, _judge(source, row, prediction))
            if profiled:
                add_row(job.mapping, profiles, row)
        if profiled and job.mapping.has_rowid:
            add_common(streamed.connection, job.mapping, profiles)
    prediction.columns = list(profiles.values())
    return prediction


def _rows_that_need_attention(
    streamed: TableSource, source: TableSource, prediction: Prediction
) -> Iterator[RawRow]:
    mapping = source.job.mapping
    if not mapping.has_rowid:
        for row in source.raw.where("1"):
            prediction.rows += 1
            yield row
        return
    table = quoted(mapping.table)
    for batch in _batches(streamed, prediction):
        streamed.connection.executemany(
            f"INSERT INTO temp.{ATTENTION} VALUES (?)", ((rowid,) for rowid in batch)
        )
        for start in range(0, len(batch), _AT_ONCE):
            listed = ", ".join(map(str, batch[start : start + _AT_ONCE]))
            yield from source.raw.where(f"{table}.rowid IN ({listed})")


def _batches(streamed: TableSource, prediction: Prediction) -> Iterator[list[int]]:
    """Rowids that need attention, batch by batch, in the order of the file."""
    mapping = streamed.job.mapping
    documents = [quoted(c.legacy) for c in mapping.columns if c.kind.is_document]
    test = chained([f"({streamed.common.predicate})", *_strict_tests(mapping)], "AND")
    columns = ["rowid", test, _texts(mapping), *documents]
    cursor = streamed.connection.execute(
        f"SELECT {', '.join(columns)} FROM {quoted(mapping.table)}"
    )
    while batch := cursor.fetchmany(_BATCH_ROWS):
        prediction.rows += len(batch)
        bad = [row[0] for row in batch if not row[1]]
        common = [row for row in batch if row[1]]
        if not _is_clean_text(b"\n".join([row[2] for row in common])):
            bad += [row[0] for row in common if not _is_clean_text(row[2])]
        for position in range(3, 3 + len(documents)):
            bad += [row[0] for row in common if not _is_clean(row[position])]
        if bad:
            yield sorted(set(bad))


def _texts(mapping: TableMapping) -> str:
    """All text cells of a row in one, apart from each other so that no bytes join."""
    names = [
        f"coalesce({quoted(c.legacy)}, '')" for c in mapping.columns if c.kind.storage == "text"
    ]
    return chained(names, "|| '|' ||") or "''"


def _is_clean_text(raw: bytes) -> bool:
    if b"\0" in raw:
        return False
    try:
        raw.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _is_clean(document: bytes | None) -> bool:
    if document is None:
        return True
    return (_is_plain_again if len(document) < _MOST_REMEMBERED else _is_plain)(document)


def _is_plain(document: bytes) -> bool:
    """The loader's fast test, and nothing jsonb could find too large; else its policy."""
    text = document.decode("utf-8", "replace")
    short = len(text) < 5000 and text.count("[") < 400 and not _LONG_EXPONENT.search(text)
    if short and json_policy.is_clean(text):
        return True
    try:
        return not json_policy.convert(text)[1]
    except json_policy.TooLarge:
        return False


# Short documents are often equal.
_is_plain_again = lru_cache(20_000)(_is_plain)


def _strict_tests(mapping: TableMapping) -> list[str]:
    """What the loader's predicate leaves to PostgreSQL: days no calendar has, overlong keys."""
    tests = []
    for column in mapping.columns:
        name = quoted(column.legacy)
        if test := loader_of(column.kind).strict_test(name):
            tests.append(test if column.required else f"({name} IS NULL OR {test})")
    return tests


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
        prediction.repairs.update((kept.column, kept.reason) for kept in row.kept)
        return
    prediction.quarantined += 1
    prediction.reasons[row.reason] += 1
    if prediction.reasons[row.reason] <= MOST_EXAMPLES:
        prediction.examples.append(row)
    keys = job.mapping.key_columns
    is_blob = row.reason == "blob" and row.column in keys.names
    if keys.is_single and not is_blob and row.reason not in keys_not_taken(job.mapping):
        prediction.aside += keys.referred([row.key])


def as_dict(prediction: Prediction) -> dict[str, Any]:
    """Plain data for JSON."""
    return {
        "rows": prediction.rows,
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
