"""An import decides the clock of a file; rows that come and go change nothing until the next one.

Local times are in `tier_audit`, the evidence that says what they mean in `forgetting_metrics`.
"""

from __future__ import annotations

import io
import json
import os
import random
import sqlite3
import threading
from contextlib import closing, suppress

import pytest
from django.core.management import call_command

from continuum.models import ForgettingMetric, TierAudit
from stillme.transfer.errors import StateError, TransferError
from stillme.transfer.findings import ignore_event
from stillme.transfer.inventory.selection import Selection
from stillme.transfer.models import FileState, KeptCell, QuarantinedRow, RunFile
from stillme.transfer.quarantine import decisions
from stillme.transfer.records import ledger
from stillme.transfer.registry import legacy_files
from stillme.transfer.steps.follow import FollowOptions, follow
from stillme.transfer.steps.following.follower import Follower
from stillme.transfer.steps.install_capture import install_capture
from stillme.transfer.steps.load import ImportOptions, import_files
from stillme.transfer.steps.readiness.go_no_go import go_list
from stillme.transfer.verify.tables.live_rows import TailJudge
from tests.campaigns import SEED, size
from tests.transfer.verify.support import JUDGE

from .equal import differences, unequal
from .switching import cut_over, files_there, options, roll_back
from .test_follow import state, write

pytestmark = pytest.mark.only_files("continuum", "rss")

ONCE = FollowOptions(once=True)
JOB = ImportOptions(jobs=1)
MAY, AUGUST = 9001, 9002


def evidence(local, offset, count=1, start=None):
    """Rows that show an offset, in hours: written at `local` by a clock that many hours ahead."""
    key = "NULL" if start is None else f"{start} + n"
    return (
        "WITH RECURSIVE s(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM s "
        f"LIMIT {count}) INSERT INTO forgetting_metrics (id, regression_item_id, "
        "regression_query, evaluation_timestamp, created_at) "
        f"SELECT {key}, 'a', 'b', strftime('%Y-%m-%dT%H:%M:%S', '{local}', n || ' seconds'), "
        f"datetime('{local}', n || ' seconds', '-{offset} hours') FROM s"
    )


def audit(key, local):
    return (
        "INSERT INTO tier_audit (id, item_id, to_tier, reason, created_at) "
        f"VALUES ({key}, 'a', 'L1', 'b', '{local}')"
    )


def hour(key):
    return TierAudit.objects.get(pk=key).created_at.hour


def kinds():
    """The kinds of the judge's findings; orphans of the sample are the operator's to decide."""
    told = io.StringIO()
    with suppress(SystemExit):
        call_command("verify_migration", "--format", "json", stdout=told)
    return {f["kind"] for f in json.loads(told.getvalue())["findings"]}


@pytest.fixture
def seasons(legacy):
    """Winter's offset until March, summer's from October on; two rows between without a twin."""
    path = legacy() / "continuum_memory.db"
    write(
        path,
        "DELETE FROM forgetting_metrics",
        "DELETE FROM tier_audit",
        evidence("2026-03-01 12:00:00", 1, 40),
        evidence("2026-10-01 12:00:00", 2, 3),
        audit(MAY, "2026-05-01T12:00:00"),
        audit(AUGUST, "2026-08-20T12:00:00"),
    )
    install_capture("default", Selection())
    follow(ONCE)
    import_files(JOB)
    assert (hour(MAY), hour(AUGUST)) == (11, 11)
    return path


def heard(seen):
    return [e.data["message"] for e in seen if "reading again" in e.data.get("message", "")]


def unknown(seen):
    return [e.data["message"] for e in seen if "no row showed" in e.data.get("message", "")]


def lines(subject):
    found = go_list("default", files_there(), None, JUDGE)
    return [(line.colour, line.finding) for line in found if line.subject == subject]


def test_an_offset_that_no_row_showed_is_told_and_waits_for_an_import(legacy):
    """The row itself is read by its own twin."""
    data = legacy()
    install_capture("default", Selection())
    follow(ONCE)
    write(
        data / "rss_fetch_history.db",
        "INSERT INTO rss_fetch_cycles (cycle_number, started_at, created_at) "
        "VALUES (5, '2027-01-02T03:04:05.678901', '2027-01-02 01:04:05')",
    )
    seen = []
    follow(ONCE, seen.append)
    assert "rss: a row shows the clock offset +02:00" in unknown(seen)[0]
    assert differences() == {}
    assert kinds() == set()
    [(colour, finding)] = lines("rss: clock")
    assert colour == "no-go"
    assert "import_sqlite again" in finding
    import_files(JOB)
    assert lines("rss: clock") == []
    assert kinds() == set()


@pytest.mark.slow
def test_a_large_round_with_another_clock(legacy):
    data = legacy(rows=700)
    install_capture("default", Selection())
    follow(ONCE)
    write(
        data / "rss_fetch_history.db",
        "UPDATE rss_fetch_items SET created_at = '2026-02-03 04:05:06', "
        "fetch_timestamp = '2026-02-03T05:05:06.500000' WHERE id % 2",
        "UPDATE rss_fetch_items SET summary = 'x'",
    )
    follow(ONCE)
    assert differences() == {}
    assert kinds() == set()


def test_a_row_without_a_twin_is_a_guess_that_is_counted(seasons):
    guesses = KeptCell.objects.filter(reason="clock_guess")
    assert set(guesses.filter(table="tier_audit").values_list("key", flat=True)) >= {"9001", "9002"}
    assert kinds() == set()
    [(colour, finding)] = lines("local times")
    assert colour == "look"
    assert finding.startswith(f"{guesses.count()} local times were read by a guess")
    result = import_files(JOB)
    assert any("read by a guess" in notice for notice in result.notices)
    told = io.StringIO()
    with suppress(SystemExit):
        call_command("verify_migration", "--format", "json", stdout=told)
    assert any("tier_audit: 2 local times" in n for n in json.loads(told.getvalue())["notices"])


@pytest.mark.slow
def test_more_rows_of_a_known_offset_change_nothing(seasons):
    write(seasons, evidence("2026-04-10 12:00:00", 2, 700), evidence("2026-07-01 12:00:00", 1))
    seen = []
    follow(ONCE, seen.append)
    assert not heard(seen)
    assert not unknown(seen)
    assert (hour(MAY), hour(AUGUST)) == (11, 11)
    assert differences() == {}
    assert kinds() == set()
    result = import_files(JOB)
    assert all(not t.outcome.updated and not t.outcome.inserted for t in result.tables)


@pytest.mark.slow
def test_the_usual_offset_stays_when_its_rows_are_gone(seasons):
    write(seasons, "DELETE FROM forgetting_metrics WHERE evaluation_timestamp < '2026-09'")
    follow(ONCE)
    import_files(JOB)
    assert (hour(MAY), hour(AUGUST)) == (11, 11)
    assert differences() == {}
    assert kinds() == set()


@pytest.mark.slow
def test_the_usual_offset_stays_when_the_other_becomes_the_commonest(seasons):
    kept = KeptCell.objects.filter(table="forgetting_metrics")
    before = set(kept.values_list("key", flat=True))
    write(seasons, evidence("2026-10-03 12:00:00", 2, 60))
    follow(ONCE)
    assert before < set(kept.values_list("key", flat=True))
    assert kept.count() == len(before) + 60
    assert differences() == {}
    assert kinds() == set()
    result = import_files(JOB)
    assert all(not t.outcome.updated and not t.outcome.inserted for t in result.tables)
    cut_over()
    TierAudit.objects.filter(pk=MAY).update(reason="seen")
    roll_back()
    assert state("continuum") == "rolled back"
    assert differences() == {}


@pytest.mark.slow
def test_without_any_evidence_the_offset_found_before_stays(legacy):
    path = legacy() / "continuum_memory.db"
    install_capture("default", Selection())
    follow(ONCE)
    before = dict(TierAudit.objects.values_list("pk", "created_at"))
    write(path, "DELETE FROM forgetting_metrics", "UPDATE tier_audit SET reason = reason || '.'")
    follow(ONCE)
    assert dict(TierAudit.objects.values_list("pk", "created_at")) == before
    assert differences() == {}
    assert kinds() == set()
    import_files(JOB)
    assert dict(TierAudit.objects.values_list("pk", "created_at")) == before


@pytest.mark.slow
def test_an_unknown_offset_while_the_files_are_frozen_calls_the_cut_over_off(seasons):
    from stillme.transfer.steps import cutover

    def late(event):
        if event.data.get("name") == "drain what came meanwhile":
            write(seasons, evidence("2026-04-10 12:00:00", 3))

    with pytest.raises(TransferError, match="which no row showed"):
        cutover.cut_over(options(), TailJudge("default"), late)
    assert state("continuum") == "following"
    write(seasons, audit(9003, "2026-05-02T12:00:00"))
    follow(ONCE)
    import_files(JOB)
    assert (hour(MAY), hour(9003)) == (11, 11)
    cut_over()
    assert differences() == {}


@pytest.mark.slow
def test_evidence_deleted_on_postgresql_moves_no_other_time(seasons):
    before = dict(TierAudit.objects.values_list("pk", "created_at"))
    cut_over()
    ForgettingMetric.objects.filter(measured_at__lt="2026-09-01 00:00+00").delete()
    TierAudit.objects.filter(pk=MAY).update(reason="seen")
    roll_back()
    assert dict(TierAudit.objects.values_list("pk", "created_at")) == before
    assert differences() == {}
    assert kinds() == set()
    with closing(sqlite3.connect(seasons)) as db:
        query = "SELECT created_at FROM tier_audit WHERE id IN (9001, 9002) ORDER BY id"
        texts = [text for (text,) in db.execute(query)]
    assert texts == ["2026-05-01T12:00:00", "2026-08-20T12:00:00"]
    write(seasons, audit(9004, "2026-11-01T12:00:00"))
    follow(ONCE)
    assert differences() == {}
    import_files(JOB)
    assert kinds() == set()


@pytest.mark.slow
def test_a_zone_that_is_named_while_a_file_is_followed(seasons, settings):
    """Half of the rows read by it, half not: nobody writes until all are."""
    settings.LEGACY_TIME_ZONE = "Europe/Berlin"
    with pytest.raises(StateError, match="import_sqlite again"):
        follow(ONCE)
    assert lines("continuum: clock")[0][0] == "no-go"
    import_files(JOB)
    follow(ONCE)
    assert (hour(MAY), hour(AUGUST)) == (10, 10)
    assert not KeptCell.objects.filter(table="tier_audit").exists()
    assert lines("local times")[0][0] == "go"
    assert differences() == {}


@pytest.mark.slow
def test_a_number_that_unsettles_its_columns_unit(seasons):
    write(seasons, f"UPDATE tier_audit SET created_at = 1700000000 WHERE id = {MAY}")
    follow(ONCE)
    assert hour(MAY) == 22
    write(seasons, f"UPDATE tier_audit SET created_at = 5 WHERE id = {AUGUST}")
    seen = []
    follow(ONCE, seen.append)
    assert any("unit" in message for message in heard(seen))
    aside = QuarantinedRow.objects.filter(table="tier_audit", status="open")
    assert set(aside.values_list("key", flat=True)) == {str(MAY), str(AUGUST)}
    assert differences() == {}
    write(seasons, f"DELETE FROM tier_audit WHERE id = {AUGUST}")
    follow(ONCE)
    assert hour(MAY) == 22
    assert differences() == {}


def retried(path, key, statement):
    """A row that is set aside for its query or reason, mended and retried."""
    write(path, statement)
    follow(ONCE)
    row = QuarantinedRow.objects.get(key=str(key), status="open")
    decisions.edit("default", row, row.column, "mended", "text")
    assert decisions.retry("default", [row]).still == ()


@pytest.mark.slow
def test_a_retried_row_is_read_as_the_import_reads(seasons):
    bad = audit(9006, "2026-08-21T12:00:00").replace("'b'", "CAST(x'c328' AS TEXT)")
    retried(seasons, 9006, bad)
    assert hour(9006) == 11
    retried(
        seasons,
        9007,
        audit(9007, "1700000000")
        .replace("'1700000000'", "1700000000")
        .replace("'b'", "CAST(x'c328' AS TEXT)"),
    )
    assert hour(9007) == 22
    bad = evidence("2026-10-05 12:00:00", 2, start=9008).replace("'b'", "CAST(x'c328' AS TEXT)")
    retried(seasons, 9008, bad)
    assert ForgettingMetric.objects.get(pk=9008).measured_at.hour == 10
    assert kinds() == set()


@pytest.mark.slow
def test_a_retry_without_the_file_that_tells_the_unit(seasons):
    for key, stamp in ((9006, "'2026-08-21T12:00:00'"), (9007, "1700000000")):
        bad = audit(key, "x").replace("'x'", stamp).replace("'b'", "CAST(x'c328' AS TEXT)")
        write(seasons, bad)
    follow(ONCE)
    rows = [QuarantinedRow.objects.get(key=key, status="open") for key in ("9006", "9007")]
    for row in rows:
        decisions.edit("default", row, row.column, "mended", "text")
    seasons.rename(seasons.with_suffix(".away"))
    assert decisions.retry("default", rows[:1]).still == ()
    assert hour(9006) == 11
    with pytest.raises(TransferError, match=r"depends on other rows of .* put the file back"):
        decisions.retry("default", rows[1:])


@pytest.mark.slow
@pytest.mark.parametrize("catch_up", [lambda: follow(ONCE), lambda: import_files(JOB)])
def test_a_column_that_comes_with_a_default_and_goes(seasons, catch_up):
    """Every row has it at once, and no trigger tells."""
    write(
        seasons,
        audit(9005, "2026-05-03T12:00:00").replace("'b'", "CAST(x'c328' AS TEXT)"),
    )
    follow(ONCE)
    write(seasons, "ALTER TABLE tier_audit ADD COLUMN weight INTEGER DEFAULT 5")
    seen = []
    follow(ONCE, seen.append)
    assert heard(seen) == ["continuum: the columns of tier_audit have changed, reading again."]
    assert QuarantinedRow.objects.get(table="tier_audit").cells["weight"] == ["integer", 5]
    assert TierAudit.objects.get(pk=MAY).legacy_extra == {"weight": 5}
    assert differences() == {}
    assert kinds() == set()
    write(seasons, "ALTER TABLE tier_audit DROP COLUMN weight")
    catch_up()
    assert TierAudit.objects.get(pk=MAY).legacy_extra is None
    assert differences() == {}
    assert kinds() == set()


@pytest.mark.slow
def test_what_was_decided_is_in_the_ledger(seasons):
    clock = RunFile.objects.filter(file="continuum").latest("run_id").clock
    assert (clock["zone"], clock["usual_minutes"]) == (None, 60)
    assert set(clock["evidence"]) == {"60", "120"}
    decided = FileState.objects.get(pk="continuum").details["decided"]
    assert "tier_audit" in decided["shapes"]


def random_write(rng, number):
    """One statement that may, or may not, change what the file's local times mean."""
    day = (
        f"2026-{rng.randrange(1, 12):02d}-{rng.randrange(1, 28):02d} {rng.randrange(24):02d}:00:00"
    )
    some = f"(SELECT id FROM forgetting_metrics ORDER BY id % {rng.randrange(2, 90)}, id LIMIT 2)"
    return rng.choice(
        (
            evidence(day, rng.choice((1, 2)), rng.choice((1, 1, 2, 600))),
            f"DELETE FROM forgetting_metrics WHERE id IN {some}",
            f"UPDATE forgetting_metrics SET created_at = 'x' WHERE id IN {some}",
            f"UPDATE OR IGNORE forgetting_metrics SET id = -id WHERE id IN {some}",
            audit(20_000 + number, day.replace(" ", "T")),
            audit(30_000 + number, day.replace(" ", "T")).replace("tier_audit", "tier_audit "),
            f"UPDATE tier_audit SET created_at = {rng.choice((5, 1700000000))} "
            f"WHERE id = {20_000 + rng.randrange(number + 1)}",
            f"ALTER TABLE tier_audit ADD COLUMN extra_{number} TEXT",
            "DELETE FROM forgetting_metrics WHERE id % 2",
        )
    )


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(SEED, SEED + int(os.environ.get("STILLME_CLOCKS", "1"))))
def test_a_follower_that_never_ends_keeps_both_sides_equal(seasons, seed):
    rng = random.Random(seed)
    run = ledger.start_run("default", "sync_sqlite", {})
    file = next(file for file in legacy_files() if file.name == "continuum")
    follower = Follower(FollowOptions(once=True), [file], run, ignore_event)
    follower.open()
    try:
        for number in range(size(20, 40)):
            statement = random_write(rng, number)
            write(seasons, statement)
            follower.run(threading.Event())
            assert unequal(file) == {}, (number, statement)
    finally:
        follower.close()
    assert kinds() == set()
