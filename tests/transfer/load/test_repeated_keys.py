"""Keys stored twice (a table that lost its PRIMARY KEY): a decision about one row is about one."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from stillme.transfer.inventory.selection import Selection
from stillme.transfer.models import QuarantinedRow
from stillme.transfer.quarantine import decisions
from stillme.transfer.steps.follow import FollowOptions, follow
from stillme.transfer.steps.install_capture import install_capture
from tests.made_once import put_samples
from tests.transfer.load.support import FILES, change, query, run_import
from tests.transfer.verify.support import judge

pytestmark = pytest.mark.django_db(transaction=True)

ROW = "INSERT INTO knowledge_items (id, content, source, knowledge_type) VALUES (%s, %s, 's', 't')"


@pytest.fixture
def legacy(tmp_path: Path, use_legacy_files: Callable[[Path], None]) -> Path:
    """Items 900000 to 900002, a relationship of the first two, and no primary key."""
    put_samples(tmp_path, rows=5, variant="clean", files=["knowledge"])
    with closing(sqlite3.connect(tmp_path / FILES["knowledge"])) as file:
        file.execute("PRAGMA legacy_alter_table = 1")
        (sql,) = file.execute(
            "SELECT sql FROM sqlite_master WHERE name = 'knowledge_items'"
        ).fetchone()
        file.execute("ALTER TABLE knowledge_items RENAME TO before")
        file.execute(sql.replace("INTEGER PRIMARY KEY AUTOINCREMENT", "INTEGER"))
        file.execute("INSERT INTO knowledge_items SELECT * FROM before")
        file.execute("DROP TABLE before")
        file.commit()
    rows = [ROW % (key, "'first'") for key in (900000, 900001, 900002)]
    relation = (
        "INSERT INTO knowledge_relationships (source_id, target_id, relationship_type) "
        "VALUES (900000, 900001, 'near')"
    )
    change(tmp_path, "knowledge", *rows, relation)
    use_legacy_files(tmp_path)
    return tmp_path


def again(folder: Path, content: str = "'second'") -> None:
    change(folder, "knowledge", ROW % (900000, content))


def contents(key: int = 900000) -> list[str]:
    return [
        row[0] for row in query("SELECT content FROM knowledge.knowledge_items WHERE id = %s", key)
    ]


def children() -> int:
    found = query("SELECT count(*) FROM knowledge.knowledge_relationships WHERE source_id = 900000")
    return int(found[0][0])


def record(reason: str) -> QuarantinedRow:
    return QuarantinedRow.objects.get(reason=reason)


def test_a_retry_does_not_take_the_place_of_the_first(legacy: Path) -> None:
    again(legacy)
    run_import()
    assert (contents(), children()) == (["first"], 1)
    found = decisions.retry("default", [record("duplicate_key")])
    assert "An earlier row has the key 900000" in found.still[0][1]
    assert contents() == ["first"]
    assert record("duplicate_key").status == "open"
    assert judge().findings.total == 0


def test_a_new_key_must_be_free(legacy: Path) -> None:
    again(legacy)
    run_import()
    row = record("duplicate_key")
    decisions.edit("default", row, "id", "900002", "integer")
    found = decisions.retry("default", [row])
    assert "has a row with the key 900002" in found.still[0][1]
    assert contents(900002) == ["first"]
    decisions.edit("default", row, "id", "900003", "integer")
    assert decisions.retry("default", [row]).loaded == (row.pk,)
    assert (contents(), contents(900003)) == (["first"], ["second"])
    assert [f.sentence() for f in judge(round_trip=True).findings.kept] == []
    change(legacy, "knowledge", "UPDATE knowledge_items SET source = 'x' WHERE id > 900000")
    run_import(prune=True)
    assert contents(900003) == ["second"]
    assert [f.sentence() for f in judge(round_trip=True).findings.kept] == []
    query("UPDATE knowledge.knowledge_items SET content = 'other' WHERE id = 900003")
    assert [(f.key, f.found) for f in judge().findings.kept] == [("900003", "'other'")]


@pytest.mark.slow
def test_a_row_without_a_key_gets_one(legacy: Path) -> None:
    change(legacy, "knowledge", ROW % ("NULL", "'keyless'"))
    run_import()
    row = QuarantinedRow.objects.get(key=None)
    decisions.edit("default", row, "id", "910000", "integer")
    assert decisions.retry("default", [row]).loaded == (row.pk,)
    assert contents(910000) == ["keyless"]
    assert [f.sentence() for f in judge(round_trip=True).findings.kept] == []
    run_import(prune=True, overwrite=True)
    assert contents(910000) == ["keyless"]
    assert judge(level="counts").findings.total == 0


def test_the_first_is_mended_and_the_second_stays_open(legacy: Path) -> None:
    change(legacy, "knowledge", "UPDATE knowledge_items SET content = x'00' WHERE id = 900000")
    again(legacy)
    run_import()
    assert (contents(), children()) == ([], 0)
    second = record("duplicate_key")
    decisions.edit("default", second, "id", "900000", "integer")
    found = decisions.retry("default", [second])
    assert "in quarantine has the key 900000" in found.still[0][1]
    first = record("blob")
    decisions.edit("default", first, "content", "mended", "text")
    assert decisions.retry("default", [first]).loaded == (first.pk,)
    assert (contents(), record("duplicate_key").status) == (["mended"], "open")
    run_import()
    assert (children(), contents()) == (1, ["mended"])
    assert judge().findings.total == 0


@pytest.mark.slow
def test_a_sweep_takes_no_edited_row_for_a_bypass(legacy: Path) -> None:
    again(legacy)
    change(legacy, "knowledge", "UPDATE knowledge_items SET content = x'00' WHERE id = 900002")
    install_capture("default", Selection())
    follow(FollowOptions(once=True))
    second, bad = record("duplicate_key"), record("blob")
    decisions.edit("default", second, "id", "900003", "integer")
    decisions.edit("default", bad, "content", "mended", "text")
    assert len(decisions.retry("default", [second, bad]).loaded) == 2
    done = follow(FollowOptions(once=True, sweep=True))
    assert not done.bypassed
    assert judge().findings.total == 0
