"""Knowledge at a glance in Chromium: charts are drawn, a bar leads to its rows, a phone will do."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import PATIENCE
from tests.transfer.load.support import run_import

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

Visit = Callable[..., Page]


def opened(page: Page) -> None:
    """The page with every chart answered."""
    page.goto("/admin/glance/")
    # Some fifteen answers, one after the other.
    expect(page.locator("[aria-busy]")).to_have_count(0, timeout=PATIENCE)


@pytest.mark.slow
def test_a_bar_leads_to_its_rows(visit: Visit, viewer: Any, files: Path) -> None:
    run_import()
    page = visit(viewer)
    opened(page)
    expect(page.locator("[data-chart]").filter(has_text="status ")).to_have_count(0)
    assert page.locator("canvas").count() >= 10
    chart = page.locator("article", has=page.get_by_role("heading", name="Items in each tier"))
    chart.get_by_text("The figures").click()
    first = chart.locator("td a").first
    number = first.inner_text()
    box = chart.locator("canvas").bounding_box()
    assert box is not None
    # The bars have one of the widths there are; the first is the highest.
    columns = chart.locator("tbody tr").count()
    page.mouse.click(
        box["x"] + 40 + (box["width"] - 40) / columns / 2, box["y"] + box["height"] / 2
    )
    page.wait_for_url("**/tiermetric/**")
    expect(page.locator("#main")).to_contain_text(f"{number} tier metrics")
    assert page.get_by_role("link", name="Knowledge at a glance").is_visible()


@pytest.mark.slow(later=True)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_shows_each_chart_and_its_figures(
    visit: Visit, viewer: Any, files: Path, scheme: str
) -> None:
    run_import()
    page = visit(viewer, viewport={"width": 390, "height": 844}, color_scheme=scheme)
    opened(page)
    for summary in page.get_by_text("The figures", exact=True).all():
        summary.click()
    wide = page.evaluate("document.documentElement.scrollWidth")
    assert wide <= 390


@pytest.mark.slow
def test_an_empty_database_says_what_will_be_here(visit: Visit, viewer: Any) -> None:
    page = visit(viewer)
    opened(page)
    assert page.locator("canvas").count() == 0
    expect(page.get_by_text("No rows yet.").first).to_be_visible()
