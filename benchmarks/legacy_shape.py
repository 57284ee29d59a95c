"""The old shape of the code on SQLite, restated for comparison: a connection per call, no retries
but SQLite's own, the counters of a cycle read and written back by a second connection."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

SCHEMAS = {
    "knowledge": """
        CREATE TABLE knowledge_items (id INTEGER PRIMARY KEY AUTOINCREMENT, content TEXT NOT NULL,
            source TEXT NOT NULL, knowledge_type TEXT NOT NULL, confidence_score REAL DEFAULT 0.0,
            retention_score REAL DEFAULT 0.0, access_count INTEGER DEFAULT 0,
            last_accessed TIMESTAMP DEFAULT CURRENT_TIMESTAMP,
            created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP, metadata TEXT DEFAULT '{}');
        CREATE TABLE learning_sessions (id INTEGER PRIMARY KEY AUTOINCREMENT,
            session_type TEXT NOT NULL, content_learned TEXT NOT NULL,
            accuracy_score REAL DEFAULT 0.0, retention_improvement REAL DEFAULT 0.0,
            created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP, metadata TEXT DEFAULT '{}');
    """,
    "accuracy": """
        CREATE TABLE accuracy_scores (id INTEGER PRIMARY KEY AUTOINCREMENT,
            question TEXT NOT NULL, expected_answer TEXT, actual_answer TEXT NOT NULL,
            accuracy_score REAL NOT NULL, scoring_method TEXT NOT NULL, context_used TEXT,
            created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP, metadata TEXT DEFAULT '{}');
    """,
    "rss": """
        PRAGMA journal_mode = WAL;
        CREATE TABLE rss_fetch_cycles (id INTEGER PRIMARY KEY AUTOINCREMENT,
            cycle_number INTEGER NOT NULL, entries_fetched INTEGER DEFAULT 0,
            entries_added INTEGER DEFAULT 0, started_at TIMESTAMP NOT NULL,
            completed_at TIMESTAMP, created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP);
        CREATE TABLE rss_fetch_items (id INTEGER PRIMARY KEY AUTOINCREMENT,
            cycle_id INTEGER NOT NULL, title TEXT NOT NULL, source_url TEXT NOT NULL, link TEXT,
            summary TEXT, fetch_timestamp TIMESTAMP NOT NULL, status TEXT NOT NULL,
            status_reason TEXT, vector_id TEXT, added_to_rag_at TIMESTAMP,
            created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP);
        CREATE INDEX idx_cycle_id ON rss_fetch_items(cycle_id);
        CREATE INDEX idx_status ON rss_fetch_items(status);
        CREATE INDEX idx_fetch_timestamp ON rss_fetch_items(fetch_timestamp);
    """,
}

FILLING = {
    "knowledge": [
        "INSERT INTO knowledge_items (content, source, knowledge_type, retention_score) "
        "SELECT 'content ' || n, 'source', 'general', (n * 7919 % 1000) / 1000.0 FROM numbers",
        "INSERT INTO learning_sessions (session_type, content_learned, accuracy_score) "
        "SELECT 'chat', 'Q: question A: answer ' || n, 0.5 FROM numbers",
    ],
    "accuracy": [
        "INSERT INTO accuracy_scores (question, actual_answer, accuracy_score, scoring_method, "
        "created_at) SELECT 'q' || n, 'a' || n, 0.5, 'semantic_similarity', "
        "datetime('now', '-' || n || ' minutes') FROM numbers",
    ],
    "rss": [
        "INSERT INTO rss_fetch_cycles (cycle_number, started_at, completed_at) "
        "SELECT n, strftime('%Y-%m-%dT%H:%M:%S', 'now'), NULL FROM numbers WHERE n <= 2000",
        "INSERT INTO rss_fetch_items (cycle_id, title, source_url, link, summary, status, "
        "fetch_timestamp) SELECT 1 + n % 2000, 'title ' || n, 'https://feed', 'https://link/' || n,"
        " 'summary', 'Added to RAG', strftime('%Y-%m-%dT%H:%M:%S', 'now', '-' || n || ' minutes') "
        "FROM numbers",
    ],
}

NUMBERS = (
    "CREATE TEMP TABLE numbers AS WITH RECURSIVE c(n) AS "
    "(SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < {}) SELECT n FROM c"
)


class LegacyShape:
    """The calls that the application makes, each on files of its own."""

    def __init__(self, folder: Path, rows: int) -> None:
        self.folder = folder
        for name, schema in SCHEMAS.items():
            with sqlite3.connect(folder / f"{name}.db") as file:
                file.executescript(schema)
                file.execute(NUMBERS.format(rows))
                for sql in FILLING[name]:
                    file.execute(sql)
            file.close()

    @contextmanager
    def open(self, name: str, timeout: float = 5.0) -> Iterator[sqlite3.Connection]:
        """A connection for one call."""
        file = sqlite3.connect(self.folder / f"{name}.db", timeout=timeout)
        try:
            if name == "rss":
                # As the old code: said on every connection, though the file remembers it.
                file.execute("PRAGMA journal_mode = WAL")
            yield file
            file.commit()
        finally:
            file.close()

    def rows(self) -> dict[str, int]:
        """Rows per table, and the sum of what the cycles counted."""
        asked = {
            "items": ("knowledge", "SELECT count(*) FROM knowledge_items"),
            "sessions": ("knowledge", "SELECT count(*) FROM learning_sessions"),
            "scores": ("accuracy", "SELECT count(*) FROM accuracy_scores"),
            "fetched": ("rss", "SELECT count(*) FROM rss_fetch_items"),
            "counters": ("rss", "SELECT sum(entries_added) FROM rss_fetch_cycles"),
        }
        found = {}
        for name, (file, sql) in asked.items():
            with self.open(file) as opened:
                found[name] = int(opened.execute(sql).fetchone()[0])
        return found

    def record_learning_session(self) -> None:
        """One INSERT."""
        with self.open("knowledge") as file:
            file.execute(
                "INSERT INTO learning_sessions (session_type, content_learned, accuracy_score, "
                "retention_improvement, metadata) VALUES (?, ?, ?, ?, ?)",
                ("chat", "Q: question A: answer", 0.5, 0.0, json.dumps({"user_id": None})),
            )

    def score_response(self) -> None:
        """One INSERT."""
        with self.open("accuracy") as file:
            file.execute(
                "INSERT INTO accuracy_scores (question, actual_answer, accuracy_score, "
                "scoring_method, metadata) VALUES (?, ?, ?, ?, ?)",
                ("question", "answer", 0.5, "semantic_similarity", "{}"),
            )

    def add_knowledge(self) -> None:
        """One INSERT."""
        with self.open("knowledge") as file:
            file.execute(
                "INSERT INTO knowledge_items (content, source, knowledge_type, confidence_score, "
                "metadata) VALUES (?, ?, ?, ?, ?)",
                ("content", "source", "general", 0.5, "{}"),
            )

    def add_fetch_item(self, cycle: int) -> None:
        """One INSERT, then the counters by another connection: read, add, write."""
        with self.open("rss", timeout=10) as file:
            file.execute(
                "INSERT INTO rss_fetch_items (cycle_id, title, source_url, link, summary, "
                "fetch_timestamp, status) VALUES (?, ?, ?, ?, ?, ?, ?)",
                (cycle, "t", "f", "l", "s", datetime.now().isoformat(), "Added to RAG"),
            )
        with self.open("rss", timeout=10) as file:
            fetched, added = file.execute(
                "SELECT entries_fetched, entries_added FROM rss_fetch_cycles WHERE id = ?", [cycle]
            ).fetchone()
            file.execute(
                "UPDATE rss_fetch_cycles SET entries_fetched = ?, entries_added = ? WHERE id = ?",
                (fetched + 1, added + 1, cycle),
            )

    def get_retained_knowledge(self) -> None:
        """A page of ten; the file has no index for it."""
        with self.open("knowledge") as file:
            file.execute(
                "SELECT * FROM knowledge_items WHERE retention_score >= 0.7 "
                "ORDER BY retention_score DESC, access_count DESC LIMIT 10"
            ).fetchall()

    def get_all_fetch_items(self) -> None:
        """The newest fifty."""
        with self.open("rss", timeout=10) as file:
            file.execute(
                "SELECT * FROM rss_fetch_items ORDER BY fetch_timestamp DESC LIMIT 50"
            ).fetchall()

    def get_fetch_stats(self, cycle: int) -> None:
        """Counts of one cycle."""
        with self.open("rss", timeout=10) as file:
            file.execute(
                "SELECT status, count(*) FROM rss_fetch_items WHERE cycle_id = ? GROUP BY status",
                [cycle],
            ).fetchall()
