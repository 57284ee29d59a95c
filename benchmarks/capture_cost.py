"""What capture costs the old application's writes.

    python benchmarks/capture_cost.py [--slices 60] [--dir DIR]

Autocommit statements of the old application, in slices that alternate between a file with and
one without triggers, in WAL and rollback journal, without sync and with synchronous=FULL; the
rates are those of the median slices.
"""

from __future__ import annotations

import argparse
import os
import sqlite3
import statistics
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "stillme.settings")

import django

django.setup()

from stillme.transfer.sqlite.capture import CapturedTable, install  # noqa: E402

SCHEMA = """
CREATE TABLE rss_fetch_items (
    id INTEGER PRIMARY KEY AUTOINCREMENT, cycle_id INTEGER NOT NULL, title TEXT NOT NULL,
    source_url TEXT NOT NULL, link TEXT, summary TEXT, fetch_timestamp TIMESTAMP NOT NULL,
    status TEXT NOT NULL, status_reason TEXT, vector_id TEXT, added_to_rag_at TIMESTAMP,
    created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP);
CREATE INDEX idx_cycle_id ON rss_fetch_items(cycle_id);
CREATE INDEX idx_status ON rss_fetch_items(status);
CREATE INDEX idx_fetch_timestamp ON rss_fetch_items(fetch_timestamp);
CREATE TABLE tier_metrics (
    item_id TEXT PRIMARY KEY, tier TEXT NOT NULL, surprise_score REAL DEFAULT 0.0,
    last_update_cycle INTEGER DEFAULT 0, updated_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP);
CREATE INDEX idx_tier_metrics_tier ON tier_metrics(tier);
"""
TABLES = [
    CapturedTable("rss_fetch_items", "id", True, True),
    CapturedTable("tier_metrics", "item_id", False, True),
]
INSERT = (
    "INSERT INTO rss_fetch_items (cycle_id, title, source_url, link, summary, fetch_timestamp, "
    "status) VALUES (?, ?, ?, ?, ?, ?, ?)"
)
ITEM = (
    1, "A title of the usual length", "https://example.org/feed", "https://example.org/a/b/c",
    "summary " * 40, "2026-01-02T03:04:05.678901", "Added to RAG",
)  # fmt: skip
SLICE = 40
UPDATE = (
    "UPDATE tier_metrics SET last_update_cycle = ?, updated_at = CURRENT_TIMESTAMP "
    "WHERE item_id = ?"
)


def make(path: Path, journal: str, captured: bool) -> None:
    """A file with 2,000 metrics."""
    connection = sqlite3.connect(path)
    connection.execute(f"PRAGMA journal_mode = {journal}")
    connection.executescript(SCHEMA)
    connection.executemany(
        "INSERT INTO tier_metrics (item_id, tier) VALUES (?, 'L0')",
        [(f"item-{n}",) for n in range(2000)],
    )
    connection.commit()
    connection.close()
    if captured:
        install(path, TABLES)


def write(connection: sqlite3.Connection, kind: str, start: int, rows: int) -> float:
    """Seconds for so many autocommitted statements."""
    began = time.perf_counter()
    for n in range(start, start + rows):
        if kind == "insert":
            connection.execute(INSERT, ITEM)
        else:
            connection.execute(UPDATE, (n, f"item-{n % 2000}"))
    return time.perf_counter() - began


def compare(folder: Path, journal: str, synchronous: str, kind: str, slices: int) -> list[float]:
    """Cost of capture per slice pair: (seconds with / seconds without). Slices alternate.

    The disk is never as fast one second as the next; what stands side by side is compared.
    """
    connections = {}
    for captured in (False, True):
        path = folder / f"{journal}-{synchronous}-{kind}-{captured}.db"
        make(path, journal, captured)
        connections[captured] = sqlite3.connect(path, isolation_level=None)
        connections[captured].execute(f"PRAGMA synchronous = {synchronous}")
    found = {False: [], True: []}  # type: dict[bool, list[float]]
    for n in range(slices):
        for captured in (False, True) if n % 2 else (True, False):
            found[captured].append(write(connections[captured], kind, n * SLICE, SLICE))
    for connection in connections.values():
        connection.close()
    return [statistics.median(found[False]), statistics.median(found[True])]


def main() -> None:
    """Print one line per combination."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--slices", type=int, default=60)
    parser.add_argument("--dir", default=None)
    options = parser.parse_args()
    print(f"SQLite {sqlite3.sqlite_version}, autocommitted statements, slices of {SLICE}")
    with tempfile.TemporaryDirectory(dir=options.dir) as name:
        for journal in ("wal", "delete"):
            for synchronous in ("OFF", "FULL"):
                for kind in ("insert", "update"):
                    plain, with_capture = compare(
                        Path(name), journal, synchronous, kind, options.slices
                    )
                    print(
                        f"{journal:6} synchronous={synchronous:4} {kind:6} {SLICE / plain:9.0f}/s "
                        f"-> {SLICE / with_capture:9.0f}/s  {plain / with_capture - 1:+.1%}"
                    )


if __name__ == "__main__":
    main()
