"""After an import the services answer what the old code answered on the files, text for text."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command

from continuum import services as continuum_services
from continuum.services import ContinuumMemory
from knowledge.services import KnowledgeRetention
from rss.models import FetchItem
from rss.services import RSSFetchHistory

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def imported(
    samples: Path,
    tmp_path: Path,
    use_legacy_files: Callable[[Path], None],
    settings: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> Path:
    """The files of `samples/clean`, imported; its old application ran at +07:00."""
    data = tmp_path / "data"
    shutil.copytree(samples / "clean" / "data", data, copy_function=shutil.copyfile)
    data.chmod(0o755)
    use_legacy_files(data)
    settings.LEGACY_TIME_ZONE = "Asia/Ho_Chi_Minh"
    monkeypatch.setattr(continuum_services, "ENABLE_CONTINUUM_MEMORY", True)
    call_command("import_sqlite", verbosity=0)
    return data


def ask(path: Path, sql: str, *parameters: Any) -> list[dict[str, Any]]:
    with sqlite3.connect(path) as file:
        file.row_factory = sqlite3.Row
        return [dict(row) for row in file.execute(sql, parameters)]


def test_answers_equal_the_old_ones(imported: Path) -> None:
    rss = imported / "rss_fetch_history.db"
    loaded = set(FetchItem.objects.values_list("id", flat=True))
    columns = (
        "id, cycle_id, title, source_url, link, summary, fetch_timestamp, status, status_reason, "
        "vector_id, added_to_rag_at"
    )
    old = ask(rss, f"SELECT {columns} FROM rss_fetch_items ORDER BY fetch_timestamp DESC")
    kept = [row for row in old if row["id"] in loaded]
    assert len(kept) > 250
    assert RSSFetchHistory().get_all_fetch_items() == kept

    old = ask(
        rss,
        f"SELECT {columns} FROM rss_fetch_items WHERE status = 'Added to RAG' "
        "ORDER BY added_to_rag_at DESC, fetch_timestamp DESC",
    )
    assert RSSFetchHistory().get_added_to_rag_items() == [r for r in old if r["id"] in loaded]

    old = ask(
        imported / "knowledge_retention.db",
        "SELECT id, content, source, knowledge_type, confidence_score, retention_score, "
        "access_count, last_accessed, metadata FROM knowledge_items WHERE retention_score >= 0.7 "
        "ORDER BY retention_score DESC, access_count DESC LIMIT 100",
    )
    expected = [{**row, "metadata": json.loads(row["metadata"])} for row in old]
    assert expected
    assert KnowledgeRetention().get_retained_knowledge() == expected

    audit = ask(
        imported / "continuum_memory.db",
        "SELECT * FROM tier_audit ORDER BY created_at DESC LIMIT 100",
    )
    assert audit
    assert ContinuumMemory().get_audit_log() == audit

    trends = ask(
        imported / "continuum_memory.db",
        "SELECT evaluation_timestamp, avg(forgetting_delta) avg_forgetting_delta, "
        "avg(recall_at_k_before) avg_recall_before, avg(recall_at_k_after) avg_recall_after, "
        "count(*) evaluation_count FROM forgetting_metrics WHERE evaluation_timestamp >= "
        "datetime('now', '-3000 days') GROUP BY date(evaluation_timestamp) "
        "ORDER BY evaluation_timestamp",
    )
    found = ContinuumMemory().get_forgetting_trends(days=3000)
    assert len(found) == len(trends) > 0
    for row, old_row in zip(found, trends, strict=True):
        assert row == pytest.approx(old_row)


def test_the_next_ids_are_free(imported: Path) -> None:
    [old] = ask(
        imported / "rss_fetch_history.db",
        "SELECT seq FROM sqlite_sequence WHERE name = 'rss_fetch_cycles'",
    )
    assert RSSFetchHistory().create_fetch_cycle(1) > old["seq"]
