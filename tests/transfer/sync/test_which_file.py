"""Which file is the live one: copies, moves, replacements and restores of a followed file."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import threading
from contextlib import closing, suppress
from functools import partial

import pytest
from django.core.management import CommandError, call_command
from django.db import Error, connection
from django.urls import reverse

from rss.models import FetchItem
from stillme.demo.samples import make_samples
from stillme.transfer.errors import LedgerMismatch, StateError, TargetError, TransferError
from stillme.transfer.inventory.selection import Selection
from stillme.transfer.models import FileState
from stillme.transfer.postgresql import locks
from stillme.transfer.steps import cutover, rollback, status
from stillme.transfer.steps.cutover import CutoverOptions, check_cutover
from stillme.transfer.steps.follow import FollowOptions, follow
from stillme.transfer.steps.install_capture import install_capture, moved_files, remove_capture
from stillme.transfer.steps.load import ImportOptions, import_files
from stillme.transfer.steps.status import overview
from stillme.transfer.steps.switching import to_legacy
from stillme.transfer.verify.tables.live_rows import TailJudge
from stillme.transfer.verify.verification import VerifyOptions, verify
from tests.transfer.verify.support import JUDGE

from .equal import differences
from .switching import cut_over, options, roll_back
from .test_follow import ALL, ONCE, state, write

pytestmark = pytest.mark.only_files("rss")

NAME = "rss_fetch_history.db"
COLUMNS = {"id": "id", "cycle_id": "cycle_id", "title": "item_title", "link": "item_link"}


def cells(path):
    """Every cell of some columns of the largest table: (the file's, PostgreSQL's)."""
    with closing(sqlite3.connect(path)) as file:
        legacy = file.execute(f"SELECT {', '.join(COLUMNS)} FROM rss_fetch_items ORDER BY id")
        legacy = legacy.fetchall()
    with connection.cursor() as cursor:
        names = ", ".join(COLUMNS.values())
        cursor.execute(f"SELECT {names} FROM rss.fetch_items ORDER BY id")
        return legacy, cursor.fetchall()


def triggers(file):
    rows = file.execute(
        "SELECT name, sql FROM sqlite_master WHERE type = 'trigger' AND tbl_name='rss_fetch_items'"
    )
    return rows.fetchall()


def bypass(path):
    """A table that is written to with its triggers away, in one transaction."""
    with closing(sqlite3.connect(path, isolation_level=None)) as file:
        kept = triggers(file)
        file.execute("BEGIN IMMEDIATE")
        for name, _ in kept:
            file.execute(f"DROP TRIGGER {name}")
        file.execute("UPDATE rss_fetch_items SET title = 'behind our back' WHERE id = 3")
        file.execute("DELETE FROM rss_fetch_items WHERE id = 5")
        for _, sql in kept:
            file.execute(sql)
        file.execute("COMMIT")


def restore(path):
    """An older copy is laid over the file, which keeps its inode.

    By another process: closing a file here would drop the locks that SQLite holds on it.
    """
    with closing(sqlite3.connect(path)) as file:
        file.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    subprocess.run(["cp", path.with_suffix(".old"), path], check=True)


def replace(path):
    """A compacted copy takes the file's place; somebody had written to it before."""
    new = path.with_suffix(".new")
    with closing(sqlite3.connect(path, isolation_level=None)) as file:
        file.execute("VACUUM INTO ?", (str(new),))
    bypass(new)
    new.replace(path)


def keep_no_wal(directory):
    """A file that is laid over one with a write-ahead log would be read through that log."""
    for path in directory.glob("*.db"):
        with closing(sqlite3.connect(path)) as file:
            file.execute("PRAGMA journal_mode = delete")


@pytest.fixture
def journal():
    return "delete"


@pytest.fixture
def old(clean_target, stage, journal):
    """Followed, with more rows than the tail looks at, and an older copy next to the file."""
    return stage(f"old {journal}", partial(make_old, journal)) / NAME


def make_old(journal, directory):
    make_samples(directory, rows=300, variant="clean")
    path = directory / NAME
    with closing(sqlite3.connect(path)) as file:
        file.execute(f"PRAGMA journal_mode = {journal}")
    install_capture("default", ALL)
    follow(ONCE)
    write(path, "UPDATE rss_fetch_items SET title = 'first' WHERE id = 1")
    follow(ONCE)
    shutil.copyfile(path, path.with_suffix(".old"))
    write(path, "UPDATE rss_fetch_items SET title = 'second' WHERE id IN (2, 7, 100)")
    follow(ONCE)


@pytest.mark.slow_after(1, by="evil")
@pytest.mark.parametrize("journal", ["delete", "wal"])
@pytest.mark.parametrize("moment", ["sweep", "drain what came meanwhile", "verify the tail"])
@pytest.mark.parametrize("evil", [bypass, restore, replace])
def test_cut_over_is_refused_or_right(old, evil, moment):
    def at(event):
        if event.name == "step" and event.data["name"] == moment:
            evil(old)

    with suppress(TransferError):
        cutover.cut_over(options(), TailJudge("default"), at)
        legacy, target = cells(old)
        # A write-ahead log that is still there covers what was laid under it.
        assert (evil, legacy) == (restore, target)
        return
    assert state("rss") == "following"


@pytest.mark.slow
def test_a_captured_change_that_is_set_back_without_capture(old):
    """The row looks as it did before, and the target has the change."""
    seen = []

    def at(event):
        name = event.data.get("name") if event.name == "step" else ""
        if name == "sweep":
            write(old, "UPDATE rss_fetch_items SET title = 'gone again' WHERE id = 3")
            with closing(sqlite3.connect(old.with_suffix(".old"))) as file:
                seen.extend(file.execute("SELECT title FROM rss_fetch_items WHERE id = 3"))
        elif name == "drain what came meanwhile":
            with closing(sqlite3.connect(old, isolation_level=None)) as file:
                kept = triggers(file)
                file.execute("BEGIN IMMEDIATE")
                for trigger, _ in kept:
                    file.execute(f"DROP TRIGGER {trigger}")
                file.execute("UPDATE rss_fetch_items SET title = ? WHERE id = 3", seen[0])
                for _, sql in kept:
                    file.execute(sql)
                file.execute("COMMIT")

    with pytest.raises(TransferError, match="row 3 is not the same"):
        cutover.cut_over(options(), TailJudge("default"), at)


@pytest.mark.slow
@pytest.mark.parametrize("evil", [bypass, restore, replace])
def test_done_before_the_cut_over(old, evil):
    evil(old)
    with pytest.raises(TransferError):
        cut_over()
    assert state("rss") == "following"


@pytest.mark.slow
def test_writers_while_the_sweep_is_made_are_no_bypass(old):
    """Captured writes between the sweep and the freeze go along, and every cell is right."""
    seen = []

    def at(event):
        if event.name == "step" and event.data["name"] in ("sweep", "verify what was drained"):
            seen.append(event)
            write(
                old,
                "DELETE FROM rss_fetch_items WHERE id = 9",
                "UPDATE rss_fetch_items SET title = title || '!' WHERE id IN (3, 4)",
                "INSERT INTO rss_fetch_items (cycle_id, title, source_url, fetch_timestamp, "
                "status) VALUES (1, 'late', 'x', '2026-01-02T03:04:05.678901', 'Error')",
            )

    cutover.cut_over(options(), TailJudge("default"), at)
    assert (state("rss"), len(seen)) == ("live", 2)
    legacy, target = cells(old)
    assert legacy == target


@pytest.mark.slow_after(1)
@pytest.mark.parametrize("journal", ["delete", "wal"])
@pytest.mark.parametrize("evil", [restore, replace])
def test_follower_stops_and_leaves_the_log_alone(old, evil):
    """Both while it works and when it starts; nothing of the other history is trimmed."""
    position = FileState.objects.get(pk="rss").position
    done, stop = threading.Event(), threading.Event()

    def at(event):
        if event.name == "lag" and not done.is_set():
            done.set()
            evil(old)
            for n in range(20):
                write(old, f"UPDATE rss_fetch_items SET title = 'other {n}' WHERE id = {n + 200}")

    with pytest.raises(StateError):
        follow(FollowOptions(sweep_every=0), at, stop)
    assert FileState.objects.get(pk="rss").position == position
    with closing(sqlite3.connect(old)) as file:
        assert file.execute("SELECT count(*) FROM stillme_change").fetchone()[0] >= 21
    with pytest.raises(StateError):
        follow(ONCE)
    lines = {line.subject: line for line in check_cutover(CutoverOptions(), JUDGE)}
    assert "no-go" in {lines[s].colour for s in ("rss: file", "rss: capture") if s in lines}


@pytest.mark.slow
def test_the_advice_after_a_restore_leads_out(old):
    restore(old)
    with pytest.raises(StateError, match=r"--install, then .*import_sqlite --prune --replaced"):
        follow(ONCE)
    install_capture("default", ALL)
    import_files(ImportOptions(jobs=1, prune=True, replaced=True))
    follow(ONCE)
    assert differences() == {}
    cut_over()
    legacy, target = cells(old)
    assert legacy == target


def test_a_move_has_its_command(old, use_legacy_files, tmp_path):
    """Another folder, the same files."""
    other = tmp_path / "elsewhere"
    old.parent.rename(other)
    use_legacy_files(other)
    with pytest.raises(StateError, match=rf"{old.parent}.*{other}.*--moved"):
        follow(ONCE)
    call_command("sync_sqlite", "--moved")
    write(other / NAME, "UPDATE rss_fetch_items SET title = 'moved' WHERE id = 4")
    follow(ONCE)
    assert differences() == {}
    cut_over()
    # Live files move too: a rollback finds them.
    other.rename(old.parent)
    use_legacy_files(old.parent)
    with pytest.raises(StateError, match="--moved"):
        roll_back()
    moved_files("default", ALL)
    roll_back()
    assert differences() == {}


@pytest.mark.slow
def test_a_compacted_file_has_the_same_command(old):
    new = old.with_suffix(".new")
    with closing(sqlite3.connect(old, isolation_level=None)) as file:
        file.execute("VACUUM INTO ?", (str(new),))
    new.replace(old)
    with pytest.raises(StateError, match=rf"another file.*{old}.*inode.*--moved"):
        follow(ONCE)
    moved_files("default", ALL)
    bypass(old)
    # Every row is compared again, whatever an earlier sweep said.
    swept = {s.file: s for s in follow(FollowOptions(once=True, sweep=True)).swept}
    assert swept["rss"].bypassed == {"rss_fetch_items": ["3", "5"]}


@pytest.mark.slow
def test_a_restored_file_was_not_moved(old):
    copy = old.with_suffix(".old")
    copy.replace(old)
    with pytest.raises(StateError, match="another history"):
        moved_files("default", ALL)


@pytest.fixture
def copied(old, use_legacy_files, tmp_path):
    """The settings name a copy of the folder."""
    copy = tmp_path / "copy"
    shutil.copytree(old.parent, copy)
    use_legacy_files(copy)
    return copy / NAME


def test_a_copy_is_refused_everywhere(old, copied):
    before = copied.read_bytes()
    both = rf"{old}.*{copied}.*which is another file"
    calls = [
        lambda: follow(ONCE),
        cut_over,
        lambda: verify(VerifyOptions(jobs=1, selection=Selection(files=("rss",)))),
        lambda: import_files(ImportOptions(jobs=1, selection=Selection(files=("rss",)))),
        lambda: install_capture("default", Selection(files=("rss",))),
        lambda: remove_capture("default", Selection(files=("rss",))),
    ]
    for call in calls:
        with pytest.raises(StateError, match=r"which is another file"):
            call()
    with pytest.raises(StateError, match="is still there"):
        moved_files("default", Selection(files=("rss",)))
    lines = {line.subject: line for line in check_cutover(CutoverOptions(), JUDGE)}
    assert lines["rss: file"].colour == "no-go"
    found = next(file for file in overview("default").files if file.file == "rss")
    with pytest.raises(StateError, match=both):
        raise StateError(found.problem)
    assert copied.read_bytes() == before


@pytest.mark.slow
def test_status_names_another_history(old):
    """Laid over the followed file: the same place, and another log."""
    restore(old)
    found = next(file for file in overview("default").files if file.file == "rss")
    assert "another history" in found.problem
    with pytest.raises(SystemExit, match="1"):
        call_command("sync_sqlite", "--status")


@pytest.mark.slow
def test_a_copy_that_lacks_the_file_is_named_too(old, copied):
    copied.unlink()
    lines = {line.subject: line for line in check_cutover(CutoverOptions(), JUDGE)}
    assert lines["rss: file"].colour == "no-go"


def test_rollback_writes_into_no_copy(live, use_legacy_files, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(live, copy)
    use_legacy_files(copy)
    for call in (roll_back, lambda: rollback.plan_rollback("default")):
        with pytest.raises(StateError, match="which is another file"):
            call()
    assert state("rss") == "live"


def test_a_frozen_copy_laid_over_after_the_way_back(live):
    """It has the log that the rollback read, and lacks what the rollback wrote."""
    path = live / NAME
    frozen = path.read_bytes()
    FetchItem.objects.filter(pk=3).update(item_title="only PostgreSQL had it")
    roll_back()
    kept = path.read_bytes()
    path.write_bytes(frozen)
    found = next(file for file in overview("default").files if file.file == "rss")
    assert "another history" in found.problem
    assert found.next_step.startswith("read the problem")
    for flag in ("--unfreeze", "--once"):
        with pytest.raises((StateError, CommandError), match="another history"):
            call_command("sync_sqlite", flag)
    with pytest.raises(sqlite3.IntegrityError, match="takes no more writes"):
        write(path, "UPDATE rss_fetch_items SET title = 'lost' WHERE id = 4")
    path.write_bytes(kept)
    follow(ONCE)
    assert differences() == {}


def test_a_rollback_that_died_after_it_wrote_the_file_is_repeated(live, monkeypatch):
    FetchItem.objects.filter(pk=3).update(item_title="only PostgreSQL had it")
    with monkeypatch.context() as patched:
        patched.setattr(to_legacy.ToLegacy, "_prove_and_mark", lambda self: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            roll_back()
    assert (state("rss"), overview("default").files[0].lag_changes) == ("live", 0)
    roll_back()
    assert differences() == {}


def test_capture_stays_where_the_ledger_takes_no_writes(old):
    before = cells(old)[0]
    with connection.cursor() as cursor:
        cursor.execute("SET default_transaction_read_only = on")
        try:
            with pytest.raises(Error, match="read-only"):
                remove_capture("default", ALL)
        finally:
            cursor.execute("RESET default_transaction_read_only")
    follow(ONCE)
    assert cells(old)[0] == before


def test_no_command_takes_its_lock_on_a_standby(old, monkeypatch):
    """There it would let files go that a cut-over on the primary has just frozen."""
    ask = locks.fetch_all

    def answer(given, sql, *rest):
        return [(True, "")] if "pg_is_in_recovery" in sql else ask(given, sql, *rest)

    monkeypatch.setattr(locks, "fetch_all", answer)
    for flag in ("--unfreeze", "--remove", "--moved", "--once"):
        with pytest.raises((TargetError, CommandError), match="Name the primary"):
            call_command("sync_sqlite", flag)


def test_status_and_dashboard_say_that_they_show_a_standby(old, monkeypatch, admin_client, capsys):
    dashboard = reverse("transfer-dashboard")
    call_command("migration_status")
    assert "standby" not in capsys.readouterr().out + admin_client.get(dashboard).text
    monkeypatch.setattr(status, "fetch_all", lambda *asked: [(True,)])
    call_command("migration_status")
    sentence = "DATABASE_URL names a standby"
    assert sentence in capsys.readouterr().out
    assert sentence in admin_client.get(dashboard).text


@pytest.mark.slow
def test_rollback_refuses_a_file_that_was_written_since(live):
    keep_no_wal(live)
    path = live / NAME
    kept = path.read_bytes()

    def thawed(file):
        names = [n for n, _ in triggers(file) if n.startswith("stillme_freeze")]
        for name in names:
            file.execute(f"DROP TRIGGER {name}")

    with closing(sqlite3.connect(path, isolation_level=None)) as file:
        thawed(file)
    with pytest.raises(StateError, match="rss_fetch_items takes writes again"):
        roll_back()
    write(path, "UPDATE rss_fetch_items SET title = 'acknowledged' WHERE id = 3")
    # Every row is compared first.
    for call in (roll_back, lambda: rollback.plan_rollback("default")):
        with pytest.raises(StateError, match=r"logged no write to it: .* or to the frozen file"):
            call()
    title = sqlite3.connect(path).execute("SELECT title FROM rss_fetch_items WHERE id = 3")
    assert title.fetchone() == ("acknowledged",)
    assert state("rss") == "live"
    path.write_bytes(kept)
    roll_back()
    assert differences() == {}


def test_two_targets_cannot_follow_one_file(data):
    """The other target's ledger does not know the capture."""
    FileState.objects.all().delete()
    with pytest.raises(StateError, match="captured for another target"):
        install_capture("default", ALL)
    remove_capture("default", ALL)
    install_capture("default", ALL)
    follow(ONCE)
    assert differences() == {}


@pytest.mark.slow
def test_changes_that_another_target_took_out_of_the_log_are_missed(old):
    """Whoever follows a file trims its log, beyond what a second target has replayed."""
    for n in range(1, 4):
        write(old, f"UPDATE rss_fetch_items SET title = 'change {n}' WHERE id = {n}")
    with closing(sqlite3.connect(old, isolation_level=None)) as file:
        last = file.execute("SELECT max(sequence) FROM stillme_change").fetchone()[0]
        file.execute("DELETE FROM stillme_change WHERE sequence IN (?, ?)", (last - 2, last - 1))
    with pytest.raises(
        StateError, match="restored to an older state, or another target follows the file"
    ):
        follow(ONCE)
    assert state("rss") == "following"


@pytest.mark.slow
def test_a_killed_install_is_repeated(legacy, monkeypatch):
    """Killed between the triggers and the ledger: the same command again knows its own file."""
    from stillme.transfer.steps import install_capture as capture

    legacy()
    with monkeypatch.context() as patch:
        patch.setattr(capture, "_begin", lambda *given: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            install_capture("default", ALL)
    install_capture("default", ALL)
    follow(ONCE)
    assert differences() == {}


def test_a_file_of_another_installation(old, use_legacy_files, tmp_path):
    """Laid over ours: it has a capture of its own."""
    other = tmp_path / "other.db"
    shutil.copyfile(old, other)
    with closing(sqlite3.connect(other)) as file:
        file.execute("UPDATE stillme_change SET key = 'theirs' WHERE sequence = 0")
        file.commit()
    shutil.copyfile(other, old)
    with pytest.raises(StateError, match="another capture"):
        follow(ONCE)
    with pytest.raises(StateError, match="captured for another target"):
        install_capture("default", ALL)


@pytest.mark.slow
def test_a_rebuilt_table_without_its_triggers_stops_the_follower(old):
    with closing(sqlite3.connect(old, isolation_level=None)) as file:
        file.execute("BEGIN")
        made = "SELECT sql FROM sqlite_master WHERE name = 'rss_fetch_items'"
        sql = file.execute(made).fetchone()[0]
        file.execute(sql.replace("rss_fetch_items", "tmp_items", 1))
        file.execute("INSERT INTO tmp_items SELECT * FROM rss_fetch_items")
        file.execute("DROP TABLE rss_fetch_items")
        file.execute("ALTER TABLE tmp_items RENAME TO rss_fetch_items")
        file.execute("COMMIT")
    write(old, "UPDATE rss_fetch_items SET title = 'unseen' WHERE id = 3")
    with pytest.raises(StateError, match=r"Capture in .* is missing.*--install"):
        follow(ONCE)
    install_capture("default", ALL)
    # Making the table again took next ids back, as an older backup would.
    with pytest.raises(LedgerMismatch, match="import_sqlite --prune --replaced"):
        follow(ONCE)
    import_files(ImportOptions(jobs=1, prune=True, replaced=True))
    follow(ONCE)
    assert differences() == {}


@pytest.mark.slow
def test_the_same_inode_under_another_path(clean_target, use_legacy_files, tmp_path):
    """A bind mount, or a link to the folder: the same file, but somebody must say so."""
    place, link = tmp_path / "data", tmp_path / "mount"
    use_legacy_files(place)
    make_old("delete", place)
    link.symlink_to(place)
    use_legacy_files(link)
    with pytest.raises(StateError, match="the same file under another path"):
        follow(ONCE)
    moved_files("default", ALL)
    follow(ONCE)
    assert differences() == {}
