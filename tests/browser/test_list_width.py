"""Every list of the admin fits a screen of 1280 px and a phone, whatever words its rows hold."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.contrib import admin
from django.db import models
from django.urls import reverse
from playwright.sync_api import Page

from stillme.pages.clipped import texts
from stillme.pages.target_admin import TargetAdmin
from stillme.transfer.verify.verification import VerifyOptions, verify
from tests.transfer.load.support import run_import
from vector import services

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

Visit = Callable[..., Page]
# Words that a browser breaks nowhere of itself.
WORDS = ["https://example.org/" + "feeds/of-all-kinds.xml?" * 9, "x" * 300, "knowledge_items"]
# What is wider than the place that it has, and so is cut off or scrolls.
WIDE = """
[...document.querySelectorAll("html, #result_list, #result_list :is(td, th)")]
  .concat([...document.querySelectorAll("#result_list")].map((table) => table.parentElement))
  .filter((e) => e.clientWidth && e.scrollWidth > e.clientWidth)
  .map((e) => `${e.tagName} ${e.className.split(" ")[0]} ${e.scrollWidth} > ${e.clientWidth}`)
"""
# Numbers stand below each other, and below their heading.
NUMBERS = """
[...document.querySelectorAll("#result_list :is(th, td)[class*='_number']")]
  .map((e) => getComputedStyle(e).textAlign)
"""


def lists() -> list[type[models.Model]]:
    """Every model that has a page."""
    return sorted(admin.site._registry, key=lambda model: model._meta.label)


def put_long_words(model: type[models.Model]) -> None:
    """The newest rows of a table have them in every column of text."""
    newest = model._default_manager.order_by("-pk").values_list("pk", flat=True)
    for key, word in zip(newest[: len(WORDS)], WORDS, strict=False):
        rows = model._default_manager.filter(pk=key)
        rows.update(**dict.fromkeys(texts(model), word))


@pytest.mark.slow(later=True)
@pytest.mark.parametrize("width", [1280, 390])
def test_every_list_fits(visit: Visit, admin_user: Any, files: Path, width: int) -> None:
    run_import()
    verify(VerifyOptions())
    notes = services.create_collection("notes", dimension=2)
    services.add(notes, WORDS, [[0.0, 1.0]] * 3, WORDS)
    for model, page_of in admin.site._registry.items():
        if isinstance(page_of, TargetAdmin) and model._meta.app_label != "vector":
            put_long_words(model)
    page = visit(admin_user, viewport={"width": width, "height": 800})
    found, aligned = {}, set()
    for model in lists():
        name = f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist"
        page.goto(reverse(name))
        found[model._meta.label] = page.evaluate(WIDE)[:5]
        aligned |= set(page.evaluate(NUMBERS)) if width == 1280 else {"right"}
    assert aligned == {"right"}
    assert found == {model._meta.label: [] for model in lists()}
