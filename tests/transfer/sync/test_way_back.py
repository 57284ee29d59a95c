"""Cut over, write on PostgreSQL, roll back: the files hold it, in their own shapes."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from datetime import UTC, datetime

import pytest
from django.db import DatabaseError, connection, transaction

from accuracy.models import AccuracyScore
from continuum.models import TierMetric
from knowledge.models import KnowledgeItem
from rss.models import FetchCycle, FetchItem
from stillme.transfer.errors import StateError, TransferError
from stillme.transfer.inventory.selection import Selection
from stillme.transfer.models import CarriedCell, FileState, QuarantinedRow, ReverseChange
from stillme.transfer.postgresql import capture as reverse
from stillme.transfer.quarantine import decisions
from stillme.transfer.steps.follow import FollowOptions, follow
from stillme.transfer.steps.install_capture import install_capture
from stillme.transfer.steps.rollback import plan_rollback
from stillme.transfer.steps.switching import to_legacy

from .equal import differences
from .switching import cut_over, roll_back
from .test_follow import state, write

FILES = ("knowledge", "continuum", "rss", "accuracy")


def rows(path, table):
    connection = sqlite3.connect(path)
    connection.text_factory = bytes
    try:
        return connection.execute(f"SELECT *, rowid FROM {table} ORDER BY rowid").fetchall()
    finally:
        connection.close()


def test_nothing_written_means_nothing_changed(live):
    before = {t: rows(live / "knowledge_retention.db", t) for t in ("knowledge_items",)}
    roll_back()
    after = {t: rows(live / "knowledge_retention.db", t) for t in ("knowledge_items",)}
    assert before == after
    assert {state(f) for f in FILES} == {"rolled back"}
    write(live / "rss_fetch_history.db", "UPDATE rss_fetch_items SET title = 'old app again'")
    follow(FollowOptions(once=True))
    assert differences() == {}


@pytest.mark.only_files("rss")
def test_a_file_that_lost_pages_next_to_a_view_is_left_as_it_was(data):
    """SQLite's check alone does not look for them there: rows may be on them."""
    path = data / "rss_fetch_history.db"
    write(path, "CREATE VIEW seen AS SELECT 1")
    write(path, "CREATE TABLE gone AS SELECT * FROM rss_fetch_items")
    write(path, "DROP TABLE gone")
    cut_over()
    content = bytearray(path.read_bytes())
    assert content[36:40] != bytes(4)
    # The list of free pages: https://www.sqlite.org/fileformat2.html#the_freelist
    content[32:40] = bytes(8)
    path.write_bytes(content)
    with pytest.raises(TransferError, match="never used"):
        roll_back()
    assert path.read_bytes() == content


@pytest.mark.only_files("rss")
def test_writes_go_back_in_the_legacys_own_formats(live):
    path = live / "rss_fetch_history.db"
    untouched = rows(path, "rss_fetch_items")
    moment = datetime(2026, 3, 4, 5, 6, 7, 890123, tzinfo=UTC)
    created = moment.replace(microsecond=500)
    cycle = FetchCycle.objects.create(cycle_number=7, started_at=moment, created_at=created)
    FetchItem.objects.create(
        cycle=cycle,
        feed_url="https://example.org/?a=1&b=2",
        item_title="Tiêu đề \U0001f600",
        status="Added to RAG",
        fetch_timestamp=moment.replace(microsecond=0),
        created_at=moment.replace(microsecond=0),
        error_message="has no legacy column",
    )
    FetchItem.objects.filter(pk=untouched[0][0]).update(status_reason="touched")
    FetchItem.objects.filter(pk=untouched[1][0]).delete()
    roll_back()
    after = {row[0]: row for row in rows(path, "rss_fetch_items")}
    assert untouched[1][0] not in after
    assert after[untouched[0][0]][:8] == untouched[0][:8]
    assert after[untouched[0][0]][8] == b"touched"
    for row in untouched[2:]:
        assert after[row[0]] == row
    new = after[max(after)]
    assert new[2].decode() == "Tiêu đề \U0001f600"
    assert new[6] == b"2026-03-04T12:06:07"
    assert new[-2] == b"2026-03-04 05:06:07"
    cycles = rows(path, "rss_fetch_cycles")[-1]
    assert (cycles[8], cycles[-2]) == (b"2026-03-04T12:06:07.890123", b"2026-03-04 05:06:07")
    kept = {(c.table, c.column, c.reason) for c in CarriedCell.objects.all()}
    assert kept == {
        ("rss_fetch_cycles", "created_at", "finer_than_seconds"),
        ("rss_fetch_items", "error_message", "no_legacy_column"),
    }
    assert differences() == {}
    assert FetchItem.objects.get(pk=new[0]).error_message is None


@pytest.mark.slow
def test_json_floats_and_text_keys(live):
    document = {"b": [1, 2.5, None, True], "ả": '\U0001f600 \x7f\t"\\', "big": 10**40}
    item = KnowledgeItem.objects.create(
        content="x", source="y", knowledge_type="z", confidence_score=0.1 + 0.2, metadata=document
    )
    infinite = KnowledgeItem.objects.create(
        content="x",
        source="y",
        knowledge_type="z",
        confidence_score=float("inf"),
        retention_score=float("nan"),
    )
    TierMetric.objects.create(item_id="học", tier="L3", surprise_score=None)
    AccuracyScore.objects.all().delete()
    roll_back()
    found = {r[0]: r for r in rows(live / "knowledge_retention.db", "knowledge_items")}
    stored = found[item.pk]
    assert stored[4] == 0.1 + 0.2
    assert json.loads(stored[9]) == document
    assert stored[9].isascii()
    assert json.dumps(json.loads(stored[9])).encode() == stored[9]
    assert found[infinite.pk][4] == float("inf")
    assert found[infinite.pk][5] is None
    left = rows(live / "accuracy_scores.db", "accuracy_scores")
    assert all(b"\0" in b"".join(c for c in r if isinstance(c, bytes)) for r in left)
    metric = [r for r in rows(live / "continuum_memory.db", "tier_metrics") if r[1] == b"L3"]
    assert any(r[0] == "học".encode() for r in metric)
    assert CarriedCell.objects.filter(reason="not_a_number").count() == 1
    assert differences() == {}


def test_what_sqlite_cannot_hold_keeps_nobody_from_going_back(live):
    """Such rows used to make every rollback end with "report this row"."""
    deep = "[" * 600 + "]" * 600
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO knowledge.learning_sessions (id, session_type, content_learned, "
            "accuracy_score, retention_improvement, created_at, metadata) VALUES "
            "(9001, 'x', '', '-0', 'NaN', 'infinity', '{}'), (9002, 'x', '', 0, 0, now(), %s), "
            "(9003, 'x', '', '-0', 0, '10000-01-01', NULL), (9004, 'x', '', '-0', 0, NULL, NULL)",
            [deep],
        )
        cursor.execute(
            "INSERT INTO accuracy.performance_trends (id, metric_name, metric_value, measured_at) "
            "VALUES (9001, 'x', 'NaN', '-infinity'), (9002, 'x', '-0', '0044-03-15 BC')"
        )
    assert not plan_rollback("default").unequal
    roll_back()
    assert differences() == {}
    found = {r[0]: r for r in rows(live / "knowledge_retention.db", "learning_sessions")}
    assert (found[9001][3:6], found[9002][6]) == ((0.0, None, b"infinity"), deep.encode())
    kept = CarriedCell.objects.filter(key__startswith="900").values_list("key", "column", "reason")
    assert {(key, reason) for key, _, reason in kept} >= {
        ("9001", "negative_zero"),
        ("9001", "not_a_number"),
        ("9001", "beyond_the_calendar"),
        ("9002", "json_too_large"),
        ("9003", "beyond_the_calendar"),
        ("9004", "negative_zero"),
    }
    aside = QuarantinedRow.objects.filter(key__startswith="900").values_list("table", "key")
    assert sorted(aside) == [
        ("learning_sessions", "9001"),
        ("learning_sessions", "9002"),
        ("learning_sessions", "9003"),
        ("performance_trends", "9001"),
        ("performance_trends", "9002"),
    ]


@pytest.mark.slow
def test_truncate_bulk_and_raw_sql_are_captured(live):
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO continuum.tier_metrics (item_id, tier) "
            "SELECT 'bulk' || n, 'L0' FROM generate_series(1, 3000) AS n"
        )
        cursor.execute(
            "UPDATE continuum.tier_metrics SET item_id = 'moved' WHERE item_id = 'bulk1'"
        )
        cursor.execute("TRUNCATE accuracy.performance_trends")
    path = live / "continuum_memory.db"
    carried = {c.table: c for c in roll_back().tables}
    assert carried["tier_metrics"].inserted == 3000
    keys = {r[0] for r in rows(path, "tier_metrics")}
    assert b"moved" in keys
    assert b"bulk1" not in keys
    assert rows(live / "accuracy_scores.db", "performance_trends") == []
    assert differences() == {}


@pytest.mark.only_files("continuum")
@pytest.mark.slow
def test_rows_set_aside_stay_in_the_file_after_a_truncate(data):
    path = data / "continuum_memory.db"
    write(
        path,
        "INSERT INTO tier_audit (id, item_id, to_tier, reason, created_at) VALUES "
        "(9005, 'a', 'L1', CAST(x'c328' AS TEXT), '2026-05-03T12:00:00')",
    )
    follow(FollowOptions(once=True))
    cut_over()
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE continuum.tier_audit")
    roll_back()
    assert [row[0] for row in rows(path, "tier_audit")] == [9005]
    assert QuarantinedRow.objects.filter(table="tier_audit", key="9005", status="open").exists()
    assert differences() == {}


@pytest.mark.only_files("continuum")
def test_a_truncate_deletes_a_row_whose_key_reads_like_one_set_aside(data):
    """A text key and the same bytes as binary data: the second row was never in PostgreSQL."""
    path = data / "continuum_memory.db"
    write(
        path, "INSERT INTO tier_metrics (item_id, tier) VALUES ('twin', 'L0'), (x'7477696e', 'L0')"
    )
    follow(FollowOptions(once=True))
    cut_over()
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE continuum.tier_metrics")
    roll_back()
    with closing(sqlite3.connect(path)) as db:
        left = db.execute("SELECT typeof(item_id) FROM tier_metrics WHERE tier = 'L0'").fetchall()
    assert left == [("blob",)]
    assert differences() == {}


@pytest.mark.only_files("knowledge")
def test_dry_run_shows_what_would_go_back(live):
    KnowledgeItem.objects.create(content="x", source="y", knowledge_type="z")
    before = (live / "knowledge_retention.db").read_bytes()
    plan = plan_rollback("default")
    carried = {c.table: c for c in plan.tables}["knowledge_items"]
    assert (carried.inserted, carried.updated, carried.deleted) == (1, 0, 0)
    assert (live / "knowledge_retention.db").read_bytes() == before
    assert state("knowledge") == "live"
    KnowledgeItem.objects.create(content="x2", source="y", knowledge_type="z")


@pytest.mark.only_files("knowledge")
@pytest.mark.slow
def test_replayed_rows_are_not_captured_again(live):
    with transaction.atomic():
        reverse.as_replay("default")
        KnowledgeItem.objects.create(content="x", source="y", knowledge_type="z")
    assert not ReverseChange.objects.exists()
    KnowledgeItem.objects.create(content="x", source="y", knowledge_type="z")
    assert ReverseChange.objects.count() == 1


@pytest.mark.only_files("knowledge")
def test_postgresql_takes_no_writes_after_the_rollback(live):
    roll_back()
    with pytest.raises(DatabaseError, match="moved back"):
        KnowledgeItem.objects.create(content="x", source="y", knowledge_type="z")


@pytest.mark.only_files("knowledge")
@pytest.mark.slow_after(1)
@pytest.mark.parametrize("where", ["_write_file", "_mark", "_prove"])
def test_a_failed_rollback_leaves_postgresql_in_charge(live, monkeypatch, where):
    KnowledgeItem.objects.create(content="kept", source="y", knowledge_type="z")

    def fail(*args, **kwargs):
        raise TransferError("planted")

    with monkeypatch.context() as patch:
        patch.setattr(to_legacy.ToLegacy, where, fail)
        with pytest.raises(TransferError, match="planted"):
            roll_back()
    assert state("knowledge") == "live"
    KnowledgeItem.objects.create(content="after", source="y", knowledge_type="z")
    # Root gets past the seal, and to the trigger.
    with pytest.raises(sqlite3.Error, match=r"moved to PostgreSQL|a readonly database"):
        write(live / "knowledge_retention.db", "DELETE FROM knowledge_items")
    roll_back()
    assert [r[1] for r in rows(live / "knowledge_retention.db", "knowledge_items")][-2:] == [
        b"kept",
        b"after",
    ]
    assert differences() == {}


@pytest.mark.only_files("rss")
def test_rollback_needs_something_live(data):
    with pytest.raises(StateError, match="nothing to roll back"):
        roll_back()
    assert FileState.objects.get(pk="rss").state == "following"


@pytest.mark.slow
def test_rows_of_a_file_that_is_not_there_stay_and_are_reported(legacy):
    data = legacy(variant="disabled")
    install_capture("default", Selection())
    follow(FollowOptions(once=True))
    cut_over()
    TierMetric.objects.create(item_id="switched on later", tier="L0")
    assert plan_rollback("default").homeless == {"continuum.tier_metrics": 1}
    assert roll_back().homeless == {"continuum.tier_metrics": 1}
    assert (data / "continuum_memory.db").stat().st_size == 0
    assert TierMetric.objects.get().item_id == "switched on later"


@pytest.mark.only_files("rss")
@pytest.mark.slow
def test_quarantine_can_be_retried_after_the_rollback(data):
    write(data / "rss_fetch_history.db", "UPDATE rss_fetch_items SET title = x'00' WHERE id = 3")
    follow(FollowOptions(once=True))
    cut_over()
    roll_back()
    row = QuarantinedRow.objects.get(table="rss_fetch_items", key="3", status="open")
    decisions.edit("default", row, "title", "mended", "text")
    row.refresh_from_db()
    assert decisions.retry("default", [row]).loaded == (row.pk,)
    assert FetchItem.objects.get(pk=3).item_title == "mended"
    with pytest.raises(DatabaseError, match="moved back"):
        FetchItem.objects.filter(pk=3).update(item_title="anybody")


@pytest.mark.only_files("rss")
@pytest.mark.slow
def test_a_quarantine_retry_after_the_cut_over_is_carried_back(data):
    write(data / "rss_fetch_history.db", "UPDATE rss_fetch_items SET title = x'00' WHERE id = 3")
    follow(FollowOptions(once=True))
    cut_over()
    row = QuarantinedRow.objects.get(table="rss_fetch_items", key="3", status="open")
    decisions.edit("default", row, "title", "mended", "text")
    row.refresh_from_db()
    assert decisions.retry("default", [row]).loaded == (row.pk,)
    assert ReverseChange.objects.filter(key="3").exists()


@pytest.mark.slow
def test_the_mark_of_a_table_with_none_but_negative_keys_is_not_negative(live):
    """A mark below zero would make SQLite give out negative ids from then on."""
    write(
        live / "accuracy_scores.db", "DELETE FROM sqlite_sequence WHERE name='learning_objectives'"
    )
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM accuracy.learning_objectives")
        cursor.execute(
            "INSERT INTO accuracy.learning_objectives (id, objective_text, target_score, status) "
            "VALUES (-7, 'x', 1, 'active')"
        )
    roll_back()
    file = sqlite3.connect(live / "accuracy_scores.db")
    marks = dict(file.execute("SELECT name, seq FROM sqlite_sequence"))
    assert file.execute("SELECT id FROM learning_objectives").fetchall() == [(-7,)]
    file.close()
    assert marks["learning_objectives"] >= 0


@pytest.mark.only_files("accuracy")
def test_a_role_that_shows_few_digits(live):
    with connection.cursor() as cursor:
        cursor.execute("UPDATE accuracy.accuracy_scores SET accuracy_score = 1.0::float8 / 3")
        cursor.execute("SET extra_float_digits = -15")
        roll_back()
        cursor.execute("RESET extra_float_digits")
    with closing(sqlite3.connect(live / "accuracy_scores.db")) as db:
        same = "SELECT count(*) FROM accuracy_scores WHERE accuracy_score = 1.0 / 3"
        assert db.execute(same).fetchone() == (AccuracyScore.objects.count(),)


@pytest.mark.only_files("rss")
def test_triggers_of_the_application_on_postgresql_do_not_fire(live):
    """A trigger that touches each written row used to make every rollback end with a finding."""
    made = (
        "CREATE FUNCTION pg_temp.touch() RETURNS trigger LANGUAGE plpgsql AS "
        "$$BEGIN NEW.cycle_number := NEW.cycle_number + 1; RETURN NEW; END$$",
        'CREATE TRIGGER "to uch" BEFORE UPDATE ON rss.fetch_cycles FOR EACH ROW '
        "EXECUTE FUNCTION pg_temp.touch()",
        'ALTER TABLE rss.fetch_cycles ENABLE ALWAYS TRIGGER "to uch"',
    )
    with connection.cursor() as cursor:
        for sql in made:
            cursor.execute(sql)
        FetchCycle.objects.filter(pk=1).update(cycle_number=7)
        FetchItem.objects.filter(pk=1).update(item_title="changed")
        roll_back()
        cursor.execute("SELECT tgenabled FROM pg_trigger WHERE tgname = 'to uch'")
        assert cursor.fetchall() == [("A",)]
        cursor.execute('DROP TRIGGER "to uch" ON rss.fetch_cycles')
    with closing(sqlite3.connect(live / "rss_fetch_history.db")) as db:
        found = db.execute("SELECT cycle_number FROM rss_fetch_cycles WHERE id = 1").fetchone()
    assert found == (8,)
    assert differences() == {}
