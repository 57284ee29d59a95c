"""verify_migration after the cut-over and after a rollback: new rows are no loss, a loss is one."""

from __future__ import annotations

from contextlib import suppress
from io import StringIO

import pytest
from django.core.management import call_command
from django.db import connection, transaction

from accuracy.models import AccuracyScore
from continuum.models import TierAudit
from knowledge.models import KnowledgeItem
from rss.models import FetchItem
from stillme.transfer.findings import FindingKind
from stillme.transfer.models import QuarantinedRow
from stillme.transfer.postgresql.capture import as_replay
from stillme.transfer.quarantine import decisions
from stillme.transfer.reports.advice import advice
from stillme.transfer.steps.follow import FollowOptions, follow
from stillme.transfer.verify.verification import VerifyOptions, verify

from .conftest import followed
from .switching import cut_over, roll_back
from .test_follow import write


def judge(**options):
    return verify(VerifyOptions(**{"jobs": 1, **options}))


def make_switched(directory, files):
    """Followed, nothing open, the judge is content; cut over."""
    followed(directory, files)
    decisions.accept("default", QuarantinedRow.objects.filter(status="open"), "seen")
    assert judge().exit_status == 0
    cut_over()


@pytest.fixture
def switched(set_up):
    return set_up("switched and decided", make_switched)


def created():
    KnowledgeItem.objects.create(content="new", source="app", knowledge_type="fact")


def changed():
    KnowledgeItem.objects.filter(pk=KnowledgeItem.objects.first().pk).update(content="changed")


def changed_all():
    FetchItem.objects.update(item_title="changed")


def deleted():
    AccuracyScore.objects.first().delete()


def deleted_all():
    AccuracyScore.objects.all().delete()


def made_again():
    """A key of the frozen file, with other values."""
    key = AccuracyScore.objects.first().pk
    AccuracyScore.objects.filter(pk=key).delete()
    AccuracyScore.objects.create(pk=key, question="another", accuracy_score=0.5)


def emptied():
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE continuum.tier_audit")
    assert not TierAudit.objects.exists()


def touched():
    """Written, and as before."""
    with connection.cursor() as cursor:
        cursor.execute("UPDATE accuracy.accuracy_scores SET id = id")


NORMAL = [created, changed, changed_all, deleted, deleted_all, made_again, emptied, touched]
LEVELS = [{}, {"level": "counts"}, {"level": "sample", "sample": 20}, {"round_trip": True}]


def test_nothing_written_yet(switched):
    result = judge(round_trip=True)
    assert result.verdict.startswith("PROVEN as of the cut-over: all ")
    assert "written in PostgreSQL" not in result.verdict
    assert result.exit_status == 0


@pytest.mark.slow_after(1)
@pytest.mark.parametrize("happens", NORMAL)
def test_what_the_application_writes_is_no_loss(switched, happens):
    happens()
    for options in LEVELS:
        result = judge(**options)
        assert (result.exit_status, result.findings.kept) == (0, []), options
    result = judge()
    assert result.verdict.startswith("PROVEN as of the cut-over: all ")
    assert "written in PostgreSQL since and not compared." in result.verdict
    (table,) = [t for t in result.tables if t.written]
    assert table.legacy_rows >= table.written_legacy


@pytest.mark.slow
def test_all_of_it_and_back(switched):
    """Import, follow, cut over, write, verify, roll back, verify, write, follow, verify."""
    for happens in (created, changed, changed_all, deleted, made_again):
        happens()
    result = judge(jobs=2)
    assert (result.exit_status, result.findings.kept) == (0, [])
    roll_back()
    result = judge(round_trip=True)
    assert (result.exit_status, result.findings.kept) == (0, [])
    assert result.verdict.startswith("PROVEN: all ")
    write(switched / "rss_fetch_history.db", "DELETE FROM rss_fetch_items WHERE id % 2 = 0")
    text = told()
    assert "sync_sqlite --follow" in text
    follow(FollowOptions(once=True))
    assert judge().exit_status == 0
    cut_over()
    assert judge().verdict.startswith("PROVEN as of the cut-over: all ")


def by_hand(sql):
    """A write that reverse capture does not see."""
    with transaction.atomic(), connection.cursor() as cursor:
        as_replay("default")
        cursor.execute(sql)


LAST = "id = (SELECT max(id) FROM {})"
LOSSES = [
    (f"DELETE FROM accuracy.accuracy_scores WHERE {LAST}", "accuracy.accuracy_scores"),
    (f"UPDATE rss.fetch_items SET item_title = 'else' WHERE {LAST}", "rss.fetch_items"),
    (
        "INSERT INTO accuracy.accuracy_scores (id, question, actual_answer, "
        "scoring_method, accuracy_score) VALUES (99999, 'q', 'a', 'm', 1)",
        "accuracy.accuracy_scores",
    ),
]
KINDS = ["missing_row", "value", "extra_row"]


@pytest.mark.slow_after(1)
@pytest.mark.parametrize(("loss", "kind"), list(zip(LOSSES, KINDS, strict=True)))
def test_a_loss_is_found_and_the_advice_is_possible(switched, loss, kind):
    sql = loss[0].format(loss[1])
    created()
    changed()
    by_hand(sql)
    result = judge()
    kinds = {finding.kind.value for finding in result.findings.kept}
    assert kind in kinds
    assert kinds <= {kind, "sequence"}
    assert (result.exit_status, result.verdict[:10]) == (1, "NOT PROVEN")
    text = told()
    assert "what helps" in text
    assert "import_sqlite" not in text
    assert "1 row written in PostgreSQL since the cut-over" in text or "2 rows" in text


@pytest.mark.slow
def test_rows_come_out_of_quarantine_while_live(switched):
    rows = QuarantinedRow.objects.filter(table="accuracy_scores").exclude(key=None)
    row = rows.exclude(column="id").first()
    QuarantinedRow.objects.filter(pk=row.pk).update(status="open")
    row.refresh_from_db()
    value = ("0.5", "real") if row.column == "accuracy_score" else ("mended", "text")
    decisions.edit("default", row, row.column, *value)
    decisions.retry("default", [row])
    assert judge().findings.kept == []


def told():
    out = StringIO()
    with suppress(SystemExit):
        call_command("verify_migration", "--jobs", "1", stdout=out)
    return out.getvalue()


@pytest.mark.parametrize("kind", [kind.value for kind in FindingKind])
def test_no_advice_of_a_live_file_is_refused(kind):
    for _, sentence in advice([kind], ["live"]):
        assert "import_sqlite" not in sentence


def test_while_followed_the_follower_ends_before_an_import():
    ((_, sentence),) = advice(["missing_row"], ["following"])
    assert sentence.startswith("end the follower")
