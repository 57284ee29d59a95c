"""The admin's pages: no part of a command's start, and there for whoever asks."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from django.apps import apps
from django.contrib import admin
from django.core import checks

from stillme.admin_site import Site

ROOT = Path(__file__).resolve().parents[2]

START = """
import sys
import django
django.setup()
pages = [name for name in sys.modules if name.endswith(".admin") and not name.startswith("django")]
assert not pages, pages
assert "prometheus_client" not in sys.modules
assert "vector.importing.run" not in sys.modules
from django.contrib import admin
from knowledge.models import KnowledgeItem
assert admin.site.is_registered(KnowledgeItem)
"""


def test_a_start_imports_no_page_and_the_site_has_them_all_the_same() -> None:
    environment = {**os.environ, "DJANGO_SETTINGS_MODULE": "stillme.settings"}
    ended = subprocess.run(
        [sys.executable, "-c", START], cwd=ROOT, env=environment, capture_output=True, text=True
    )
    assert (ended.returncode, ended.stderr) == (0, "")


def test_every_domain_has_its_pages() -> None:
    labels = {model._meta.app_label for model in admin.site._registry}
    assert {"transfer", "knowledge", "continuum", "rss", "accuracy", "vector", "auth"} <= labels


def test_the_system_checks_look_at_the_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    page = admin.site.get_model_admin(apps.get_model("knowledge", "KnowledgeItem"))
    assert checks.run_checks(tags=[checks.Tags.admin]) == []
    monkeypatch.setattr(type(page), "list_display", ("no_such_column",))
    assert [found.id for found in checks.run_checks(tags=[checks.Tags.admin])] == ["admin.E108"]


def test_a_page_that_cannot_be_imported_is_said_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> None:
        raise ImportError("no such module")

    site = Site()
    monkeypatch.setattr(admin, "autodiscover", broken)
    for _ in range(2):
        with pytest.raises(ImportError, match="no such module"):
            site.get_app_list(None)
