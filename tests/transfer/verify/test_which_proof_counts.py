"""Which proof counts: one function tells the go/no-go list, the status and the dashboard alike."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection
from django.db.models import F
from django.utils import timezone

from stillme.transfer.console.dashboard.figures import page_figures
from stillme.transfer.errors import LegacyFileError
from stillme.transfer.inventory.selection import Selection
from stillme.transfer.models import Proof, QuarantinedRow, Run, WriteMark
from stillme.transfer.quarantine import decisions
from stillme.transfer.records import proofs
from stillme.transfer.records.ledger import close_dead_writers, finish_run, start_run
from stillme.transfer.steps.readiness.go_no_go import go_list
from stillme.transfer.steps.readiness.lines import RED
from stillme.transfer.steps.status import overview
from stillme.transfer.verify import verification
from tests.transfer.load.support import FILES, change, query, run_import
from tests.transfer.sync.switching import files_there
from tests.transfer.verify.support import JUDGE, accept_all, judge

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.only_files("rss", "knowledge")]
FULL = "PROVEN: all "


@pytest.fixture
def data(legacy: Path) -> Path:
    """Imported, nothing open, not proven yet."""
    run_import()
    accept_all()
    return legacy


def why() -> str:
    """The one reason; "" where a proof counts. Everybody says the same."""
    standing = proofs.standing_proof("default", proofs.files_to_prove("default"))
    found = overview("default")
    page = page_figures("default")["proof"]
    (line,) = [
        x for x in go_list("default", files_there(), None, JUDGE) if x.subject == "last proof"
    ]
    assert found.proof_counts == (not standing.why)
    assert (line.colour == RED) == (not standing.is_proven)
    if standing.proof is None:
        assert page is None
    else:
        assert page["why"] == standing.why
        assert (page["look"] == "go") == standing.is_proven
    if standing.why and standing.proof is not None:
        assert standing.why in found.proof
        assert standing.why in line.finding
    return standing.why


def test_a_full_proof_counts(data: Path) -> None:
    assert why() == "there is none"
    assert judge().verdict.startswith(FULL)
    assert why() == ""


# How the verification was asked for, and what is said of it where it stands alone.
PARTIAL: list[tuple[dict[str, Any], str]] = [
    ({"selection": Selection(tables=("rss_fetch_items",))}, "looked at rss_fetch_items only"),
    ({"selection": Selection(files=("rss",))}, "looked at rss only"),
    ({"level": "counts"}, "of level counts"),
    ({"level": "sample", "sample": 10}, "of level sample"),
    ({"level": "sample", "sample": 10_000}, "of level sample"),
]


@pytest.mark.slow_after(1)
@pytest.mark.parametrize(("options", "reason"), PARTIAL)
def test_a_partial_proof_never_counts(data: Path, options: Any, reason: str) -> None:
    assert judge(**options).exit_status == 0
    assert reason in why()
    # Beside a full one it takes nothing away; a difference that it finds does.
    judge()
    judge(**options)
    assert why() == ""
    query("DELETE FROM rss.fetch_items")
    assert judge(**options).exit_status == 1
    standing = proofs.standing_proof("default", proofs.files_to_prove("default"))
    assert not standing.is_proven
    why()


def _import_that_ran_meanwhile(data: Path) -> None:
    run = start_run("default", "import_sqlite", {})
    judge()
    finish_run("default", run, failed=False)


def _import_killed_since(data: Path) -> None:
    judge()
    start_run("default", "import_sqlite", {})


def _import_killed_meanwhile(data: Path) -> None:
    start_run("default", "import_sqlite", {})
    judge()


def _other_table_loaded(data: Path) -> None:
    judge()
    run_import(selection=Selection(tables=("rss_fetch_items",)))


def _pruned(data: Path) -> None:
    judge()
    run_import(prune=True)


def _rolled_back(data: Path) -> None:
    judge()
    finish_run("default", start_run("default", "rollback_migration", {}), failed=False)


def _row() -> QuarantinedRow:
    found = QuarantinedRow.objects.exclude(key=None).first()
    assert found is not None
    return found


def _accepted(data: Path) -> None:
    judge()
    decisions.accept("default", [_row()], "again")


def _edited(data: Path) -> None:
    judge()
    row = _row()
    decisions.edit("default", row, row.column, "mended", "text")


def _retried(data: Path) -> None:
    QuarantinedRow.objects.filter(table="knowledge_items").update(status="open")
    change(data, "knowledge", "UPDATE knowledge_items SET content = x'00ff' WHERE id = 4")
    run_import()
    accept_all()
    judge()
    row = QuarantinedRow.objects.get(table="knowledge_items", key="4")
    decisions.edit("default", row, "content", "mended", "text")
    QuarantinedRow.objects.update(decided_at=timezone.now().replace(year=2000))
    assert decisions.retry("default", [row]).loaded


def _another_place(data: Path) -> None:
    judge()
    moved = data.parent / "elsewhere.db"
    shutil.copy(data / FILES["rss"], moved)
    from django.conf import settings

    settings.TRANSFER["FILES"]["rss"]["path"] = moved


def _another_file(data: Path) -> None:
    judge()
    shutil.copy(data / FILES["rss"], data / "copy")
    (data / "copy").replace(data / FILES["rss"])


def _another_zone(data: Path) -> None:
    judge()
    from django.conf import settings

    settings.TRANSFER["FILES"]["rss"]["time_zone"] = "Asia/Tokyo"


def _gone(data: Path) -> None:
    judge()
    (data / FILES["rss"]).unlink()


def _restored_dump(data: Path) -> None:
    judge()
    for proof in Proof.objects.all():
        proof.report["cluster"] = "1/2"
        proof.save()


def _killed(data: Path) -> None:
    """A verification that was killed leaves no proof."""

    def killed(*given: object) -> None:
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(verification, "describe", killed)
        with pytest.raises(KeyboardInterrupt):
            judge()


VOID: list[tuple[Callable[[Path], None], str]] = [
    (_another_zone, "the settings or models said something else about rss"),
    (_import_that_ran_meanwhile, "rows were loaded since it began"),
    (_import_killed_since, "rows were loaded since it began"),
    (_import_killed_meanwhile, "rows were loaded since it began"),
    (_other_table_loaded, "rows were loaded since it began"),
    (_pruned, "rows were loaded since it began"),
    (_rolled_back, "rollback_migration"),
    (_accepted, "were decided since"),
    (_edited, "were decided since"),
    (_retried, "were decided since"),
    (_another_place, "elsewhere.db now"),
    (_another_file, "another file"),
    (_gone, "cannot be looked at now"),
    (_restored_dump, "another database"),
    (_killed, "there is none"),
]


@pytest.mark.slow_after(1, by="reason")
@pytest.mark.parametrize(("happens", "reason"), VOID, ids=lambda v: getattr(v, "__name__", ""))
def test_what_voids_a_proof(data: Path, happens: Callable[[Path], None], reason: str) -> None:
    happens(data)
    if happens is _gone:
        standing = proofs.standing_proof("default", proofs.files_to_prove("default"))
        assert reason in standing.why
        return
    assert reason in why()


def _store_loaded(data: Path) -> None:
    judge()
    finish_run(
        "default", start_run("default", "import_sqlite", {"files": ["vector"]}), failed=False
    )


def _read(data: Path) -> None:
    judge()
    overview("default")
    run_import(dry_run=True)


def _closed_first(data: Path) -> None:
    """The command closes the runs of killed imports before it begins."""
    start_run("default", "import_sqlite", {})
    close_dead_writers("default")
    judge()


def _command(data: Path) -> None:
    start_run("default", "import_sqlite", {})
    call_command("verify_migration", "--jobs", "1")


def _brought_back(data: Path) -> None:
    """By the engine: nobody decided."""
    judge()
    QuarantinedRow.objects.filter(pk=_row().pk).update(decided_by="", decided_at=timezone.now())


@pytest.mark.slow_after(1)
@pytest.mark.parametrize("happens", [_store_loaded, _read, _closed_first, _command, _brought_back])
def test_what_does_not(data: Path, happens: Callable[[Path], None]) -> None:
    happens(data)
    assert why() == ""


@pytest.mark.slow
def test_the_run_spans_the_verification(data: Path) -> None:
    before = timezone.now()
    result = judge()
    run = Run.objects.get(pk=result.run_id)
    assert before <= run.started_at < run.finished_at
    assert (run.finished_at - run.started_at).total_seconds() >= result.seconds * 0.9
    assert run.status == "completed"
    assert Proof.objects.get().report["cluster"] == result.cluster
    noted = result.files["rss"]
    found = (data / FILES["rss"]).stat()
    assert (noted["device"], noted["inode"]) == (found.st_dev, found.st_ino)


@pytest.mark.slow
def test_marks_of_another_cluster_are_forgotten(data: Path) -> None:
    assert WriteMark.objects.exists()
    Run.objects.update(versions={"cluster": "1/2"})
    (line,) = [
        x for x in go_list("default", files_there(), None, JUDGE) if x.subject == "foreign writes"
    ]
    assert (line.colour, "restored from a dump" in line.finding) == (RED, True)
    start_run("default", "sync_sqlite", {})
    assert not WriteMark.objects.exists()


@pytest.mark.only_files("accuracy", "knowledge")
def test_nothing_compared_is_no_verdict(data: Path) -> None:
    change(data, "accuracy", *(f"DELETE FROM {name}" for name in _tables(data, "accuracy")))
    run_import(prune=True, prune_share=100)
    only = Selection(files=("accuracy",))
    assert judge(selection=only).verdict.startswith("PROVEN: the 3 tables compared hold no rows")
    change(data, "accuracy", *(f"DROP TABLE {name}" for name in _tables(data, "accuracy")))
    query("DELETE FROM transfer.run_file")
    query("DELETE FROM transfer.run_table")
    with pytest.raises(LegacyFileError, match="Nothing was compared"):
        judge(selection=only)
    assert Run.objects.latest("pk").status == "failed"


def _tables(data: Path, file: str) -> list[str]:
    from stillme.transfer.registry import legacy_models

    return [model._meta.db_table for model in reversed(legacy_models(file))]


def test_the_identity_may_be_hidden(data: Path) -> None:
    with connection.cursor() as cursor:
        cursor.execute("REVOKE EXECUTE ON FUNCTION pg_control_system() FROM PUBLIC")
        try:
            cursor.execute("CREATE ROLE stillme_blind NOLOGIN")
            cursor.execute("SET ROLE stillme_blind")
            from stillme.transfer.records.database_identity import cluster_id

            assert cluster_id("default").startswith("unknown/")
        finally:
            cursor.execute("RESET ROLE")
            cursor.execute("DROP ROLE stillme_blind")
            cursor.execute("GRANT EXECUTE ON FUNCTION pg_control_system() TO PUBLIC")


@pytest.mark.slow
def test_the_order_counts_and_no_clock(data: Path) -> None:
    """The server's clock was a day ahead, and was set right between two steps."""
    judge()
    day = timedelta(days=1)
    Run.objects.update(started_at=F("started_at") + day)
    decisions.accept("default", [_row()], "again")
    assert "were decided since" in why()
    judge()
    assert why() == ""
