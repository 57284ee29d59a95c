"""The pages of the documentation, their headings and their links, for the tests of this folder.

A heading `## What `--prune` deletes` is reached as `#what---prune-deletes`, as GitHub spells it.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)


def pages() -> list[Path]:
    """Every Markdown page of the project."""
    return [ROOT / "README.md", *sorted(DOCS.rglob("*.md")), *sorted(ROOT.glob("benchmarks/*.md"))]


@cache
def prose(page: Path) -> str:
    """The page without its code blocks."""
    return _FENCE.sub("", page.read_text(encoding="utf-8"))


def anchors(page: Path) -> set[str]:
    """What may stand behind `#` in a link to the page."""
    return {anchor(line) for line in prose(page).splitlines() if re.match(r"#+ ", line)}


def anchor(heading: str) -> str:
    """`## Go or no-go` -> `go-or-no-go`."""
    words = re.sub(r"[^\w\- ]", "", heading.lstrip("#").strip().lower())
    return words.replace(" ", "-")


def links(page: Path) -> list[str]:
    """Targets of the links and pictures that stay inside the project."""
    return [link for link in _LINK.findall(prose(page)) if "://" not in link]


def led_to(page: Path, link: str) -> tuple[Path, str]:
    """The file that a link of the page leads to, and the heading in it, or ""."""
    path, _, heading = link.partition("#")
    return (page.parent / path).resolve() if path else page, heading
