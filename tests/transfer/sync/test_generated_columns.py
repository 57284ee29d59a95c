"""Columns that SQLite computes: loaded, named, proven, and never written on the way back."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest
from django.db import connection

from knowledge.models import KnowledgeItem, LearningSession
from stillme.transfer.inventory.selection import Selection
from stillme.transfer.models import CarriedCell
from stillme.transfer.registry import legacy_models
from stillme.transfer.sqlite.reading.huge_cells import HUGE_BYTES
from stillme.transfer.sqlite.schema.drift import find_drift
from stillme.transfer.sqlite.schema.found import read_schema
from stillme.transfer.steps.follow import FollowOptions, follow
from stillme.transfer.steps.install_capture import install_capture
from tests.transfer.load.support import run_import
from tests.transfer.verify.support import judge

from .switching import cut_over, roll_back
from .test_follow import write

pytestmark = pytest.mark.only_files("knowledge")

FILE = "knowledge_retention.db"


@pytest.fixture
def data(legacy):
    """An undeclared column, and a declared one, that SQLite computes."""
    folder = legacy()
    with closing(sqlite3.connect(folder / FILE)) as file:
        file.execute("PRAGMA legacy_alter_table = 1")
        file.execute("ALTER TABLE knowledge_items ADD COLUMN loud TEXT AS (upper(content)) VIRTUAL")
        (sql,) = file.execute("SELECT sql FROM sqlite_master WHERE name = 'learning_sessions'")
        file.execute("ALTER TABLE learning_sessions RENAME TO before")
        computed = "retention_improvement REAL AS (accuracy_score * 2) STORED"
        file.execute(sql[0].replace("retention_improvement REAL DEFAULT 0.0", computed))
        names = "id, session_type, content_learned, accuracy_score, created_at, metadata"
        file.execute(f"INSERT INTO learning_sessions ({names}) SELECT {names} FROM before")
        file.execute("DROP TABLE before")
        file.commit()
    return folder


def test_they_are_named_loaded_and_proven(data):
    with closing(sqlite3.connect(data / FILE)) as file:
        drift = find_drift("knowledge", legacy_models("knowledge"), read_schema(file))
        (loud,) = file.execute("SELECT loud FROM knowledge_items WHERE id = 2").fetchone()
    found = {(d.what, d.name): d.sentence() for d in drift}
    assert "GENERATED ALWAYS, virtual" in found["extra column", "loud"]
    assert "found stored" in found["generated column", "retention_improvement"]
    result = run_import()
    assert any("values that SQLite computes are loaded: loud" in n for n in result.notices)
    assert KnowledgeItem.objects.get(pk=2).legacy_extra == {"loud": loud}
    session = LearningSession.objects.get(pk=1)
    assert session.retention_improvement == session.accuracy_score * 2
    assert judge(round_trip=True).findings.total == 0


@pytest.mark.slow
def test_a_huge_text_beside_them(data):
    """SQLite opens no blob handle in such a table."""
    text = "x" * (HUGE_BYTES + 9)
    write(data / FILE, ("UPDATE knowledge_items SET content = ? WHERE id = 2", (text,)))
    run_import()
    assert len(KnowledgeItem.objects.get(pk=2).content) == HUGE_BYTES + 9
    assert judge(round_trip=True).findings.total == 0


@pytest.mark.slow
def test_the_way_back_leaves_them_to_sqlite(data):
    install_capture("default", Selection())
    follow(FollowOptions(once=True))
    cut_over()
    LearningSession.objects.filter(pk=1).update(accuracy_score=0.25, retention_improvement=7.0)
    LearningSession.objects.filter(pk=2).update(accuracy_score=0.5, retention_improvement=1.0)
    KnowledgeItem.objects.filter(pk=2).update(content="quiet")
    new = KnowledgeItem.objects.create(content="new", source="s", knowledge_type="t").pk
    roll_back()
    with closing(sqlite3.connect(data / FILE)) as file:
        loud = dict(file.execute("SELECT id, loud FROM knowledge_items"))
        improved = dict(file.execute("SELECT id, retention_improvement FROM learning_sessions"))
    assert (loud[2], loud[new]) == ("QUIET", "NEW")
    assert (improved[1], improved[2]) == (0.5, 1.0)
    lost = CarriedCell.objects.get(reason="computed")
    assert (lost.key, lost.column, lost.value) == ("1", "retention_improvement", "7.0")
    connection.close()
    assert judge().findings.total == 0
