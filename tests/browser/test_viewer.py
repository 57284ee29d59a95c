"""The same pages for who may look and not change, on a phone, in the dark, with hostile text."""

from __future__ import annotations

from collections.abc import Callable
from itertools import cycle
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from stillme.transfer.models import LagSample, QuarantinedRow
from tests.transfer.load.support import change, query, run_import

pytestmark = [
    pytest.mark.browser,
    pytest.mark.django_db(transaction=True),
    pytest.mark.only_files("rss"),
]

Visit = Callable[..., Page]

HOSTILE = "<script>window.executed=1</script><img src=x onerror=window.executed=1>\u202egnp.exe"
SCRIPT_LINK = "javascript:window.executed=1"
SMALL = 700_000


def _pages() -> list[str]:
    """One of every kind of page."""
    items, rows = "/admin/rss/fetchitem/", "/admin/transfer/quarantinedrow/"
    key = query("SELECT max(id) FROM rss.fetch_items")[0][0]
    row = QuarantinedRow.objects.order_by("pk").first()
    assert row is not None
    return [
        "/admin/",
        "/admin/transfer/dashboard/?checks=1",
        items,
        f"{items}{key}/change/",
        rows,
        f"{rows}{row.pk}/change/",
        "/admin/transfer/run/",
    ]


def test_a_viewer_sees_everything_and_is_offered_nothing(
    visit: Visit, viewer: Any, files: Path
) -> None:
    run_import()
    page = visit(viewer)
    for address in _pages():
        answer = page.goto(address)
        assert answer is not None
        assert answer.status == 200, address
        for name in ("_save", "decision", "action", "_selected_action"):
            expect(page.locator(f"[name={name}]")).to_have_count(0)
    page.goto("/admin/transfer/dashboard/")
    expect(page.locator("#answers")).to_contain_text("every row is accounted for")
    row = QuarantinedRow.objects.order_by("pk").first()
    assert row is not None
    posted = page.evaluate(
        """async (address) => {
            const token = document.cookie.match(/csrftoken=([^;]+)/);
            const body = new URLSearchParams({decision: "accept", reason_given: "no"});
            const headers = {"X-CSRFToken": token ? token[1] : ""};
            return (await fetch(address, {method: "POST", body, headers})).status;
        }""",
        f"/admin/transfer/quarantinedrow/{row.pk}/change/",
    )
    assert posted == 403
    row.refresh_from_db()
    assert row.status == "open"


@pytest.mark.slow
def test_the_dashboard_says_that_one_is_logged_out(visit: Visit, viewer: Any, files: Path) -> None:
    page = visit(viewer)
    page.goto("/admin/transfer/dashboard/")
    page.context.clear_cookies()
    expect(page.locator("#progress")).to_have_text("You are logged out: reload this page.")


@pytest.mark.slow
def test_pages_fit_a_phone_in_light_and_dark(visit: Visit, admin_user: Any, files: Path) -> None:
    run_import()
    LagSample.objects.create(file="rss", changes=3, seconds=1.5)
    phone = {"width": 390, "height": 844}
    page = visit(admin_user, viewport=phone)
    # Each page in one of the schemes, the first two in both.
    pages = _pages()
    pages += pages[:2]
    for address, scheme in zip(pages, cycle(("light", "dark")), strict=False):
        page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
        page.goto(address)
        page.wait_for_load_state("load")
        wide = page.evaluate("document.documentElement.scrollWidth")
        assert wide <= phone["width"], f"{address} scrolls sideways: {wide}"
        colour = page.evaluate("getComputedStyle(document.getElementById('main')).backgroundColor")
        assert _is_dark(page, colour) == (scheme == "dark"), f"{address}: {colour}"
    page.goto("/admin/transfer/dashboard/")
    expect(page.locator("#lag-said")).to_contain_text("rss 1.5 s")
    expect(page.locator("#lag")).to_be_visible()


def _is_dark(page: Page, colour: str) -> bool:
    """Whether a colour in any CSS notation is nearer to black, as the browser paints it."""
    bright = page.evaluate(
        """(colour) => {
            const drawn = document.createElement("canvas").getContext("2d");
            drawn.fillStyle = colour;
            drawn.fillRect(0, 0, 1, 1);
            const [r, g, b] = drawn.getImageData(0, 0, 1, 1).data;
            return (r + g + b) / 3;
        }""",
        colour,
    )
    return bool(bright < 128)


def test_hostile_text_executes_nowhere_and_megabytes_make_no_long_page(
    visit: Visit, admin_user: Any, files: Path
) -> None:
    change(
        files,
        "rss",
        # Not UTF-8, so it will be quarantined.
        f"UPDATE rss_fetch_items SET title = CAST(CAST(title AS BLOB) || CAST('{HOSTILE}' || "
        "hex(zeroblob(1000000)) AS BLOB) AS TEXT) WHERE instr(CAST(title AS BLOB), x'ff') > 0",
        f"UPDATE rss_fetch_items SET title = '{HOSTILE}', link = '{SCRIPT_LINK}', "
        f"summary = '{HOSTILE}' || hex(zeroblob(1000000)) "
        "WHERE id = (SELECT max(id) FROM rss_fetch_items)",
    )
    run_import()
    page = visit(admin_user)
    for address in _pages():
        page.goto(address)
        page.wait_for_load_state("load")
        assert page.evaluate("window.executed") is None, address
        assert page.locator("a[href^='javascript:window']").count() == 0, address
        source = page.content()
        assert len(source) < SMALL, address
        assert "\u202e" not in source or "/fetchitem/" in address
