"""Makes large legacy files for measurements: a million rows in a few seconds."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from stillme.demo.samples import schema
from stillme.demo.samples.rows import accuracy_rows, continuum_rows, knowledge_rows, rss_rows
from stillme.demo.samples.rows.bulk_rows import Pools, bulk_rows

COLUMNS: dict[str, tuple[str, ...]] = {
    "knowledge_items": knowledge_rows.ITEM_COLUMNS,
    "learning_sessions": knowledge_rows.SESSION_COLUMNS,
    "knowledge_relationships": knowledge_rows.RELATIONSHIP_COLUMNS,
    "accuracy_scores": accuracy_rows.SCORE_COLUMNS,
    "performance_trends": accuracy_rows.TREND_COLUMNS,
    "learning_objectives": accuracy_rows.OBJECTIVE_COLUMNS,
    "tier_metrics": continuum_rows.METRIC_COLUMNS,
    "tier_audit": continuum_rows.AUDIT_COLUMNS,
    "forgetting_metrics": continuum_rows.FORGETTING_COLUMNS,
    "rss_fetch_items": rss_rows.ITEM_COLUMNS,
    "rss_fetch_cycles": rss_rows.CYCLE_COLUMNS,
}

SHARES = {
    "rss_fetch_items": 32,
    "learning_sessions": 17,
    "accuracy_scores": 17,
    "knowledge_items": 14,
    "tier_audit": 5,
    "tier_metrics": 4,
    "knowledge_relationships": 3,
    "forgetting_metrics": 3,
    "performance_trends": 2,
    "learning_objectives": 1,
    "rss_fetch_cycles": 2,
}
"""Per cent of a mixed set: mostly feed history and chats, as in real installations."""

PARENTS = {"rss_fetch_items": "rss_fetch_cycles", "knowledge_relationships": "knowledge_items"}


@dataclass
class BulkSummary:
    """What was made: paths, rows per table, bytes per file."""

    directory: Path
    paths: dict[str, Path] = field(default_factory=dict)
    rows: dict[str, int] = field(default_factory=dict)
    bytes: dict[str, int] = field(default_factory=dict)

    @property
    def total(self) -> int:
        """Rows in all tables together."""
        return sum(self.rows.values())


def make_bulk(
    directory: Path, table: str | None = None, rows: int = 1_000_000, seed: int = 7
) -> BulkSummary:
    """Write `rows` rows of one table (and its parents), or a mixture over all four files.

    A file is made only if one of its tables gets rows; its other tables are empty.
    """
    counts = plan(table, rows)
    summary = BulkSummary(directory)
    pools = Pools.make(seed)
    directory.mkdir(parents=True, exist_ok=True)
    for file, tables in schema.TABLES.items():
        wanted = {name: counts[name] for name in tables if name in counts}
        if not wanted:
            continue
        path = directory / file
        if path.exists():
            raise FileExistsError(f"{path} exists already; choose an empty folder.")
        _write(path, wanted, counts, pools)
        summary.paths[file] = path
        summary.bytes[file] = path.stat().st_size
        summary.rows.update(wanted)
    return summary


def plan(table: str | None, rows: int) -> dict[str, int]:
    """Rows per table: those asked for, and a twentieth as many in a table they refer to."""
    if table is None:
        counts = {name: rows * share // 100 for name, share in SHARES.items()}
        counts["rss_fetch_items"] += rows - sum(counts.values())
        return counts
    if table not in COLUMNS:
        raise ValueError(f"{table} is not a legacy table; they are {', '.join(COLUMNS)}.")
    counts = {table: rows}
    if table in PARENTS:
        counts[PARENTS[table]] = max(rows // 20, 1)
    return counts


def _write(path: Path, wanted: dict[str, int], counts: dict[str, int], pools: Pools) -> None:
    """No journal while writing, indexes last, then the journal mode the application uses."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA synchronous=OFF")
        connection.execute("PRAGMA journal_mode=OFF")
        for statement in schema.TABLES[path.name].values():
            connection.execute(statement)
        connection.execute("BEGIN")
        for table, count in wanted.items():
            own = pools.with_parents(counts.get(PARENTS.get(table, ""), 1))
            sql = schema.insert_sql(table, COLUMNS[table])
            connection.executemany(sql, bulk_rows(table, count, own))
        connection.execute("COMMIT")
        for statement in schema.INDEXES[path.name]:
            connection.execute(statement)
        if path.name == schema.RSS:
            connection.execute("PRAGMA journal_mode=WAL")
