"""Which rows the way back must look at: what PostgreSQL was told to change since the cut-over."""

from __future__ import annotations

from collections.abc import Iterator

from django.db import connections

from stillme.transfer.postgresql.copy import fetch_all, quoted
from stillme.transfer.steps.merging.compare import key_value
from stillme.transfer.steps.rows.job import TableSource


def changed_keys(alias: str, name: str) -> tuple[list[str], bool]:
    """(keys written since the cut-over, whether the table was truncated) of a target table."""
    rows = fetch_all(
        connections[alias],
        "SELECT DISTINCT key FROM transfer.reverse_change WHERE relation = %s",
        [name],
    )
    return [row[0] for row in rows if row[0] is not None], any(row[0] is None for row in rows)


def every_key(alias: str, source: TableSource) -> Iterator[object]:
    """Every key of both sides: after a TRUNCATE all of them may have changed."""
    mapping = source.job.mapping
    assert mapping.key is not None
    for raw in source.raw.where("1"):
        yield key_value(raw.cells[mapping.key.legacy][1])
    key = quoted(mapping.key.target)
    for row in fetch_all(connections[alias], f"SELECT {key} FROM {mapping.relation}"):
        yield row[0]
