"""Rows that somebody else wrote in PostgreSQL: the equal ones are adopted, the rest listed."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest
from django.core.management import call_command

from stillme.transfer.errors import TransferError
from stillme.transfer.inventory.selection import Selection
from stillme.transfer.models import FileState, Run
from stillme.transfer.registry import legacy_models
from stillme.transfer.steps.cutover import CutoverOptions, check_cutover
from stillme.transfer.steps.follow import FollowOptions, follow
from stillme.transfer.steps.load import ImportOptions, import_files
from tests.transfer.load.support import query
from tests.transfer.verify.support import JUDGE

from .equal import differences
from .switching import DESPITE, cut_over, roll_back
from .test_follow import ONCE, write

pytestmark = pytest.mark.only_files("rss", "knowledge")

SWEEP = FollowOptions(once=True, sweep=True)
LEDGER = ("run", "run_file", "run_table", "chunk", "file_state", "quarantined_row")


def as_restored(*, at_once=False):
    """Every row written by somebody else, and the ledger of another cluster: dump and restore."""
    Run.objects.update(versions={"cluster": "1/2"})
    statements = []
    for model in legacy_models():
        relation = model.target_model()._meta.db_table
        statements.append(f"UPDATE {relation} SET legacy_extra = legacy_extra")
    for name in LEDGER:
        column = {"file_state": "position", "run": "message"}.get(name, "run_id")
        statements.append(f"UPDATE transfer.{name} SET {column} = {column}")
    for sql in ["; ".join(statements)] if at_once else statements:
        query(f"DO $$ BEGIN {sql}; END $$")


def foreign_lines():
    lines = check_cutover(CutoverOptions(), JUDGE)
    return [line for line in lines if line.subject == "foreign writes"]


def is_green():
    return [line.colour for line in foreign_lines()] == ["go"]


def title(key):
    return query("SELECT item_title FROM rss.fetch_items WHERE id = %s", key)[0][0]


def test_a_restored_database_is_read_again_and_followed(data):
    rss = data / "rss_fetch_history.db"
    as_restored()
    write(
        rss,
        "UPDATE rss_fetch_items SET title = 'since the dump' WHERE id = 3",
        "DELETE FROM rss_fetch_items WHERE id = 4",
    )
    assert not is_green()
    follow(ONCE)
    assert differences() == {}
    assert title(3) == "since the dump"
    assert is_green()
    assert not FileState.objects.filter(details__has_key="restored").exists()


@pytest.mark.slow
def test_a_restored_database_is_read_again_by_the_import_too(data):
    as_restored()
    write(data / "rss_fetch_history.db", "UPDATE rss_fetch_items SET title = 'new' WHERE id = 3")
    result = import_files(ImportOptions(jobs=1))
    assert result.conflicts == 0
    assert differences() == {}
    assert is_green()


@pytest.mark.slow
def test_a_verification_first_does_not_hide_that_the_database_was_restored(data):
    as_restored()
    write(data / "rss_fetch_history.db", "UPDATE rss_fetch_items SET title = 'new' WHERE id = 3")
    with pytest.raises(SystemExit):
        call_command("verify_migration")
    follow(ONCE)
    assert differences() == {}
    assert is_green()


@pytest.mark.slow
def test_what_was_written_after_the_restore_is_not_taken_for_the_dumps(data):
    as_restored()
    query("UPDATE rss.fetch_items SET item_title = 'mine' WHERE id IN (3, 5)")
    write(data / "rss_fetch_history.db", "UPDATE rss_fetch_items SET title = 'new' WHERE id = 3")
    follow(ONCE)
    assert (title(3), title(5)) == ("mine", "mine")
    found = FileState.objects.get(file="rss").details["foreign"]
    assert found == {"rss_fetch_items": ["3", "5"]}
    assert not is_green()


def test_equal_rows_of_others_are_adopted_and_the_rest_is_decided(data):
    rss = data / "rss_fetch_history.db"
    query("UPDATE rss.fetch_items SET item_title = item_title")
    query("UPDATE rss.fetch_items SET item_title = 'mine' WHERE id = 5")
    query(
        "INSERT INTO rss.fetch_items (id, cycle_id, feed_url, item_title, status, fetch_timestamp) "
        "SELECT 90001, min(id), 'x', 't', 'y', now() FROM rss.fetch_cycles"
    )
    swept = follow(SWEEP)
    assert swept.bypassed == 0
    assert FileState.objects.get(file="rss").details["foreign"] == {
        "rss_fetch_items": ["5", "90001"]
    }
    write(rss, "UPDATE rss_fetch_items SET title = 'adopted' WHERE id = 3")
    follow(ONCE)
    assert title(3) == "adopted"
    assert title(5) == "mine"
    result = import_files(ImportOptions(jobs=1))
    assert result.conflicts == 1
    assert result.exit_status == 1
    assert any("5, 90001" in notice for notice in result.notices)
    assert not is_green()
    import_files(ImportOptions(jobs=1, overwrite=True))
    assert not is_green(), "the row that the file does not have is still there"
    import_files(ImportOptions(jobs=1, overwrite=True, prune=True))
    assert query("SELECT id FROM rss.fetch_items WHERE id = 90001") == []
    assert is_green()
    assert "foreign" not in FileState.objects.get(file="rss").details
    assert differences() == {}


@pytest.mark.slow
def test_without_overwrite_a_prune_leaves_rows_of_others(data):
    query(
        "INSERT INTO rss.fetch_items (id, cycle_id, feed_url, item_title, status, fetch_timestamp) "
        "SELECT 90001, min(id), 'x', 't', 'y', now() FROM rss.fetch_cycles"
    )
    result = import_files(ImportOptions(jobs=1, prune=True))
    assert query("SELECT id FROM rss.fetch_items WHERE id = 90001") == [(90001,)]
    assert any("90001" in notice for notice in result.notices)
    assert not is_green()


@pytest.mark.slow
def test_equal_rows_are_adopted_without_being_written(data):
    query("UPDATE rss.fetch_items SET item_title = item_title")
    before = query("SELECT id, xmin::text FROM rss.fetch_items ORDER BY 1")
    follow(SWEEP)
    assert query("SELECT id, xmin::text FROM rss.fetch_items ORDER BY 1") == before
    assert is_green()


@pytest.mark.slow
def test_a_row_written_during_the_comparison_keeps_its_writer(data, monkeypatch):
    from stillme.transfer.steps.merging import foreign

    compare = foreign.compare_table
    query("UPDATE rss.fetch_items SET item_title = item_title")

    def and_somebody_writes(alias, source, key_range):
        found = compare(alias, source, key_range)
        if source.job.mapping.table == "rss_fetch_items":
            query("UPDATE rss.fetch_items SET item_title = 'mine' WHERE id = 7")
        return found

    monkeypatch.setattr(foreign, "compare_table", and_somebody_writes)
    follow(SWEEP)
    assert not is_green()
    monkeypatch.undo()
    follow(SWEEP)
    assert FileState.objects.get(file="rss").details["foreign"] == {"rss_fetch_items": ["7"]}


@pytest.mark.slow
def test_an_application_that_was_switched_without_a_cut_over_goes_live(data, capsys):
    """It wrote in PostgreSQL while the files were in charge: those rows stay, by a decision."""
    top = query("SELECT max(id) FROM rss.fetch_items")[0][0]
    query("UPDATE rss.fetch_items SET item_title = 'mine' WHERE id IN (5, %s)", top)
    query(
        "INSERT INTO rss.fetch_items (id, cycle_id, feed_url, item_title, status, fetch_timestamp) "
        "SELECT 90001, min(id), 'x', 't', 'y', now() FROM rss.fetch_cycles"
    )
    follow(SWEEP)
    call_command("cutover", *DESPITE)
    said = " ".join(capsys.readouterr().out.split())
    assert "risk taken" in said
    assert f"wrote 3 rows in PostgreSQL (5, {top}, 90001)" in said
    assert "rollback_migration will not carry these rows back" in said
    assert (title(5), title(top), title(90001)) == ("mine", "mine", "t")
    assert FileState.objects.get(file="rss").state == "live"
    query("UPDATE rss.fetch_items SET item_title = 'since' WHERE id = %s", top)
    roll_back()
    rss = data / "rss_fetch_history.db"
    with closing(sqlite3.connect(rss)) as connection:
        found = dict(connection.execute("SELECT id, title FROM rss_fetch_items").fetchall())
    assert found[top] == "since"
    assert found[5] != "mine"
    assert 90001 not in found


def test_a_row_that_is_missing_in_postgresql_is_no_foreign_write(data):
    """Deleted by somebody else: no decision about foreign rows covers it."""
    top = query("SELECT max(id) FROM rss.fetch_items")[0][0]
    query("DELETE FROM rss.fetch_items WHERE id = %s", top)
    with pytest.raises(TransferError, match=f"row {top} is not the same"):
        cut_over()


@pytest.mark.slow
def test_a_transaction_that_wrote_two_files_is_not_adopted_by_looking_at_one(data):
    query(
        "DO $$ BEGIN UPDATE rss.fetch_items SET item_title = item_title; "
        "UPDATE knowledge.knowledge_items SET content = 'mine' WHERE id = 2; END $$"
    )
    import_files(ImportOptions(jobs=1, selection=Selection(files=("rss",))))
    assert [line.finding for line in foreign_lines()] == [
        "knowledge_items: somebody else wrote 1 row in PostgreSQL (2)"
    ]
    query("SELECT 1 FROM rss.fetch_items")
    write(data / "rss_fetch_history.db", "UPDATE rss_fetch_items SET title = 'new' WHERE id = 3")
    follow(SWEEP)
    assert title(3) == "new"
    assert FileState.objects.get(file="knowledge").details["foreign"] == {"knowledge_items": ["2"]}


@pytest.mark.slow
def test_a_dump_restored_in_one_transaction_is_read_again_file_by_file(data):
    as_restored(at_once=True)
    write(data / "rss_fetch_history.db", "UPDATE rss_fetch_items SET title = 'new' WHERE id = 3")
    follow(FollowOptions(once=True, selection=Selection(files=("rss",))))
    assert title(3) == "new"
    assert not is_green()
    follow(ONCE)
    assert is_green()
    assert differences() == {}
