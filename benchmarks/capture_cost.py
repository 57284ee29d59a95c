"""What capture costs the old application's writes.

    python benchmarks/capture_cost.py [--rows 4000] [--rounds 5]

Autocommit statements of the old application, alternating with and without triggers, in WAL and
rollback journal, without sync and with synchronous=FULL; the median of the rounds is printed.
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
UPDATE = "UPDATE tier_metrics SET last_update_cycle = ?, updated_at = CURRENT_TIMESTAMP WHERE item_id = ?"


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


def rate(path: Path, synchronous: str, kind: str, rows: int) -> float:
    """Autocommitted statements a second."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute(f"PRAGMA synchronous = {synchronous}")
    start = time.perf_counter()
    for n in range(rows):
        if kind == "insert":
            connection.execute(INSERT, ITEM)
        else:
            connection.execute(UPDATE, (n, f"item-{n % 2000}"))
    seconds = time.perf_counter() - start
    connection.close()
    return rows / seconds


def main() -> None:
    """Print one line per combination."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=4000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--dir", default=None)
    options = parser.parse_args()
    print(f"SQLite {sqlite3.sqlite_version}, {options.rows} autocommitted statements a round")
    for journal in ("wal", "delete"):
        for synchronous in ("OFF", "FULL"):
            for kind in ("insert", "update"):
                rows = options.rows if synchronous == "OFF" else max(options.rows // 8, 100)
                found: dict[bool, list[float]] = {False: [], True: []}
                for _ in range(options.rounds):
                    for captured in (False, True):
                        with tempfile.TemporaryDirectory(dir=options.dir) as folder:
                            path = Path(folder) / "a.db"
                            make(path, journal, captured)
                            found[captured].append(rate(path, synchronous, kind, rows))
                plain, with_capture = (statistics.median(found[c]) for c in (False, True))
                print(
                    f"{journal:6} synchronous={synchronous:4} {kind:6} "
                    f"{plain:9.0f}/s -> {with_capture:9.0f}/s  {with_capture / plain - 1:+.1%}"
                )


if __name__ == "__main__":
    main()
