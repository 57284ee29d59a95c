"""Each page in Chromium: without findings of axe-core, and with what each kind of person may do."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.apps import apps
from django.contrib.auth.models import Group
from playwright.sync_api import Page, expect

from stillme.transfer.console.groups import make_groups
from stillme.transfer.models import Proof, QuarantinedRow
from stillme.transfer.verify.verification import VerifyOptions, verify
from tests.browser.conftest import PATIENCE
from tests.transfer.load.support import run_import
from vector import services

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

Visit = Callable[..., Page]
AXE = Path(__file__).with_name("vendor") / "axe.min.js"
LIST = "/admin/knowledge/knowledgeitem/"
WORK = "/admin/transfer/work/"
# Who sees which page, and what stands there for them alone: a link or button by its name.
SEES = {
    "viewer": {LIST: "Export as CSV", "/admin/search/": "Search", WORK: "", "/admin/sql/": None},
    "operator": {WORK: "Start verify", "/admin/sql/": None},
    "administrator": {WORK: "Start import", "/admin/sql/": None},
    "superuser": {"/admin/sql/": "Run"},
}


def collection() -> Any:
    """Twelve items in three groups."""
    notes = services.create_collection("notes", dimension=3)
    vectors = [[float(at % 3 == axis) + at / 100 for axis in range(3)] for at in range(12)]
    services.add(notes, [f"note {at}" for at in range(12)], vectors, ["học máy"] * 12)
    return notes


@pytest.mark.slow(later=True)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_on_any_page(
    visit: Visit, admin_user: Any, files: Path, scheme: str
) -> None:
    run_import()
    verify(VerifyOptions())
    notes = collection()
    key = apps.get_model("knowledge.KnowledgeItem").objects.latest("pk").pk
    open_row = QuarantinedRow.objects.filter(status="open").latest("pk").pk
    pages = [
        "/admin/transfer/dashboard/?checks=1",
        WORK,
        "/admin/search/?q=hoc",
        "/admin/glance/",
        "/admin/sql/",
        f"/admin/vector/collection/{notes.pk}/meaning/?near={notes.items.latest('pk').pk}",
        f"/admin/vector/item/{notes.items.latest('pk').pk}/change/",
        f"{LIST}?retention_score__gte=0.1",
        f"{LIST}{key}/change/",
        "/admin/transfer/quarantinedrow/",
        f"/admin/transfer/quarantinedrow/{open_row}/change/",
        "/admin/transfer/run/",
        f"/admin/transfer/proof/{Proof.objects.latest('pk').pk}/change/",
        f"/admin/auth/user/{admin_user.pk}/change/",
    ]
    page = visit(admin_user, color_scheme=scheme)
    found = {}
    for address in pages:
        page.goto(address, timeout=PATIENCE)
        expect(page.get_by_role("main")).to_have_count(1)
        expect(page.locator("[aria-busy]")).to_have_count(0, timeout=PATIENCE)
        page.evaluate(AXE.read_text(encoding="utf-8"))
        run = page.evaluate("axe.run({resultTypes: ['violations']})")
        found[address] = [(v["id"], v["nodes"][0]["html"][:200]) for v in run["violations"]]
    assert found == {address: [] for address in pages}
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the content"


@pytest.mark.slow_after(2)
@pytest.mark.parametrize("who", SEES)
def test_each_person_has_their_pages(
    visit: Visit, django_user_model: Any, admin_user: Any, who: str
) -> None:
    person = admin_user
    if who != "superuser":
        Group.objects.all().delete()
        make_groups(apps, "default")
        person = django_user_model.objects.create_user(who, is_staff=True)
        person.groups.add(Group.objects.get(name=who))
    page = visit(person)
    for address, name in SEES[who].items():
        answer = page.goto(address)
        assert answer is not None
        assert answer.status == (403 if name is None else 200), address
        if name:
            there = page.get_by_role("button", name=name, exact=True)
            there = there.or_(page.get_by_role("link", name=name, exact=True))
            expect(there.first).to_be_visible()
        if address == WORK:
            expect(page.get_by_role("button", name="Start import")).to_have_count(
                0 if who == "viewer" else 1
            )


@pytest.mark.slow
def test_a_map_is_made_zoomed_and_leads_to_an_item(visit: Visit, viewer: Any) -> None:
    notes = collection()
    page = visit(viewer)
    page.goto(f"/admin/vector/item/{notes.items.latest('pk').pk}/change/")
    page.get_by_role("link", name="items that are similar to this one").click()
    similar = page.get_by_role("region", name="Similar items")
    expect(similar.locator("tbody tr")).to_have_count(11)
    expect(similar.locator("tbody tr").first).to_contain_text("note 8")
    page.get_by_role("button", name="Make the map").click()
    page.get_by_role("button", name="Zoom in").click()
    page.get_by_role("button", name="Whole map").click()
    at = page.evaluate(
        "(() => { const c = Chart.getChart('map'); const p = c.getDatasetMeta(1).data[0];"
        " const b = c.canvas.getBoundingClientRect(); return [b.x + p.x, b.y + p.y]; })()"
    )
    page.mouse.click(*at)
    page.wait_for_url("**/vector/item/*/change/")
