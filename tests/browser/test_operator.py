"""What an operator does in the console, in a real browser."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from stillme.transfer.findings import Event
from stillme.transfer.models import QuarantinedRow
from stillme.transfer.steps.load import ImportOptions, import_files
from tests.transfer.load.support import query, run_import

pytestmark = [
    pytest.mark.browser,
    pytest.mark.django_db(transaction=True),
    pytest.mark.only_files("rss"),
]

Visit = Callable[..., Page]


def test_log_in_find_a_row_and_compare_it_with_the_legacy_one(
    visit: Visit, admin_user: Any, files: Path
) -> None:
    run_import()
    key, title = query(
        "SELECT id, item_title FROM rss.fetch_items WHERE item_title ~ '^[a-z ]{9,}$' LIMIT 1"
    )[0]
    page = visit()
    page.goto("/admin/rss/fetchitem/")
    page.get_by_label("Username").fill("admin")
    page.get_by_label("Password").fill("password")
    page.get_by_role("button", name="Log in").click()
    search = page.locator("#searchbar")
    search.fill(title)
    search.press("Enter")
    page.locator("#result_list").get_by_role("link", name=str(key), exact=True).click()
    table = page.get_by_role("region", name="Legacy row")
    expect(table).to_contain_text("No cell differs.")
    expect(table.locator("tr", has_text="item_title")).to_contain_text("✓ same")
    query("UPDATE rss.fetch_items SET item_title = 'something else' WHERE id = %s", key)
    page.reload()
    expect(table).to_contain_text("1 cell differs.")
    expect(table.locator("tr", has_text="item_title")).to_contain_text("≠ differs")


@pytest.mark.slow
def test_an_import_is_watched_without_reloading(visit: Visit, admin_user: Any, files: Path) -> None:
    page = visit(admin_user)
    page.goto("/admin/transfer/dashboard/")
    expect(page.locator("#answers")).to_contain_text("not started")
    page.evaluate("window.sameDocument = true")
    watched: list[str] = []

    def watch(event: Event) -> None:
        if event.name == "done" and not watched:
            expect(page.locator("#progress")).to_contain_text(re.compile(r"\d rows, [\d,]+ rows/s"))
            expect(page.locator("#bar")).to_be_visible()
            watched.append(page.locator("#progress").inner_text())

    import_files(ImportOptions(jobs=1, chunk_rows=50), watch)
    assert " of " in watched[0]
    expect(page.locator("#progress")).to_contain_text("the last one completed")
    expect(page.locator("#bar")).to_be_hidden()
    expect(page.locator("#answers")).to_contain_text("every row is accounted for")
    assert page.evaluate("window.sameDocument")


def test_a_row_is_mended_and_retried_and_others_accepted_with_one_reason(
    visit: Visit, admin_user: Any, files: Path
) -> None:
    run_import()
    page = visit(admin_user)
    page.goto("/admin/transfer/dashboard/")
    page.locator("#answers").get_by_role("link", name="invalid_utf8").click()
    rows = page.locator("#result_list tbody tr")
    expect(rows).to_have_count(3)
    rows.first.get_by_role("link").first.click()
    expect(page.get_by_role("region", name="Row as stored")).to_contain_text("✗ fault")
    page.get_by_label("Cell to mend").select_option("title")
    page.get_by_label("New value").fill("a mended title")
    page.get_by_label("Decision").select_option("retry")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_text("1 loaded: the row is in the target now.")).to_be_visible()
    assert query("SELECT count(*) FROM rss.fetch_items WHERE item_title = 'a mended title'") == [
        (1,)
    ]

    page.get_by_role("link", name="Open rows of this table with this reason").click()
    expect(rows).to_have_count(2)
    rows.first.locator("input[type=checkbox]").check()
    page.locator("select[name=action]").select_option("accept_rows")
    page.get_by_role("button", name="Run").click()
    page.get_by_label("all 2 open rows").check()
    page.get_by_label("Reason, kept with every row").fill("the feed was broken")
    page.get_by_role("button", name="Accept as left out").click()
    expect(page.get_by_text("2 rows accepted as left out.")).to_be_visible()
    accepted = QuarantinedRow.objects.filter(status="accepted", note="the feed was broken")
    assert accepted.count() == 2


@pytest.mark.slow
def test_the_go_no_go_list_is_reached_with_the_keyboard(
    visit: Visit, admin_user: Any, files: Path
) -> None:
    page = visit(admin_user)
    page.goto("/admin/transfer/dashboard/")
    _tab_to(page, "textContent.trim()", "Check now")
    style = "getComputedStyle(document.activeElement).outlineStyle"
    assert page.evaluate(style) == "solid"
    page.keyboard.press("Enter")
    checks = page.locator("#checks")
    expect(checks).to_contain_text("no-go: ")
    expect(checks.locator(".word.no-go").first).to_have_text("✗ no-go")
    expect(checks.locator(".word.go").first).to_have_text("✓ go")


@pytest.mark.slow
def test_a_row_is_decided_with_the_keyboard_alone(
    visit: Visit, admin_user: Any, files: Path
) -> None:
    run_import()
    row = QuarantinedRow.objects.filter(reason="invalid_utf8").first()
    assert row is not None
    page = visit(admin_user)
    page.goto(f"/admin/transfer/quarantinedrow/{row.pk}/change/")
    _tab_to(page, "name", "decision")
    page.keyboard.type("accept")
    _tab_to(page, "name", "reason_given")
    page.keyboard.type("decided without a mouse")
    _tab_to(page, "name", "_save")
    page.keyboard.press("Enter")
    expect(page.get_by_text("Accepted as left out: decided without a mouse")).to_be_visible()


def _tab_to(page: Page, what: str, wanted: str) -> None:
    """Press Tab until the focused element is the wanted one."""
    for _ in range(90):
        page.keyboard.press("Tab")
        if page.evaluate(f"document.activeElement.{what}") == wanted:
            return
    pytest.fail(f"Tab never reaches {wanted}")


@pytest.mark.slow
def test_filters_are_opened_with_the_keyboard(visit: Visit, admin_user: Any, files: Path) -> None:
    page = visit(admin_user, viewport={"width": 1280, "height": 800})
    page.goto("/admin/rss/fetchitem/")
    _tab_to(page, "textContent.trim().split(/\\s/)[0]", "Filters")
    style = "getComputedStyle(document.activeElement).outlineStyle"
    assert page.evaluate(style) != "none"
    page.keyboard.press("Enter")
    expect(
        page.get_by_role("heading", name="By status").or_(page.get_by_text("By status"))
    ).to_be_visible()
