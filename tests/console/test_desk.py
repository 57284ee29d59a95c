"""The quarantine desk on a real import: mend a cell, retry, see the outcome."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.urls import reverse

from stillme.transfer.models import QuarantinedRow
from tests.made_once import put_samples
from tests.transfer.load.support import change, query, run_import

pytestmark = pytest.mark.django_db(transaction=True)


def test_retry_says_why_and_loads_after_the_cell_is_mended(
    admin_client: Any, tmp_path: Path, use_legacy_files: Any
) -> None:
    put_samples(tmp_path, rows=60)
    use_legacy_files(tmp_path)
    change(
        tmp_path,
        "rss",
        "UPDATE rss_fetch_items SET title = CAST(x'61ff62' AS TEXT) WHERE id = "
        "(SELECT min(id) FROM rss_fetch_items WHERE instr(title, char(0)) = 0)",
    )
    run_import()
    row = QuarantinedRow.objects.get(reason="invalid_utf8")
    url = reverse("admin:transfer_quarantinedrow_change", args=[row.pk])
    asked = {"cell": "", "storage": "text", "value": "", "decision": "retry", "reason_given": ""}
    assert "Not UTF-8" in admin_client.post(url, asked, follow=True).content.decode()
    mended = {**asked, "cell": "title", "value": "a title"}
    assert "1 loaded" in admin_client.post(url, mended, follow=True).content.decode()
    title = "SELECT item_title FROM rss.fetch_items WHERE id = %s"
    assert query(title, int(str(row.key))) == [("a title",)]
