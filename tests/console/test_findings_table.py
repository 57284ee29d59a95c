"""The findings of the last proof as a table, each with the way to its row."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from knowledge.models import KnowledgeItem
from stillme.transfer.console.findings_table import findings_table
from stillme.transfer.findings import Finding, FindingKind
from stillme.transfer.models import Proof, Run
from stillme.transfer.reports.proof_files import keep_report
from stillme.transfer.verify import proof_record
from stillme.transfer.verify.options import VerifyOptions
from stillme.transfer.verify.proof_record import proof_run
from stillme.transfer.verify.result import TableProof, VerifyResult
from tests.console.support import HOSTILE, staff
from tests.made_once import put_samples
from tests.transfer.load.support import run_import
from tests.transfer.verify.support import judge

pytestmark = pytest.mark.django_db

ITEMS = "knowledge.knowledge_items"
V = FindingKind.VALUE


def proof_of(*findings: Finding) -> Proof:
    """A verification that found these."""
    table = TableProof("knowledge", "knowledge_items", ITEMS)
    table.findings.extend(findings)
    result = VerifyResult(level="full")
    with proof_run(VerifyOptions(), result):
        result.tables.append(table)
    return Proof.objects.get()


def page_of(key: Any, table: str = "knowledge_knowledgeitem") -> str:
    """The link to a row."""
    return f'href="{reverse(f"admin:{table}_change", args=[key])}"'


def test_a_corrupted_cell_leads_from_the_dashboard_to_its_row(
    transactional_db: None, admin_client: Client, tmp_path: Path, use_legacy_files: Any
) -> None:
    put_samples(tmp_path, rows=60)
    use_legacy_files(tmp_path)
    run_import()
    item = KnowledgeItem.objects.exclude(retention_score=None).order_by("pk")[0]
    KnowledgeItem.objects.filter(pk=item.pk).update(retention_score=0.123456789)
    judge()
    proof = Proof.objects.get()
    address = reverse("admin:transfer_proof_change", args=[proof.pk])
    assert (
        f'href="{address}">1 finding</a>'
        in admin_client.get(reverse("transfer-dashboard")).content.decode()
    )
    html = admin_client.get(address).content.decode()
    line = html.split(page_of(item.pk), 1)[1].split("</tr>")[0]
    for part in (f">{item.pk}</a>", "retention_score", repr(item.retention_score), "0.123456789"):
        assert part in line
    assert admin_client.get(page_of(item.pk).split('"')[1]).status_code == 200


@pytest.mark.parametrize(
    ("where", "key", "is_linked"),
    [
        (f"{ITEMS}:content", "7", True),
        (ITEMS, "7", True),
        # No row of this key, no key at all, no table of a model, another spelling.
        (ITEMS, "8", False),
        (ITEMS, None, False),
        (ITEMS, "seven", False),
        (ITEMS, "007", False),
        (ITEMS, str(2**70), False),
        ("vector.items:metadata", "7", False),
        ("continuum.tier_audit", "7", False),
    ],
)
def test_only_a_row_that_is_there_has_a_link(where: str, key: str | None, is_linked: bool) -> None:
    KnowledgeItem.objects.create(pk=7, content="c", source="s", knowledge_type="fact")
    html = findings_table(proof_of(Finding(V, where, key, "a", "b")))
    assert (page_of(7) in html) is is_linked
    assert html.count("<a ") == is_linked


def test_what_is_found_is_only_text_and_jsonb_holds_it() -> None:
    proof = proof_of(Finding(V, ITEMS, "a\0\ud800", HOSTILE, "x" * 400, "\u202ebidi"))
    html = findings_table(proof)
    assert HOSTILE not in html
    assert "\\x00\\ud800" in html
    assert "\u202e" not in html
    assert "x" * 300 + "…" in html
    assert "x" * 301 not in html


def test_more_than_are_kept_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proof_record, "KEPT", 2)
    proof = proof_of(*(Finding(V, ITEMS, str(at), "a", "b") for at in range(1300)))
    html = findings_table(proof)
    assert "The first 2 of 1,300 findings" in html
    assert html.count('<th scope="row">') == 2


def test_a_proof_without_findings() -> None:
    assert findings_table(proof_of()) == "none"


def test_the_report_is_a_page_of_its_own(client: Client, django_user_model: Any) -> None:
    table = TableProof("knowledge", "knowledge_items", ITEMS)
    table.findings.extend([Finding(V, f"{ITEMS}:source", "7", "a\x00b", HOSTILE)])
    result = VerifyResult(level="full")
    with proof_run(VerifyOptions(), result):
        result.tables.append(table)
        # What no jsonb column can hold.
        result.notices.append("cut at \x00, half of a pair \ud800")
    proof = Proof.objects.get()
    report = reverse("admin:transfer_proof_report", args=[proof.pk])
    staff(client, django_user_model, "view_proof")
    page = reverse("admin:transfer_proof_change", args=[proof.pk])
    # As of a cut-over, or of an earlier version: no report was kept.
    assert report not in client.get(page).content.decode()
    assert client.get(report).status_code == 404
    keep_report("default", result)
    assert f'href="{report}">The report as a page' in client.get(page).content.decode()
    html = client.get(report).content.decode()
    for text in (proof.verdict, "a\\x00b", "cut at \\x00, half of a pair \\ud800", "Findings: 1"):
        assert text in html, text
    assert HOSTILE not in html
    assert "ranges" not in Run.objects.get().summary["report"]["tables"][0]


def test_a_report_is_for_those_who_may_see_proofs(client: Client, django_user_model: Any) -> None:
    proof = proof_of()
    staff(client, django_user_model, "view_run")
    assert client.get(reverse("admin:transfer_proof_report", args=[proof.pk])).status_code == 403


@pytest.mark.parametrize(
    ("findings", "open_rows", "banner"),
    [
        (False, 0, 'headline go">✓ PROVEN'),
        (True, 0, 'headline no-go">✗ NOT PROVEN'),
        (False, 2, 'headline look">✗ NOT PROVEN'),
    ],
)
def test_the_verdict_is_a_banner(
    admin_client: Client, findings: bool, open_rows: int, banner: str
) -> None:
    table = TableProof("knowledge", "knowledge_items", ITEMS)
    table.legacy_rows, table.open = 3, open_rows
    table.findings.extend([Finding(V, f"{ITEMS}:source", "7", "a", "b")] * findings)
    result = VerifyResult(level="full")
    with proof_run(VerifyOptions(), result):
        result.tables.append(table)
    page = reverse("admin:transfer_proof_change", args=[Proof.objects.get().pk])
    html = admin_client.get(page).content.decode()
    assert banner in html
    assert ("?status__exact=open" in html) == bool(open_rows)
