"""No link of the documentation leads nowhere, and no page is left out of its map."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from stillme.transfer.findings import FindingKind
from tests.docs.pages import DOCS, ROOT, anchor, anchors, led_to, links, pages

CODE = ("stillme", "knowledge", "continuum", "rss", "accuracy", "vector", "tests", "benchmarks")
_NAMED = re.compile(r"(?<![\w/])docs/[\w./-]+\.(?:md|json|py|svg|png)\b")


@pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_to_a_file_and_a_heading(page: Path) -> None:
    for link in links(page):
        target, heading = led_to(page, link)
        assert target.is_file(), f"{link} leads nowhere"
        assert not heading or heading in anchors(target), f"{link}: no such heading"


def test_links_are_found_and_anchors_spelled_as_github_does() -> None:
    assert len(links(DOCS / "README.md")) > 20
    assert anchor("## What `--prune` deletes") == "what---prune-deletes"
    assert anchor("### 2. Add a file, with two tables") == "2-add-a-file-with-two-tables"


def test_the_map_names_every_page() -> None:
    named = {led_to(DOCS / "README.md", link)[0] for link in links(DOCS / "README.md")}
    left_out = set(DOCS.rglob("*.md")) - named - {DOCS / "README.md"}
    assert not left_out


def test_every_page_that_the_code_names_is_there() -> None:
    """Messages and docstrings say `docs/reference/values.md`: that is what must be there."""
    named = {
        (path, source.relative_to(ROOT))
        for folder in CODE
        for source in (ROOT / folder).rglob("*.py")
        for path in _NAMED.findall(source.read_text(encoding="utf-8"))
    }
    assert len(named) > 20
    assert [pair for pair in sorted(named) if not (ROOT / pair[0]).is_file()] == []


def test_every_module_that_a_page_names_is_there() -> None:
    found = [ROOT / "manage.py", *(p for folder in CODE for p in (ROOT / folder).rglob("*.py"))]
    modules = [f"/{path.relative_to(ROOT)}" for path in found]
    named = {
        (name, page.name)
        for page in pages()
        if page.name != "CHANGELOG.md"
        for name in re.findall(r"`(\w+/[\w/]*\.py)`", page.read_text(encoding="utf-8"))
    }
    assert len(named) > 10
    gone = [pair for pair in sorted(named) if not any(m.endswith(f"/{pair[0]}") for m in modules)]
    assert not gone


def test_every_kind_of_finding_has_its_line() -> None:
    page = (DOCS / "reference" / "reports.md").read_text(encoding="utf-8")
    lines = [line.split("|")[1] for line in page.splitlines() if line.startswith("| `")]
    documented = set(re.findall(r"`(\w+)`", " ".join(lines)))
    assert {kind.value for kind in FindingKind} <= documented
