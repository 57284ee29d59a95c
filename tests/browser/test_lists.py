"""Lists in a real browser: exported as they are filtered, walked by key, keys copied."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.transfer.load.support import query, run_import

pytestmark = [
    pytest.mark.browser,
    pytest.mark.django_db(transaction=True),
    pytest.mark.only_files("rss"),
]

Visit = Callable[..., Page]


@pytest.mark.slow
def test_a_filtered_list_is_exported_and_walked(visit: Visit, viewer: Any, files: Path) -> None:
    run_import()
    status = query("SELECT status FROM rss.fetch_items GROUP BY 1 ORDER BY count(*), 1 LIMIT 1")[0]
    wanted = {row[0] for row in query("SELECT id FROM rss.fetch_items WHERE status = %s", *status)}
    page = visit(viewer)
    page.goto("/admin/rss/fetchitem/")
    page.goto(f"/admin/rss/fetchitem/?status={status[0]}")
    with page.expect_download() as started:
        page.get_by_role("link", name="Export as JSON").click()
    rows = json.loads(Path(started.value.path()).read_text(encoding="utf-8"))
    assert {row["id"] for row in rows} == wanted
    page.goto("/admin/rss/fetchitem/")
    first = page.locator("#result_list tbody tr").first.locator("th, td.field-id").inner_text()
    page.get_by_role("link", name="Older rows").click()
    expect(page.get_by_role("link", name="Newest rows")).to_be_visible()
    after = page.locator("#result_list tbody tr").first.locator("th, td.field-id").inner_text()
    assert first != after


@pytest.mark.slow
def test_a_key_is_copied(visit: Visit, viewer: Any, files: Path) -> None:
    run_import()
    key = query("SELECT max(id) FROM rss.fetch_items")[0][0]
    page = visit(viewer)
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.goto("/admin/rss/fetchitem/")
    page.get_by_role("button", name=f"copy {key}", exact=True).click()
    assert page.evaluate("navigator.clipboard.readText()") == str(key)
    page.goto(f"/admin/rss/fetchitem/{key}/change/")
    expect(page.get_by_role("button", name=f"copy {key}", exact=True)).to_be_visible()


# What a browser has on plain http at another host than localhost: no clipboard.
NO_CLIPBOARD = "Object.defineProperty(navigator, 'clipboard', {value: undefined})"


@pytest.mark.slow
def test_a_key_is_copied_where_the_page_has_no_clipboard(
    visit: Visit, viewer: Any, files: Path
) -> None:
    run_import()
    key = query("SELECT max(id) FROM rss.fetch_items")[0][0]
    page = visit(viewer)
    page.add_init_script(NO_CLIPBOARD)
    page.goto("/admin/rss/fetchitem/")
    assert page.evaluate("navigator.clipboard") is None
    button = page.get_by_role("button", name=f"copy {key}", exact=True)
    button.click()
    expect(button).to_have_text("copied")
    page.locator("#searchbar").focus()
    page.keyboard.press("ControlOrMeta+v")
    assert page.locator("#searchbar").input_value() == str(key)


@pytest.mark.slow
def test_a_key_that_cannot_be_copied_says_so(visit: Visit, viewer: Any, files: Path) -> None:
    run_import()
    key = query("SELECT max(id) FROM rss.fetch_items")[0][0]
    page = visit(viewer)
    page.add_init_script(f"{NO_CLIPBOARD}; document.execCommand = () => false")
    page.goto("/admin/rss/fetchitem/")
    button = page.get_by_role("button", name=f"copy {key}", exact=True)
    button.click()
    expect(button).to_contain_text("not allowed")
