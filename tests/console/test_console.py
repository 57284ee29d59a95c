"""The dashboard and the quarantine desk, for who may act and for who may only look."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from django.apps import apps
from django.urls import reverse
from django.utils import timezone

from tests.console.support import HOSTILE, quarantined_row, staff

pytestmark = pytest.mark.django_db


def test_accepting_needs_a_reason(admin_client: Any) -> None:
    row = quarantined_row()
    url = reverse("admin:transfer_quarantinedrow_change", args=[row.pk])
    asked = {"cell": "", "storage": "text", "value": "", "decision": "accept"}
    assert admin_client.post(url, {**asked, "reason_given": " "}).status_code == 200
    row.refresh_from_db()
    assert row.status == "open"
    assert admin_client.post(url, {**asked, "reason_given": "a test row"}).status_code == 302
    row.refresh_from_db()
    assert (row.status, row.note, row.decided_by) == ("accepted", "a test row", "admin")


def test_viewer_sees_hostile_text_escaped_and_changes_nothing(
    client: Any, django_user_model: Any
) -> None:
    staff(client, django_user_model, "view_quarantinedrow")
    row = quarantined_row()
    url = reverse("admin:transfer_quarantinedrow_change", args=[row.pk])
    page = client.get(url).content.decode()
    assert HOSTILE not in page
    assert "&lt;script&gt;" in page
    assert 'name="decision"' not in page
    posted = client.post(url, {"decision": "accept", "reason_given": "no"})
    assert posted.status_code == 403
    listing = client.get(reverse("admin:transfer_quarantinedrow_changelist"))
    assert HOSTILE not in listing.content.decode()


def test_the_legacy_row_beside_its_target(
    admin_client: Any, tmp_path: Path, use_legacy_files: Any
) -> None:
    use_legacy_files(tmp_path)
    with closing(sqlite3.connect(tmp_path / "rss_fetch_history.db")) as file:
        file.execute("CREATE TABLE rss_fetch_cycles (id INTEGER PRIMARY KEY, status, odd)")
        file.execute("INSERT INTO rss_fetch_cycles VALUES (7, ?, x'00ff')", (HOSTILE,))
        file.commit()
    model = apps.get_model("rss", "FetchCycle")
    for key in (7, 8):
        model.objects.create(id=key, cycle_number=1, started_at=timezone.now(), status="completed")
    page = admin_client.get(reverse("admin:rss_fetchcycle_change", args=[7])).content.decode()
    assert "x&#x27;00ff&#x27;" in page
    assert "&lt;script&gt;" in page
    assert HOSTILE not in page
    missing = admin_client.get(reverse("admin:rss_fetchcycle_change", args=[8]))
    assert "holds no row with this key" in missing.content.decode()


def test_an_account_is_switched_off_and_not_deleted_with_its_history(
    admin_client: Any, django_user_model: Any
) -> None:
    other = django_user_model.objects.create_user("other", is_staff=True)
    page = admin_client.get(reverse("admin:auth_user_change", args=[other.pk])).content.decode()
    assert 'name="is_active"' in page
    # Unfold's own fields: Django's are invisible in its pages.
    assert "border-base-200" in page.split('name="username"', 1)[1].split(">", 1)[0]
    assert admin_client.get(reverse("admin:auth_user_delete", args=[other.pk])).status_code == 403


def test_a_key_as_long_as_a_document_makes_no_long_title(admin_client: Any) -> None:
    row = quarantined_row(key="k" * 1_000_000)
    page = admin_client.get(reverse("admin:transfer_quarantinedrow_change", args=[row.pk]))
    assert len(page.content) < 200_000
