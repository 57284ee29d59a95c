"""What the old application declares in its four files, and how the first version differed.

Same columns, declared types, defaults, constraints and indexes, in the same order. The old
application creates everything with IF NOT EXISTS and keeps no version; only the RSS file is in WAL
mode.
"""

from __future__ import annotations

import sqlite3

KNOWLEDGE = "knowledge_retention.db"
ACCURACY = "accuracy_scores.db"
CONTINUUM = "continuum_memory.db"
RSS = "rss_fetch_history.db"
FILES = (KNOWLEDGE, ACCURACY, CONTINUUM, RSS)

KNOWLEDGE_ITEMS = """CREATE TABLE knowledge_items (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    content TEXT NOT NULL,
    source TEXT NOT NULL,
    knowledge_type TEXT NOT NULL,
    confidence_score REAL DEFAULT 0.0,
    retention_score REAL DEFAULT 0.0,
    access_count INTEGER DEFAULT 0,
    last_accessed TIMESTAMP DEFAULT CURRENT_TIMESTAMP,
    created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP,
    metadata TEXT DEFAULT '{}'
)"""

LEARNING_SESSIONS = """CREATE TABLE learning_sessions (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    session_type TEXT NOT NULL,
    content_learned TEXT NOT NULL,
    accuracy_score REAL DEFAULT 0.0,
    retention_improvement REAL DEFAULT 0.0,
    created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP,
    metadata TEXT DEFAULT '{}'
)"""

KNOWLEDGE_RELATIONSHIPS = """CREATE TABLE knowledge_relationships (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    source_id INTEGER NOT NULL,
    target_id INTEGER NOT NULL,
    relationship_type TEXT NOT NULL,
    strength REAL DEFAULT 0.0,
    created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP,
    FOREIGN KEY (source_id) REFERENCES knowledge_items (id),
    FOREIGN KEY (target_id) REFERENCES knowledge_items (id)
)"""

ACCURACY_SCORES = """CREATE TABLE accuracy_scores (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    question TEXT NOT NULL,
    expected_answer TEXT,
    actual_answer TEXT NOT NULL,
    accuracy_score REAL NOT NULL,
    scoring_method TEXT NOT NULL,
    context_used TEXT,
    created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP,
    metadata TEXT DEFAULT '{}'
)"""

PERFORMANCE_TRENDS = """CREATE TABLE performance_trends (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    metric_name TEXT NOT NULL,
    metric_value REAL NOT NULL,
    measurement_date DATE NOT NULL,
    context TEXT,
    created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP
)"""

LEARNING_OBJECTIVES = """CREATE TABLE learning_objectives (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    objective_name TEXT NOT NULL,
    target_accuracy REAL NOT NULL,
    current_accuracy REAL DEFAULT 0.0,
    status TEXT DEFAULT 'active',
    created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP,
    achieved_at TIMESTAMP,
    metadata TEXT DEFAULT '{}'
)"""

_LAST_UPDATE_CYCLE = "    last_update_cycle INTEGER DEFAULT 0,\n"

TIER_METRICS = (
    """CREATE TABLE tier_metrics (
    item_id TEXT PRIMARY KEY,
    tier TEXT NOT NULL CHECK(tier IN ('L0', 'L1', 'L2', 'L3')),
    surprise_score REAL DEFAULT 0.0,
    retrieval_count_7d INTEGER DEFAULT 0,
    retrieval_count_30d INTEGER DEFAULT 0,
    validator_overlap REAL DEFAULT 0.0,
    last_promoted_at TIMESTAMP,
    last_demoted_at TIMESTAMP,
"""
    + _LAST_UPDATE_CYCLE
    + """    created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP,
    updated_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP
)"""
)

TIER_METRICS_OLD = TIER_METRICS.replace(_LAST_UPDATE_CYCLE, "")

TIER_AUDIT = """CREATE TABLE tier_audit (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    item_id TEXT NOT NULL,
    from_tier TEXT,
    to_tier TEXT NOT NULL,
    reason TEXT NOT NULL,
    surprise_score REAL,
    retrieval_count_7d INTEGER,
    validator_overlap REAL,
    performed_by TEXT DEFAULT 'system',
    created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP
)"""

FORGETTING_METRICS = """CREATE TABLE forgetting_metrics (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    regression_item_id TEXT NOT NULL,
    regression_query TEXT NOT NULL,
    recall_at_k_before REAL,
    recall_at_k_after REAL,
    forgetting_delta REAL,
    faithfulness_score REAL,
    overlap_score REAL,
    evaluation_timestamp TIMESTAMP NOT NULL,
    knowledge_update_timestamp TIMESTAMP,
    created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP
)"""

RSS_FETCH_ITEMS = """CREATE TABLE rss_fetch_items (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    cycle_id INTEGER NOT NULL,
    title TEXT NOT NULL,
    source_url TEXT NOT NULL,
    link TEXT,
    summary TEXT,
    fetch_timestamp TIMESTAMP NOT NULL,
    status TEXT NOT NULL,
    status_reason TEXT,
    vector_id TEXT,
    added_to_rag_at TIMESTAMP,
    created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP
)"""

RSS_FETCH_CYCLES = """CREATE TABLE rss_fetch_cycles (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    cycle_number INTEGER NOT NULL,
    entries_fetched INTEGER DEFAULT 0,
    entries_added INTEGER DEFAULT 0,
    entries_filtered INTEGER DEFAULT 0,
    entries_duplicate INTEGER DEFAULT 0,
    entries_low_score INTEGER DEFAULT 0,
    entries_ethical_filtered INTEGER DEFAULT 0,
    started_at TIMESTAMP NOT NULL,
    completed_at TIMESTAMP,
    created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP
)"""

TABLES: dict[str, dict[str, str]] = {
    KNOWLEDGE: {
        "knowledge_items": KNOWLEDGE_ITEMS,
        "learning_sessions": LEARNING_SESSIONS,
        "knowledge_relationships": KNOWLEDGE_RELATIONSHIPS,
    },
    ACCURACY: {
        "accuracy_scores": ACCURACY_SCORES,
        "performance_trends": PERFORMANCE_TRENDS,
        "learning_objectives": LEARNING_OBJECTIVES,
    },
    CONTINUUM: {
        "tier_metrics": TIER_METRICS,
        "tier_audit": TIER_AUDIT,
        "forgetting_metrics": FORGETTING_METRICS,
    },
    RSS: {
        "rss_fetch_items": RSS_FETCH_ITEMS,
        "rss_fetch_cycles": RSS_FETCH_CYCLES,
    },
}

INDEXES: dict[str, tuple[str, ...]] = {
    KNOWLEDGE: (),
    ACCURACY: (),
    CONTINUUM: (
        "CREATE INDEX idx_tier_metrics_item_id ON tier_metrics(item_id)",
        "CREATE INDEX idx_tier_metrics_tier ON tier_metrics(tier)",
        "CREATE INDEX idx_tier_audit_item_id ON tier_audit(item_id)",
        "CREATE INDEX idx_tier_audit_created_at ON tier_audit(created_at)",
        "CREATE INDEX idx_forgetting_evaluation_timestamp"
        " ON forgetting_metrics(evaluation_timestamp)",
    ),
    RSS: (
        "CREATE INDEX idx_cycle_id ON rss_fetch_items(cycle_id)",
        "CREATE INDEX idx_status ON rss_fetch_items(status)",
        "CREATE INDEX idx_fetch_timestamp ON rss_fetch_items(fetch_timestamp)",
    ),
}

FILE_OF_TABLE = {table: file for file, tables in TABLES.items() for table in tables}


def statements(file: str, *, first: bool = False) -> list[str]:
    """The DDL of one file; `first` is the schema of the application's first days."""
    tables = dict(TABLES[file])
    if first and "tier_metrics" in tables:
        tables["tier_metrics"] = TIER_METRICS_OLD
    return [*tables.values(), *INDEXES[file]]


def create(connection: sqlite3.Connection, file: str, *, first: bool = False) -> None:
    """Make the tables and indexes of one file, in the journal mode the application uses."""
    if file == RSS and not first:
        connection.execute("PRAGMA journal_mode=WAL")
    for statement in statements(file, first=first):
        connection.execute(statement)


def upgrade(connection: sqlite3.Connection) -> None:
    """What the current application does to a first continuum file: the column comes last."""
    connection.execute("ALTER TABLE tier_metrics ADD COLUMN last_update_cycle INTEGER DEFAULT 0")


def columns(connection: sqlite3.Connection, table: str) -> list[str]:
    """The names of a table's columns, in stored order."""
    return [row[1] for row in connection.execute(f'PRAGMA table_info("{table}")')]


def insert_sql(table: str, names: tuple[str, ...] | list[str]) -> str:
    """An INSERT of the named columns; every name comes from this module's own declarations."""
    marks = ", ".join("?" * len(names))
    return f"INSERT INTO {table} ({', '.join(names)}) VALUES ({marks})"
