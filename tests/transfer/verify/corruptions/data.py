"""The legacy files of the matrix: small, and each row is there for a kind of value.

The local clock is that of Berlin, without saying so: the rows of a summer stand one hour away from
those of the winters. What a row is for stands next to it.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from stillme.demo.samples import schema
from stillme.transfer.models import QuarantinedRow
from stillme.transfer.quarantine.decisions import edit, retry
from tests.transfer.load.support import FILES

BERLIN = ZoneInfo("Europe/Berlin")
WINTER = datetime(2025, 1, 10, 9, 0, 0, tzinfo=UTC)
SUMMER = datetime(2025, 7, 10, 9, 0, 0, tzinfo=UTC)
# Columns without a declared type: SQLite stores in them what it is given.
UNTYPED = {
    "knowledge_items": ("access_count INTEGER", "access_count"),
    "learning_sessions": ("content_learned TEXT", "content_learned"),
    "accuracy_scores": ("accuracy_score REAL", "accuracy_score"),
}
BIG = "1" + "0" * 40

# id -> the cells in which it differs from an ordinary row, as SQL.
ITEMS: dict[int, dict[str, str]] = {
    20: {"confidence_score": "0.30000000000000004", "retention_score": "5e-324"},
    21: {"confidence_score": "-0.0", "retention_score": "0.0"},
    22: {"confidence_score": "9e999", "retention_score": "-9e999"},
    23: {"content": "''", "access_count": "NULL", "metadata": "NULL", "last_accessed": "NULL",
         "confidence_score": "NULL"},
    24: {"content": "'Gen\u00e8ve d\u00e9j\u00e0'", "source": "'Cafe\u0301'", "metadata": "'{}'"},
    25: {"metadata": f"'{{\"big\": {BIG}, \"long\": 0.123456789012345678901234567891}}'"},
    26: {"metadata": "'{\"a\": 1, \"b\": 2, \"a\": 3}'"},
    27: {"metadata": "'not json'"},
    28: {"metadata": "'{\"a\": NaN, \"b\": [Infinity]}'"},
    29: {"created_at": "'2025-11-20T10:00:00Z'", "last_accessed": "'2025-11-20 10:15'"},
    30: {"access_count": "'007'"},
    31: {"access_count": "3.0"},
    32: {'"ghi ch\u00fa"': "'ghi'"},
    33: {'"ghi ch\u00fa"': "x'00ff'"},
    34: {'"ghi ch\u00fa"': "1.5"},
    35: {'"ghi ch\u00fa"': "9007199254740993"},
    36: {"metadata": "'\"text\"'"},
    37: {"metadata": "'null'"},
    38: {"metadata": "'5'"},
    39: {"metadata": "'[]'"},
    40: {"metadata": "'{\"a\": \"x\\u0000y\"}'"},
    41: {"metadata": "'true'", "content": "'line\nline\r\n\ttab'"},
    42: {"metadata": "'{\"1\": 1, \"t\": \"1\", \"e\": {}, \"n\": null, \"d\": {\"l\": [{\"x\": 0}]}}'"},
    43: {"access_count": "-2147483648", "content": "'a & b \\\\ c'"},
    50: {"content": "CAST(x'61ff62' AS TEXT)"},
    51: {"content": "x'00ff10'"},
    52: {"created_at": "'now'"},
    53: {"access_count": "'many'"},
    54: {"content": "CAST(x'610062' AS TEXT)"},
    55: {"content": "CAST(x'63ff' AS TEXT)"},
    56: {"access_count": "9999999999"},
    57: {"content": "CAST(x'64ff' AS TEXT)", "metadata": "'{\"a\": 1, \"a\": 2}'"},
    58: {"content": "CAST(x'65ff' AS TEXT)", "metadata": "'{\"a\": 1, \"a\": 2}'"},
}  # fmt: skip
SESSIONS: dict[int, dict[str, str]] = {
    7: {"content_learned": "12"}, 8: {"content_learned": "1.5"},
    9: {"content_learned": "0.1"}, 10: {"metadata": "'{\"k\": [1, 2, 3]}'"},
}  # fmt: skip
SCORES: dict[int, dict[str, str]] = {
    7: {"accuracy_score": "1"}, 8: {"accuracy_score": "'0.25'"}, 9: {"expected_answer": "NULL"},
    10: {"expected_answer": "''"}, 11: {"actual_answer": "x'00'"}, 12: {"context_used": "'NULL'"},
}  # fmt: skip
TRENDS: dict[int, dict[str, str]] = {
    4: {"measurement_date": "'2025-03-30'"}, 5: {"measurement_date": "'2025-06-03 10:00:00'"},
    6: {"measurement_date": "'soon'"}, 7: {"metric_value": "0.1"},
}  # fmt: skip
GOALS: dict[int, dict[str, str]] = {
    4: {"achieved_at": "1764000000"}, 5: {"achieved_at": "1764000000.25"},
    6: {"achieved_at": "'2025-12-31 23:59:59'"}, 7: {"status": "NULL"},
}  # fmt: skip
TEXT_KEYS = (
    "", " ", "007", "7", "7.0", "Alpha", "alpha", "alpha ", "beta", "cafe\u0301", "caf\u00e9",
    "delta", "gamma", "item-1", "item-10", "item-2", "omega", "zeta",
)  # fmt: skip


def make_legacy(folder: Path) -> None:
    """Write the four files."""
    folder.mkdir(parents=True, exist_ok=True)
    fillers = {"knowledge": _knowledge, "accuracy": _accuracy, "continuum": _continuum, "rss": _rss}
    for file, fill in fillers.items():
        name = FILES[file]
        with closing(sqlite3.connect(folder / name, isolation_level=None)) as connection:
            connection.execute("PRAGMA synchronous=OFF")
            for statement in schema.statements(name):
                connection.execute(_untyped(statement))
            connection.execute("BEGIN")
            fill(connection)
            connection.execute("COMMIT")


def settle() -> None:
    """Mend rows that were set aside: two under their own keys, one under another.

    In one of them a second cell is repaired, so that its original is kept.
    """
    rows = {row.key: row for row in QuarantinedRow.objects.filter(table="knowledge_items")}
    edit("default", rows["55"], "content", "mended", "text")
    edit("default", rows["56"], "access_count", "9", "integer")
    edit("default", rows["56"], "id", "156", "integer")
    edit("default", rows["57"], "content", "mended", "text")
    retried = retry("default", [rows[key] for key in ("55", "56", "57")])
    assert len(retried.loaded) == 3, retried.still


def _untyped(statement: str) -> str:
    for table, (declared, bare) in UNTYPED.items():
        if f"TABLE {table} (" in statement:
            statement = statement.replace(declared, bare)
    return statement


def _insert(connection: sqlite3.Connection, table: str, row: dict[str, str]) -> None:
    names, values = ", ".join(row), ", ".join(row.values())
    connection.execute(f"INSERT INTO {table} ({names}) VALUES ({values})")


def utc(n: int, start: datetime = WINTER) -> str:
    """SQL: SQLite's stamp, n minutes later."""
    return f"'{start + timedelta(minutes=n):%Y-%m-%d %H:%M:%S}'"


def local(n: int, start: datetime = WINTER) -> str:
    """SQL: the local clock's stamp of the same moment, with microseconds."""
    moment = (start + timedelta(minutes=n)).astimezone(BERLIN).replace(tzinfo=None)
    return f"'{moment.isoformat()}.{250_000 + n:06d}'"


def _knowledge(connection: sqlite3.Connection) -> None:
    connection.execute('ALTER TABLE knowledge_items ADD COLUMN "ghi ch\u00fa"')
    for n in [*range(1, 13), *range(14, 20), *ITEMS, 60]:
        _insert(connection, "knowledge_items", {
            "id": str(n), "content": f"'n\u1ed9i dung {n}'", "source": f"'source {n}'",
            "knowledge_type": "'general'", "confidence_score": f"{n / 7!r}",
            "retention_score": f"{n / 11!r}", "access_count": str(n),
            "last_accessed": utc(n, SUMMER), "created_at": utc(n),
            "metadata": f"'{{\"n\": {n}, \"s\": \"a\", \"list\": [1, 2, {n}]}}'", **ITEMS.get(n, {}),
        })  # fmt: skip
    connection.execute("UPDATE sqlite_sequence SET seq = 200 WHERE name = 'knowledge_items'")
    for n in range(1, 13):
        _insert(connection, "learning_sessions", {
            "id": str(n), "session_type": "'chat'", "content_learned": f"'Q: {n}\nA: {n}'",
            "accuracy_score": f"{n / 13!r}", "created_at": utc(n), **SESSIONS.get(n, {}),
        })  # fmt: skip
    for n, parents in enumerate([*((i, i + 1) for i in range(1, 10)), (999, 1), (2, 50)], 1):
        _insert(connection, "knowledge_relationships", {
            "id": str(n), "source_id": str(parents[0]), "target_id": str(parents[1]),
            "relationship_type": "'related_to'", "strength": f"{n / 3!r}", "created_at": utc(n),
        })  # fmt: skip


def _accuracy(connection: sqlite3.Connection) -> None:
    for n in range(1, 14):
        _insert(connection, "accuracy_scores", {
            "id": str(n), "question": f"'h\u1ecfi {n}?'", "expected_answer": f"'yes {n}'",
            "actual_answer": f"'no {n}'", "accuracy_score": f"{n / 17!r}",
            "scoring_method": "'semantic'", "created_at": utc(n, SUMMER), **SCORES.get(n, {}),
        })  # fmt: skip
    for n in range(1, 9):
        _insert(connection, "performance_trends", {
            "id": str(n), "metric_name": "'accuracy'", "metric_value": f"{n / 19!r}",
            "measurement_date": f"'2025-06-{n:02d}'", "created_at": utc(n), **TRENDS.get(n, {}),
        })  # fmt: skip
        _insert(connection, "learning_objectives", {
            "id": str(n), "objective_name": f"'goal {n}'", "target_accuracy": "0.9",
            "created_at": utc(n), **GOALS.get(n, {}),
        })  # fmt: skip


def _continuum(connection: sqlite3.Connection) -> None:
    for n, key in enumerate(TEXT_KEYS, 1):
        stamp = local(n) if n % 2 else utc(n)
        _insert(connection, "tier_metrics", {
            "item_id": f"'{key}'", "tier": f"'L{n % 4}'", "surprise_score": f"{n / 23!r}",
            "retrieval_count_7d": str(n), "last_promoted_at": local(n), "created_at": utc(n),
            "updated_at": stamp,
        })  # fmt: skip
    _insert(connection, "tier_metrics", {"item_id": "NULL", "tier": "'L0'", "created_at": utc(99)})
    for n in range(1, 11):
        start = SUMMER if n > 7 else WINTER
        _insert(connection, "tier_audit", {
            "id": str(n), "item_id": f"'item-{n}'", "from_tier": "NULL" if n == 3 else "'L0'",
            "to_tier": "'L1'", "reason": "'r'" if n != 4 else "x'72'",
            "surprise_score": f"{n / 29!r}", "created_at": local(n, start),
        })  # fmt: skip
        _insert(connection, "forgetting_metrics", {
            "id": str(n), "regression_item_id": f"'reg_{n}'", "regression_query": f"'q {n}'",
            "recall_at_k_before": f"{n / 31!r}", "evaluation_timestamp": local(n, start),
            "knowledge_update_timestamp": local(n - 1, start), "created_at": utc(n, start),
        })  # fmt: skip


def _rss(connection: sqlite3.Connection) -> None:
    for n in range(1, 9):
        start = SUMMER if n > 6 else WINTER
        _insert(connection, "rss_fetch_cycles", {
            "id": str(n), "cycle_number": str(n % 3), "entries_fetched": str(10 + n),
            "started_at": local(n, start), "created_at": utc(n, start),
            "completed_at": "NULL" if n == 5 else local(n + 5, start),
        })  # fmt: skip
    for n in range(1, 25):
        start = SUMMER if n > 17 else WINTER
        _insert(connection, "rss_fetch_items", {
            "id": str(n), "cycle_id": str(1 + n % 8), "title": f"'title {n}'" if n != 21 else "x'74'",
            "source_url": "'https://example.org/feed'", "link": "''" if n == 3 else f"'l{n}'",
            "summary": "NULL" if n == 4 else f"'summary {n}'", "fetch_timestamp": local(n, start),
            "status": "'Added to RAG'" if n % 2 else "'Filtered'", "created_at": utc(n, start),
            "added_to_rag_at": local(n, start) if n % 2 else "NULL", "vector_id": f"'v{n}'",
        })  # fmt: skip
    _insert(connection, "rss_fetch_items", {
        "id": "25", "cycle_id": "77", "title": "'orphan'", "source_url": "'u'", "status": "'x'",
        "fetch_timestamp": local(25), "created_at": utc(25),
    })  # fmt: skip
