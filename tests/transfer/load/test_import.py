"""import_sqlite: every row accounted for, again and again."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from stillme.demo.samples import make_samples
from stillme.transfer.errors import TransferError
from stillme.transfer.inventory.selection import Selection
from stillme.transfer.models import Chunk, QuarantinedRow, Run, RunTable
from tests.empty_database import empty_database
from tests.transfer.load.support import change, content, query, run_import, schema

pytestmark = pytest.mark.django_db(transaction=True, reset_sequences=True)


def count(path: Path, table: str) -> int:
    with closing(sqlite3.connect(path)) as connection:
        return int(connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0])


@pytest.mark.slow_after(1)
@pytest.mark.parametrize("variant", ["current", "clean", "old", "wal", "disabled"])
def test_every_row_is_accounted_for(
    variant: str, tmp_path: Path, use_legacy_files: Callable[[Path], None]
) -> None:
    summary = make_samples(tmp_path, rows=80, variant=variant)
    use_legacy_files(tmp_path)
    result = run_import()
    assert result.conserved
    found = {table.table: table.outcome.legacy_rows for table in result.tables}
    assert found == {table: rows for table, rows in summary.rows.items() if table in found}
    for table in result.tables:
        stored = query(f"SELECT count(*) FROM {table.target}")[0][0]
        assert stored == table.outcome.loaded + table.outcome.repaired
    aside = sum(table.outcome.quarantined for table in result.tables)
    assert QuarantinedRow.objects.count() == aside


@pytest.mark.slow
@pytest.mark.parametrize("name", ["clean", "current", "old", "wal", "disabled"])
def test_real_files_are_accounted_for(
    name: str, samples: Path, tmp_path: Path, use_legacy_files: Callable[[Path], None]
) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    for path in (samples / name / "data").iterdir():
        if path.is_file():
            (folder / path.name).write_bytes(path.read_bytes())
    use_legacy_files(folder)
    result = run_import()
    assert result.conserved
    assert {r for t in result.tables for r in t.outcome.reasons} <= {
        "missing_parent",
        "nul_in_text",
    }
    if name == "wal":
        items = next(t for t in result.tables if t.table == "rss_fetch_items")
        assert items.outcome.legacy_rows == 332


def test_a_second_run_changes_nothing(legacy: Path) -> None:
    run_import()
    before, declared = content(), schema()
    result = run_import()
    assert content() == before
    assert schema() == declared
    assert all(t.outcome.inserted == t.outcome.updated == 0 for t in result.tables)
    assert all(t.skipped_chunks == t.chunks for t in result.tables)


@pytest.mark.slow
@pytest.mark.only_files("knowledge")
def test_a_touched_but_equal_file_is_recognised_by_its_digests(legacy: Path) -> None:
    run_import()
    before = content()
    change(legacy, "knowledge", "PRAGMA user_version = 7")
    result = run_import()
    assert content() == before
    assert all(t.skipped_chunks == t.chunks for t in result.tables)


@pytest.mark.only_files("knowledge")
def test_what_changed_is_updated_and_no_more(legacy: Path) -> None:
    run_import()
    change(
        legacy,
        "knowledge",
        "UPDATE learning_sessions SET content_learned = 'changed' WHERE id = 3",
        "INSERT INTO learning_sessions (session_type, content_learned) VALUES ('chat', 'new')",
        "DELETE FROM learning_sessions WHERE id = 5",
    )
    result = run_import()
    sessions = next(t for t in result.tables if t.table == "learning_sessions").outcome
    assert (sessions.inserted, sessions.updated, sessions.vanished) == (1, 1, ["5"])
    text = "SELECT content_learned FROM knowledge.learning_sessions WHERE id = %s"
    assert query(text, 3) == [("changed",)]
    assert len(query(text, 5)) == 1


@pytest.mark.only_files("knowledge")
def test_prune_deletes_what_vanished(legacy: Path) -> None:
    run_import()
    change(legacy, "knowledge", "DELETE FROM learning_sessions WHERE id = 5")
    result = run_import(prune=True)
    sessions = next(t for t in result.tables if t.table == "learning_sessions").outcome
    assert sessions.pruned == 1
    assert not query("SELECT 1 FROM knowledge.learning_sessions WHERE id = 5")


@pytest.mark.only_files("knowledge")
def test_rows_changed_on_the_target_side_are_left_alone(legacy: Path) -> None:
    run_import()
    query("UPDATE knowledge.learning_sessions SET content_learned = 'mine' WHERE id = 3")
    change(
        legacy, "knowledge", "UPDATE learning_sessions SET content_learned = 'theirs' WHERE id = 3"
    )
    result = run_import()
    sessions = next(t for t in result.tables if t.table == "learning_sessions").outcome
    assert sessions.conflicts == ["3"]
    text = "SELECT content_learned FROM knowledge.learning_sessions WHERE id = 3"
    assert query(text) == [("mine",)]
    run_import(overwrite=True)
    assert query(text) == [("theirs",)]


@pytest.mark.only_files("knowledge")
def test_overwrite_takes_the_legacys_values_where_the_legacy_did_not_change(legacy: Path) -> None:
    run_import()
    before = content()
    query("UPDATE knowledge.learning_sessions SET content_learned = 'mine' WHERE id = 3")
    result = run_import(overwrite=True)
    sessions = next(t for t in result.tables if t.table == "learning_sessions").outcome
    assert sessions.updated == 1
    assert content() == before


@pytest.mark.slow
@pytest.mark.only_files("knowledge")
def test_a_row_deleted_in_the_target_comes_back(legacy: Path) -> None:
    run_import()
    before = content()
    query("DELETE FROM knowledge.learning_sessions WHERE id = 3")
    run_import()
    assert content() == before


@pytest.mark.only_files("knowledge")
def test_a_target_that_holds_other_rows_keeps_them(legacy: Path) -> None:
    query(
        "INSERT INTO knowledge.learning_sessions (id, session_type, content_learned) "
        "VALUES (3, 'chat', 'mine'), (900000, 'chat', 'mine too')"
    )
    result = run_import()
    sessions = next(t for t in result.tables if t.table == "learning_sessions").outcome
    assert sessions.conflicts == ["3"]
    assert query("SELECT count(*) FROM knowledge.learning_sessions WHERE id = 900000") == [(1,)]


@pytest.mark.only_files("knowledge")
def test_the_next_id_is_free(legacy: Path) -> None:
    run_import()
    with closing(sqlite3.connect(legacy / "knowledge_retention.db")) as connection:
        marks = dict(connection.execute("SELECT name, seq FROM sqlite_sequence"))
    new = query(
        "INSERT INTO knowledge.learning_sessions (session_type, content_learned) "
        "VALUES ('chat', 'x') RETURNING id"
    )[0][0]
    assert new == marks["learning_sessions"] + 1


@pytest.mark.slow
@pytest.mark.only_files("knowledge")
def test_the_planner_knows_what_was_loaded(legacy: Path) -> None:
    """By what rows are found; texts and documents are left to autovacuum, and marked for it."""
    before = _planner("knowledge.knowledge_items")
    run_import()
    rows, known, waiting, turns = _planner("knowledge.knowledge_items")
    assert [(rows,)] == query("SELECT count(*) FROM knowledge.knowledge_items")
    assert {"id", "created_at", "retention_score"} <= known
    # Unless autovacuum has been here meanwhile.
    if turns == before[-1]:
        assert not {"content", "metadata"} & (known - before[1])
        assert waiting


@pytest.mark.slow
@pytest.mark.only_files("knowledge")
def test_a_setting_for_less_statistics_holds(legacy: Path) -> None:
    """The import looks at few rows, at fewer where the server is told so, and leaves no setting."""
    before = _planner("knowledge.knowledge_items")
    query("SET default_statistics_target = 7")
    try:
        run_import()
        assert query("SHOW default_statistics_target") == [("7",)]
    finally:
        query("RESET default_statistics_target")
    bounds = "SELECT array_length(histogram_bounds::text::text[], 1) FROM pg_stats "
    found = query(f"{bounds} WHERE tablename = 'knowledge_items' AND attname = 'id'")
    if _planner("knowledge.knowledge_items")[-1] == before[-1]:
        assert found == [(8,)]


def _planner(relation: str) -> tuple[int, set[str], int, int]:
    """Rows, columns that are known, rows that autovacuum has not seen, and its turns so far."""
    for now in ("pg_stat_force_next_flush", "pg_stat_clear_snapshot"):
        query(f"SELECT {now}()")
    (found,) = query(
        "SELECT reltuples::bigint, "
        "ARRAY(SELECT attname::text FROM pg_stats WHERE (schemaname || '.' || tablename) = %s), "
        "n_mod_since_analyze, autoanalyze_count FROM pg_class JOIN pg_stat_user_tables ON "
        "relid = oid WHERE oid = %s::regclass",
        relation,
        relation,
    )
    rows, known, waiting, turns = found
    return rows, set(known), waiting, turns


@pytest.mark.only_files("rss")
def test_orphans_come_back_when_their_parent_arrives(legacy: Path) -> None:
    change(
        legacy,
        "rss",
        "INSERT INTO rss_fetch_items (id, cycle_id, title, source_url, fetch_timestamp, status) "
        "VALUES (777, 555, 't', 'u', '2025-11-20T10:00:00', 'x')",
    )
    run_import()
    row = QuarantinedRow.objects.get(table="rss_fetch_items", key="777")
    assert (row.reason, row.column, row.status) == ("missing_parent", "cycle_id", "open")
    change(
        legacy,
        "rss",
        "INSERT INTO rss_fetch_cycles (id, cycle_number, started_at) "
        "VALUES (555, 1, '2025-11-20T10:00:00')",
    )
    run_import()
    assert query("SELECT cycle_id FROM rss.fetch_items WHERE id = 777") == [(555,)]
    row.refresh_from_db()
    assert row.status == "repaired"


def test_two_workers_end_in_the_same_content_as_one(legacy: Path) -> None:
    run_import(jobs=2, chunk_rows=7)
    two = content()
    empty_database()
    run_import(jobs=1)
    assert content() == two


def test_the_ledger_tells_the_story(legacy: Path) -> None:
    result = run_import()
    run = Run.objects.get(pk=result.run_id)
    assert run.status == "completed"
    assert {f.file for f in run.files.all()} == {"knowledge", "continuum", "rss", "accuracy"}
    clock = run.files.get(file="rss").clock
    assert clock["usual_minutes"] == 420
    for table in RunTable.objects.filter(run=run):
        chunks = Chunk.objects.filter(table=table.table)
        assert sum(c.legacy_rows for c in chunks) == table.legacy_rows


def test_a_dry_run_says_the_same_and_writes_nothing(legacy: Path) -> None:
    dry = run_import(dry_run=True)
    assert not Run.objects.exists()
    real = run_import()
    said = {t.table: (t.outcome.loaded, t.outcome.repaired, t.outcome.reasons) for t in dry.tables}
    done = {t.table: (t.outcome.loaded, t.outcome.repaired, t.outcome.reasons) for t in real.tables}
    assert said == done


@pytest.mark.only_files("knowledge")
def test_only_the_selected_tables_are_loaded(legacy: Path) -> None:
    result = run_import(selection=Selection(tables=("learning_sessions",)))
    assert [t.table for t in result.tables] == ["learning_sessions"]
    assert query("SELECT count(*) FROM knowledge.knowledge_items") == [(0,)]


@pytest.mark.slow
@pytest.mark.only_files("knowledge")
def test_prune_goes_children_first(legacy: Path) -> None:
    run_import()
    parents = query("SELECT source_id, target_id FROM knowledge.knowledge_relationships LIMIT 1")
    change(legacy, "knowledge", "DELETE FROM knowledge_items")
    result = run_import(prune=True, prune_share=100)
    assert parents
    assert result.conserved
    assert query("SELECT count(*) FROM knowledge.knowledge_items") == [(0,)]
    assert query("SELECT count(*) FROM knowledge.knowledge_relationships") == [(0,)]


@pytest.mark.slow
@pytest.mark.only_files("knowledge")
def test_prune_is_refused_where_the_target_side_refers_to_the_row(legacy: Path) -> None:
    run_import()
    query(
        "INSERT INTO knowledge.knowledge_relationships (source_id, target_id, relationship_type) "
        "SELECT id, id, 'mine' FROM knowledge.knowledge_items ORDER BY id LIMIT 1"
    )
    change(legacy, "knowledge", "DELETE FROM knowledge_items")
    with pytest.raises(TransferError, match="still refer"):
        run_import(prune=True, prune_share=100)


@pytest.mark.slow
@pytest.mark.only_files("accuracy")
def test_a_row_that_became_bad_is_set_aside_and_pruned(legacy: Path) -> None:
    run_import()
    change(
        legacy, "accuracy", "UPDATE accuracy_scores SET question = CAST(x'ff' AS TEXT) WHERE id = 2"
    )
    result = run_import()
    table = next(t for t in result.tables if t.table == "accuracy_scores")
    assert (table.outcome.reasons["invalid_utf8"], table.outcome.vanished) == (1, ["2"])
    run_import(prune=True)
    assert not query("SELECT 1 FROM accuracy.accuracy_scores WHERE id = 2")
    assert QuarantinedRow.objects.get(table="accuracy_scores", key="2").reason == "invalid_utf8"


@pytest.mark.slow
@pytest.mark.only_files("knowledge")
def test_prune_forgets_the_records_of_rows_that_are_gone(legacy: Path) -> None:
    run_import()
    assert QuarantinedRow.objects.filter(table="knowledge_relationships").exists()
    change(
        legacy, "knowledge", "DELETE FROM knowledge_relationships", "DELETE FROM knowledge_items"
    )
    run_import()
    assert QuarantinedRow.objects.filter(table="knowledge_relationships").exists()
    run_import(prune=True, prune_share=100)
    assert not QuarantinedRow.objects.filter(file="knowledge", table__startswith="know").exists()
