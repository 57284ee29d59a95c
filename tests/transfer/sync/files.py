"""Small legacy files for the capture tests, with mappings built by hand."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from stillme.transfer import kinds
from stillme.transfer.key_columns import KeyColumns
from stillme.transfer.mapped_column import MappedColumn
from stillme.transfer.mapping import TableMapping
from stillme.transfer.sqlite.schema.found import read_schema

# Connections that writers left open after an exception; the fixture `left_open` closes them.
LEFT_OPEN: list[sqlite3.Connection] = []
ITEMS = """CREATE TABLE rss_fetch_items (
    id INTEGER PRIMARY KEY AUTOINCREMENT, cycle_id INTEGER NOT NULL, title TEXT NOT NULL,
    link TEXT, created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP)"""
METRICS = """CREATE TABLE tier_metrics (
    item_id TEXT PRIMARY KEY, tier TEXT NOT NULL CHECK(tier IN ('L0', 'L1', 'L2', 'L3')),
    surprise_score REAL DEFAULT 0.0)"""
KINDS: dict[str, kinds.Kind] = {
    "id": kinds.Key(),
    "item_id": kinds.TextKey(),
    "tier": kinds.Text(choices=("L0", "L1", "L2", "L3")),
    "surprise_score": kinds.Real(),
    "cycle_id": kinds.Integer(),
    "created_at": kinds.Timestamp(),
}


def make_file(path: Path, *statements: str, journal: str = "delete") -> Path:
    """A file with both tables (or the given ones)."""
    connection = sqlite3.connect(path)
    connection.execute(f"PRAGMA journal_mode = {journal}")
    for sql in statements or (ITEMS, METRICS):
        connection.execute(sql)
    connection.commit()
    connection.close()
    return path


def mappings_of(path: Path) -> list[TableMapping]:
    """Mappings of every table in the file, but our own."""
    connection = sqlite3.connect(path)
    schema = read_schema(connection)
    connection.close()
    return [_mapping(table) for name, table in schema.tables.items() if name != "stillme_change"]


def _mapping(table) -> TableMapping:
    columns = tuple(
        MappedColumn(c.name, c.name, KINDS.get(c.name, kinds.Text()), c.not_null)
        for c in table.columns
    )
    key = next((c for c in columns if isinstance(c.kind, kinds.Key | kinds.TextKey)), None)
    return TableMapping(
        file="test",
        table=table.name,
        declared_table=table.name,
        schema="test",
        target_table=table.name,
        key_columns=KeyColumns(() if key is None else (key,)),
        columns=columns,
        extra=(),
        derived=(),
        nulls=(),
        impossible=(),
        clock=None,
        key_is_unique=key is not None and table.is_unique(key.legacy),
        key_is_in_order=True,
        key_is_rowid=key is not None and table.rowid_alias == key.legacy,
        has_rowid=not table.without_rowid,
    )
