"""Reverse capture: how it stands is told, and nothing slips past it."""

from __future__ import annotations

import pytest
from django.db import DatabaseError, connection, transaction

from knowledge.models import KnowledgeItem
from rss.models import FetchCycle
from stillme.transfer.models import ReverseChange
from stillme.transfer.postgresql import capture as reverse
from stillme.transfer.postgresql.capture import Health, target_tables

NAMES = ("knowledge", "continuum", "rss", "accuracy")


@pytest.fixture
def captured(clean_target):
    tables = target_tables(NAMES)
    with transaction.atomic():
        reverse.install("default", tables)
    return tables


def sql(statement):
    with connection.cursor() as cursor:
        cursor.execute(statement)


def log():
    return [(c.relation, c.key) for c in ReverseChange.objects.order_by("sequence")]


def item(**values):
    return KnowledgeItem.objects.create(content="c", source="s", knowledge_type="k", **values)


def test_every_verb(captured):
    assert reverse.status("default", captured).is_healthy
    one = item()
    KnowledgeItem.objects.filter(pk=one.pk).update(source="x")
    key = ("knowledge.knowledge_items", str(one.pk))
    one.delete()
    assert log() == [key] * 3


def test_key_update_and_truncate(captured):
    one = item()
    ReverseChange.objects.all().delete()
    sql(f"UPDATE knowledge.knowledge_items SET id = 77 WHERE id = {one.pk}")
    assert {k for _, k in log()} == {str(one.pk), "77"}
    sql("TRUNCATE knowledge.knowledge_items CASCADE")
    assert ("knowledge.knowledge_items", None) in log()
    assert ("knowledge.knowledge_relationships", None) in log()


def test_upsert_and_bulk(captured):
    sql(
        "INSERT INTO continuum.tier_metrics (item_id, tier) SELECT n::text, 'L0' "
        "FROM generate_series(1, 500) AS n"
    )
    sql(
        "INSERT INTO continuum.tier_metrics (item_id, tier) VALUES ('1', 'L1'), ('new', 'L1') "
        "ON CONFLICT (item_id) DO UPDATE SET tier = excluded.tier"
    )
    keys = [k for _, k in log()]
    assert len(keys) == 502
    assert keys.count("1") == 2
    assert "new" in keys


def test_rolled_back_writes_leave_no_trace(captured):
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        item()
        raise ZeroDivisionError
    assert log() == []


def test_replica_role_does_not_slip_past(captured):
    sql("SET session_replication_role = replica")
    try:
        item()
    finally:
        sql("SET session_replication_role = origin")
    assert len(log()) == 1


def test_the_loop_guard_ends_with_its_transaction(captured):
    with transaction.atomic():
        reverse.as_replay("default")
        item()
    assert log() == []
    item()
    assert len(log()) == 1


def test_health(captured):
    tables = captured
    sql("ALTER TABLE rss.fetch_items DISABLE TRIGGER stillme_capture_update")
    found = reverse.status("default", tables)
    assert found.health is Health.MISSING
    assert "rss.fetch_items" in found.problems[0]
    sql(
        "CREATE OR REPLACE FUNCTION transfer.capture_rss_fetch_items() RETURNS trigger "
        "LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'"
    )
    assert reverse.status("default", tables).health is Health.HAND_EDITED
    with transaction.atomic():
        reverse.install("default", tables)
    assert reverse.status("default", tables).is_healthy
    with transaction.atomic():
        reverse.remove("default", tables)
    assert reverse.status("default", tables).health is Health.ABSENT


@pytest.mark.slow
def test_other_triggers_are_no_capture(clean_target):
    """After a rollback the tables are frozen; and an operator may have triggers of his own."""
    tables = target_tables(NAMES)
    with transaction.atomic():
        reverse.freeze_target("default", tables)
        sql(
            "CREATE TRIGGER of_theirs BEFORE UPDATE ON rss.fetch_items FOR EACH ROW "
            "EXECUTE FUNCTION suppress_redundant_updates_trigger()"
        )
        assert reverse.status("default", tables).health is Health.ABSENT
        transaction.set_rollback(True)


@pytest.mark.slow
def test_another_version_is_outdated(captured, monkeypatch):
    from stillme.transfer.postgresql.capture import templates

    monkeypatch.setattr(templates, "VERSION", 2)
    assert reverse.status("default", captured).health is Health.OUTDATED


def test_freeze_refuses_all_but_the_engine(captured):
    tables = captured
    one = item()
    with transaction.atomic():
        reverse.freeze_target("default", tables)
    assert reverse.is_frozen("default", tables)
    attempts = (
        item,
        lambda: KnowledgeItem.objects.filter(pk=one.pk).update(source="x"),
        lambda: KnowledgeItem.objects.filter(pk=one.pk).delete(),
        lambda: sql("TRUNCATE knowledge.knowledge_items CASCADE"),
        lambda: FetchCycle.objects.create(cycle_number=1, started_at="2026-01-01T00:00Z"),
    )
    for attempt in attempts:
        with pytest.raises(DatabaseError, match="takes no more writes"):
            attempt()
    with transaction.atomic():
        reverse.as_replay("default")
        item()
    with transaction.atomic():
        reverse.unfreeze_target("default", tables)
    item()
