"""The dashboard: what it says before anything began, while an import runs, and afterwards."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from stillme.transfer.console.dashboard import figures, views
from stillme.transfer.console.dashboard.figures import split_command
from stillme.transfer.console.dashboard.progress import duration
from stillme.transfer.models import (
    Chunk,
    FileState,
    LagSample,
    Proof,
    QuarantinedRow,
    Run,
    RunTable,
)
from stillme.transfer.postgresql.locks import exclusive
from stillme.transfer.records.database_identity import cluster_id
from stillme.transfer.records.proofs import files_to_prove, identity
from stillme.transfer.steps.readiness.lines import Line
from tests.console.support import HOSTILE, quarantined_row, staff
from tests.made_once import put_samples

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _files(tmp_path: Path, use_legacy_files: Any) -> None:
    put_samples(tmp_path, rows=20)
    use_legacy_files(tmp_path)


def _page(client: Any, query: str = "") -> str:
    answer = client.get(reverse("transfer-dashboard") + query)
    assert answer.status_code == 200
    return str(answer.content.decode())


def _text(page: str, part: str) -> str:
    """The words of one part of the page."""
    body = page.split(f'id="{part}"', 1)[1].split("</section>", 1)[0]
    return " ".join(re.sub(r"<[^>]*>", " ", body).split())


def _run(**fields: Any) -> Run:
    return Run.objects.create(**{"command": "import_sqlite", "status": "completed", **fields})


def _table(run: Run, table: str, legacy: int, loaded: int, quarantined: int) -> None:
    RunTable.objects.create(
        run=run,
        file="rss",
        table=table,
        target=f"rss.{table}",
        legacy_rows=legacy,
        loaded=loaded,
        quarantined=quarantined,
    )


def _proof(files: Any = None, tables: Any = (), **fields: Any) -> Proof:
    """A proof of these files (of all), as it stands after everything else that is there."""
    places = files_to_prove("default")
    run = _run(command="verify_migration", options={"files": [], "tables": list(tables)})
    looked_at = {
        name: {"path": str(path), **identity(path)}
        for name, path in places.items()
        if name in (files or places)
    }
    report = {"cluster": cluster_id("default"), "running": [], "files": looked_at}
    given = {"level": "full", "verdict": "PROVEN", "exit_status": 0, "findings": 0, **fields}
    return Proof.objects.create(run=run, report=report, **given)


def _ask(client: Any) -> Any:
    return client.get(reverse("transfer-dashboard-json")).json()


def test_before_anything_began(admin_client: Any) -> None:
    page = _page(admin_client)
    answers = _text(page, "answers")
    assert answers.count("not started") == 3
    assert "not started" in _text(page, "runs")
    assert "manage.py sync_sqlite --install" in _text(page, "files")
    assert page.count('aria-current="step"') == 4
    assert _ask(admin_client)["progress"]["state"] == "not started"


def test_the_three_questions_are_answered(admin_client: Any) -> None:
    run = _run(finished_at=timezone.now())
    _table(run, "rss_fetch_items", 1200, 1000, 200)
    quarantined_row()
    _proof(exit_status=1)
    FileState.objects.create(file="rss", state="following")
    page = _page(admin_client)
    answers = _text(page, "answers")
    assert "1,199 of 1,200 legacy rows, 1 set aside" in answers
    assert "every row is accounted for" in answers
    assert "1 in rss_fetch_cycles: bad_time ( bad_time )" in answers
    assert "PROVEN level full, 0 findings" in answers
    assert "looked at" not in answers
    assert "● following" in _text(page, "files")


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"files": ["rss"]}, "the last one looked at rss only"),
        ({"tables": ["rss_fetch_items"]}, "the last one looked at rss_fetch_items only"),
        ({"level": "counts"}, "the last one was of level counts"),
    ],
)
def test_a_proof_of_a_part_is_not_taken_for_all(
    admin_client: Any, given: dict[str, Any], why: str
) -> None:
    _proof(**given)
    page = _page(admin_client, "?checks=1")
    assert f"! not now: {why} It said: PROVEN" in _text(page, "answers")
    assert '<p class="headline look">' in page
    assert f"✗ no-go last proof : PROVEN ({given.get('level', 'full')})" in _text(page, "checks")
    assert why in _text(page, "checks")


def _not_proven() -> None:
    _proof(verdict="NOT PROVEN", exit_status=1)


def test_no_line_is_green_beside_not_proven(admin_client: Any) -> None:
    """Only rows in quarantine kept it from being proven: open ones, or those decided since."""
    _not_proven()
    row = quarantined_row()
    checks = _text(_page(admin_client, "?checks=1"), "checks")
    assert "✗ no-go quarantine" in checks
    assert "! look last proof : NOT PROVEN" in checks
    row.status = "accepted"
    row.save()
    checks = _text(_page(admin_client, "?checks=1"), "checks")
    assert "✓ go quarantine : nothing open" in checks
    assert "✗ no-go last proof : NOT PROVEN" in checks
    assert "its rows in quarantine are decided since" in checks


def test_a_list_with_something_to_look_at_is_not_green(
    admin_client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = [Line("go", "a", "b"), Line("look", "last proof", "NOT PROVEN")]
    monkeypatch.setattr(views, "check_cutover", lambda *given: lines)
    checks = _text(_page(admin_client, "?checks=1"), "checks")
    assert "! go, but look first : 1 of 2 lines are not green" in checks


def test_rows_that_are_not_accounted_for_are_said(admin_client: Any) -> None:
    _table(_run(), "rss_fetch_items", 1200, 1000, 100)
    assert "the sums do not agree" in _text(_page(admin_client), "answers")


def test_accepted_rows_are_still_named_with_their_reason(admin_client: Any) -> None:
    _table(_run(), "rss_fetch_items", 3, 1, 2)
    quarantined_row(reason="nul_in_text", status="accepted")
    quarantined_row(reason="nul_in_text", status="repaired", repairs={"title": ["null", None]})
    answers = _text(_page(admin_client), "answers")
    assert "1 in rss_fetch_cycles: a text has a NUL character" in answers
    assert "( nul_in_text , accepted)" in answers
    assert "0 undecided, 1 mended and loaded, 1 accepted as left out" in answers


def test_a_large_quarantine_is_counted_as_far_as_a_page_waits(
    admin_client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(figures, "COUNTED", 2)
    for _ in range(3):
        quarantined_row()
    assert "2 undecided" in _text(_page(admin_client), "answers")
    assert "among the first 2" in _text(_page(admin_client), "answers")


def test_only_the_last_import_of_a_table_counts(admin_client: Any) -> None:
    _table(_run(), "rss_fetch_items", 10, 10, 0)
    _table(_run(), "rss_fetch_items", 12, 11, 1)
    quarantined_row()
    assert "11 of 12 legacy rows, 1 set aside" in _text(_page(admin_client), "answers")


@pytest.mark.django_db(transaction=True)
def test_progress_of_a_running_import(admin_client: Any) -> None:
    begun = timezone.now() - timedelta(seconds=10)
    planned = {"rss_fetch_cycles": 100, "rss_fetch_items": 900}
    run = _run(status="running", started_at=begun, summary={"planned": planned})
    _table(run, "rss_fetch_cycles", 100, 100, 0)
    for number, table in enumerate(("rss_fetch_cycles", "rss_fetch_items")):
        Chunk.objects.create(
            run=run,
            file="rss",
            table=table,
            number=number,
            mapping_digest="",
            file_sha256="",
            legacy_rows=100,
            loaded=100,
            repaired=0,
            quarantined=0,
            digest="",
            xid=1,
        )
    with exclusive("default"):
        found = _ask(admin_client)["progress"]
    assert (found["state"], found["rows"], found["total"]) == ("running", 200, 1000)
    # The longer the page was in coming, the fewer in a second.
    assert 2 <= found["rate"] <= 20
    assert found["seconds_left"] == pytest.approx(800 / found["rate"], rel=0.1)
    assert found["said"].startswith("200 of 1,000 rows, ")


@pytest.mark.django_db(transaction=True)
def test_a_killed_import_is_not_said_to_run(admin_client: Any) -> None:
    _run(status="running")
    assert _ask(admin_client)["progress"]["state"] == "broken off"
    assert "was broken off" in _page(admin_client)


def test_the_figures_cost_few_queries_and_write_nothing(admin_client: Any) -> None:
    run = _run(status="running")
    for table in ("a", "b", "c"):
        _table(run, table, 1, 1, 0)
    quarantined_row()
    LagSample.objects.create(file="rss", changes=3, seconds=1.5)
    with CaptureQueriesContext(
        connection,
    ) as asked:
        found = _ask(admin_client)
    assert found["lag"]["files"] == {"rss": [1.5]}
    statements = [query["sql"] for query in asked]
    # Session and user, newest import, its lock, lag.
    assert len(statements) <= 6
    assert all(statement.lstrip().startswith("SELECT") for statement in statements)


def test_the_page_writes_nothing_and_its_queries_do_not_grow(admin_client: Any) -> None:
    def statements() -> list[str]:
        with CaptureQueriesContext(connection) as asked:
            _page(admin_client)
        return [query["sql"] for query in asked]

    few = statements()
    run = _run()
    for number in range(30):
        _table(run, f"table_{number}", 1, 1, 0)
        quarantined_row(reason=f"reason {number}")
    many = statements()
    assert not [s for s in many if s.startswith(("INSERT", "UPDATE", "DELETE"))]
    assert len(many) <= len(few) + 5


def test_go_and_no_go_have_a_colour_and_a_word(admin_client: Any) -> None:
    page = _page(admin_client, "?checks=1")
    checks = _text(page, "checks")
    assert "✗ no-go rss: state : not captured" in checks
    assert "✓ go quarantine : nothing open" in checks
    assert 'class="word no-go"' in page
    assert 'class="word go"' in page
    assert "lines refuse" in checks


@pytest.mark.slow_after(2)
@pytest.mark.parametrize(
    ("state", "is_loaded", "word"),
    [
        (None, False, "not loaded : no capture installed"),
        (None, True, "loaded, not captured : what is written to the file from now on is not"),
        ("captured", False, "captured : writes are captured"),
        ("following", True, "following : writes are replayed"),
        ("rolled back", True, "rolled back : the file is in charge again"),
    ],
)
def test_a_state_is_said_in_words(
    admin_client: Any, state: str | None, is_loaded: bool, word: str
) -> None:
    if state:
        FileState.objects.create(file="rss", state=state)
    if is_loaded:
        _table(_run(), "rss_fetch_items", 3, 3, 0)
    page = _page(admin_client)
    assert word in _text(page, "files")
    assert "absent" not in page


SEEN = "2025-03-04T05:06:07+00:00"


@pytest.mark.slow_after(2)
@pytest.mark.parametrize(
    ("states", "said"),
    [
        ({}, ""),
        ({"rss": {}, "knowledge": {}}, ""),
        ({"rss": {"seen_at": SEEN}}, "to rss: the follower's last sign was at 2025-03-04 05:06:07"),
        ({"rss": {"seen_at": SEEN}, "knowledge": {"seen_at": SEEN}}, "written to knowledge, rss:"),
        ({"rss": {"seen_at": SEEN, "ended_at": SEEN}}, "manage.py sync_sqlite --follow"),
    ],
)
def test_one_red_card_for_a_dead_follower(
    admin_client: Any, states: dict[str, dict[str, str]], said: str
) -> None:
    for file, details in states.items():
        FileState.objects.create(file=file, state="following", details=details)
    card = _page(admin_client).split('<p id="dead"', 1)[1].split("</p>")[0]
    assert ("hidden" in card) is (said == "")
    assert card.count("Nobody brings over") == (said != "")
    assert said in unescape(card)
    assert said in _ask(admin_client)["dead"]
    assert bool(_ask(admin_client)["dead"]) is bool(said)


def test_a_live_file_has_no_dead_follower(admin_client: Any) -> None:
    FileState.objects.create(file="rss", state="live", details={"seen_at": SEEN})
    assert _ask(admin_client)["dead"] == ""


def test_totals_are_the_sums_of_the_table_each_with_its_moment(admin_client: Any) -> None:
    run = _run(started_at=datetime.fromisoformat(SEEN))
    _table(run, "rss_fetch_items", 1200, 1000, 200)
    _table(run, "rss_fetch_cycles", 30, 29, 1)
    quarantined_row()
    page = _page(admin_client)
    moved = _text(page, "moved")
    assert "rss_fetch_items 1,200 1,000 0 1,200 0 rss.rss_fetch_items 2025-03-04 05:06:07" in moved
    assert "rss_fetch_cycles 30 29 0 29 1" in moved
    assert "together 1,230 1,029 0 1,229 1" in moved
    answers = _text(page, "answers")
    assert "1,229 of 1,230 legacy rows, 1 set aside. as of the last import, 2025-03-04" in answers
    assert re.search(r"as of now, \d\d:\d\d:\d\d UTC", answers)
    assert "1,029 loaded, 0 repaired as of 2025-03-04 05:06 UTC" in _text(page, "files")


def test_a_file_that_is_not_there_is_a_sentence(
    admin_client: Any, tmp_path: Path, use_legacy_files: Any
) -> None:
    use_legacy_files(tmp_path / "elsewhere")
    page = _page(admin_client, "?checks=1")
    assert "the file does not exist" in _text(page, "files")
    assert "✗" in _text(page, "checks")


def test_hostile_text_of_the_ledger_stays_text(admin_client: Any) -> None:
    _run(status="failed", message=HOSTILE, finished_at=timezone.now())
    quarantined_row(reason=HOSTILE, table=HOSTILE)
    page = _page(admin_client)
    assert HOSTILE not in page
    assert "&lt;script&gt;" in page


def test_reading_needs_the_permission(client: Any, django_user_model: Any) -> None:
    user = staff(client, django_user_model)
    for name in ("transfer-dashboard", "transfer-dashboard-json"):
        assert client.get(reverse(name)).status_code == 403
    user.user_permissions.set(Permission.objects.filter(codename="view_run"))
    for name in ("transfer-dashboard", "transfer-dashboard-json"):
        assert client.get(reverse(name)).status_code == 200
        assert client.post(reverse(name)).status_code == 405


def test_the_sidebar_offers_what_may_be_opened(
    client: Any, admin_client: Any, django_user_model: Any
) -> None:
    index = reverse("admin:index")
    everything = admin_client.get(index, follow=True).content.decode()
    for name in (
        "transfer-dashboard",
        "admin:transfer_run_changelist",
        "admin:rss_fetchitem_changelist",
    ):
        assert f'href="{reverse(name)}"' in everything
    staff(client, django_user_model, "view_fetchitem")
    little = client.get(index).content.decode()
    assert reverse("admin:rss_fetchitem_changelist") in little
    assert reverse("transfer-dashboard") not in little
    assert reverse("admin:transfer_quarantinedrow_changelist") not in little


def test_the_first_page_is_the_dashboard_for_who_may_see_it(
    client: Any, admin_client: Any, django_user_model: Any
) -> None:
    index = reverse("admin:index")
    assert admin_client.get(index).headers["Location"] == reverse("transfer-dashboard")
    staff(client, django_user_model, "view_fetchitem")
    assert client.get(index).status_code == 200


def test_what_may_not_be_opened_or_is_not_there_is_said_in_words(
    client: Any, django_user_model: Any, settings: Any
) -> None:
    settings.DEBUG = False
    staff(client, django_user_model)
    refused = client.get(reverse("transfer-dashboard"))
    assert refused.status_code == 403
    assert "group viewer, operator or administrator" in refused.content.decode()
    missing = client.get("/no-such-page/")
    assert missing.status_code == 404
    assert "There is no such page" in missing.content.decode()


def test_storage_names_every_table_with_its_schema(admin_client: Any) -> None:
    words = _text(_page(admin_client), "storage")
    assert "rss.fetch_items" in words
    assert "transfer.quarantined_row" in words


@pytest.mark.parametrize(
    ("sentence", "parts"),
    [
        (
            "load: manage.py import_sqlite (or so)",
            ("load: ", "manage.py import_sqlite", " (or so)"),
        ),
        ("nothing to do", ("nothing to do", "", "")),
    ],
)
def test_the_command_of_a_sentence(sentence: str, parts: tuple[str, str, str]) -> None:
    assert split_command(sentence) == parts


def test_durations_are_read_at_a_glance() -> None:
    assert [duration(s) for s in (5, 75, 3700, 300_000)] == [
        "5 s",
        "1 min 15 s",
        "1 h 1 min",
        "3 days",
    ]


def test_links_lead_to_the_rows_of_a_reason(admin_client: Any) -> None:
    quarantined_row()
    other = quarantined_row(reason="another")
    found = re.search(r'href="([^"]*quarantinedrow/\?[^"]*bad_time[^"]*)"', _page(admin_client))
    assert found is not None
    listing = admin_client.get(found[1].replace("&amp;", "&"))
    assert listing.status_code == 200
    assert list(listing.context["cl"].queryset) == list(QuarantinedRow.objects.exclude(pk=other.pk))


def test_where_every_file_is_live_nothing_asks_whether_to_switch(admin_client: Any) -> None:
    for file in ("knowledge", "continuum", "rss"):
        FileState.objects.create(file=file, state="live")
    assert "Is it safe to switch?" in _page(admin_client)
    FileState.objects.create(file="accuracy", state="finished")
    page = _page(admin_client, "?checks=1")
    assert "Is it safe to switch?" not in page
    assert "switched : PostgreSQL is in charge of every file" in _text(page, "checks")
    assert "refuse" not in _text(page, "checks")
