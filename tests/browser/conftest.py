"""A headless Chromium, and people who are logged in to the admin with it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from tests.made_once import files_of, put_samples
from tests.transfer.load.support import change

PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
INSTALL = "no Chromium is installed: apt-get install chromium"
# Longer than any page takes here, also on a machine that does much else.
PATIENCE = 30_000


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Debian's Chromium, for a file's tests: its event loop must not be around other files'."""
    program = next((found for name in PROGRAMS if (found := shutil.which(name))), None)
    if program is None:
        pytest.skip(INSTALL)
    # Playwright keeps an event loop in this thread, and Django's ORM refuses to work beside one.
    before = os.environ.get("DJANGO_ALLOW_ASYNC_UNSAFE")
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "1"
    try:
        with sync_playwright() as playwright:
            chromium = playwright.chromium.launch(executable_path=program)
            yield chromium
            chromium.close()
    finally:
        os.environ.pop("DJANGO_ALLOW_ASYNC_UNSAFE")
        if before is not None:
            os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = before


@pytest.fixture
def files(tmp_path: Path, use_legacy_files: Any, request: pytest.FixtureRequest) -> Path:
    """Small legacy files; a title of the feed is not UTF-8."""
    put_samples(tmp_path, rows=60, files=files_of(request.node))
    use_legacy_files(tmp_path)
    change(
        tmp_path,
        "rss",
        "UPDATE rss_fetch_items SET title = CAST(x'61ff62' AS TEXT) WHERE id IN "
        "(SELECT id FROM rss_fetch_items WHERE instr(title, char(0)) = 0 ORDER BY id LIMIT 3)",
    )
    return tmp_path


@pytest.fixture
def visit(browser: Browser, live_server: Any, client: Any) -> Iterator[Callable[..., Page]]:
    """`visit(user, **context)` is a page of a browser in which the user is logged in."""
    opened: list[BrowserContext] = []

    def open_page(user: Any = None, **options: Any) -> Page:
        context = browser.new_context(base_url=live_server.url, **options)
        context.set_default_timeout(PATIENCE)
        opened.append(context)
        if user is not None:
            client.force_login(user)
            value = client.cookies["sessionid"].value
            context.add_cookies([{"name": "sessionid", "value": value, "url": live_server.url}])
        page = context.new_page()
        page.on("dialog", lambda dialog: (seen.append(dialog.message), dialog.dismiss()))
        page.on("pageerror", lambda error: seen.append(str(error)))
        return page

    seen: list[str] = []
    yield open_page
    for context in opened:
        context.close()
    # No page may raise an error, none may open a dialog.
    assert seen == []


@pytest.fixture
def viewer(django_user_model: Any, live_server: Any) -> Any:
    """Staff who may look at everything and change nothing."""
    user = django_user_model.objects.create_user("viewer", password="look-only", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__startswith="view_"))
    return user
