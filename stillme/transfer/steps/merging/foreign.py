"""Rows of the target that somebody else than the engine wrote while the files are in charge.

Before the cut-over PostgreSQL is to be written by the engine alone. A row whose last writer is
none of the engine's transactions is found by its `xmin`; it is left as it is, and named.
"""

from __future__ import annotations

from collections.abc import Sequence

from django.db import connections

from stillme.transfer.mapping import TableMapping
from stillme.transfer.postgresql.copy import fetch_all, quoted
from stillme.transfer.steps.merging.compare import target_keys
from stillme.transfer.steps.merging.merge_rows import OURS

MOST = 20


def foreign_rows(alias: str, mapping: TableMapping) -> list[str]:
    """Keys, some of them, of rows that somebody else wrote last. Reads the whole table."""
    if mapping.key is None:
        return []
    key = quoted(mapping.key.target)
    rows = fetch_all(
        connections[alias],
        f"SELECT t.{key}::text FROM {mapping.relation} AS t WHERE NOT {OURS} "
        f"ORDER BY t.{key} LIMIT {MOST}",
    )
    return [row[0] for row in rows]


def foreign_among(alias: str, mapping: TableMapping, keys: Sequence[str]) -> list[str]:
    """Those of the keys (as text) whose target row somebody else wrote last."""
    if mapping.key is None or not keys:
        return []
    key = quoted(mapping.key.target)
    rows = fetch_all(
        connections[alias],
        f"SELECT t.{key}::text FROM {mapping.relation} AS t "
        f"WHERE t.{key} = ANY(%s) AND NOT {OURS} ORDER BY 1",
        [target_keys(mapping, keys)],
    )
    return [row[0] for row in rows]


def sentence(table: str, keys: Sequence[str]) -> str:
    """What was found, and what to do."""
    shown = ", ".join(keys[:5]) + (", ..." if len(keys) > 5 else "")
    return (
        f"{table}: rows written in PostgreSQL by somebody else ({shown}) are left as they are: "
        "end that writer, then manage.py import_sqlite --overwrite takes the legacy's values."
    )
