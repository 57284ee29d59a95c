"""The table of the folders, from the first lines of their packages' docstrings."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from django.conf import settings

from stillme.ops.documentation.tables import code, table

ROOT = Path(__file__).resolve().parents[3]
ENGINE = "stillme/transfer"
# The engine's floors from the top, then the parts of its two halves, each seeing those after it.
FLOORS = ["management", "console", "reports", "quarantine"]
LOADER = ["switching", "following", "replaying", "syncing", "loading", "merging", "rows", "kinds"]
JUDGE = ["tables", "structure", "rows", "sides", "kinds"]
BELOW = ["records", "inventory", "sqlite", "postgresql", "project", "plumbing", "kinds", "models"]
AROUND = ["postgresql", "services", "pages", "ops", "demo"]


def folders() -> Iterator[str]:
    """Each folder, and what it holds."""
    return table(("folder", "holds"), ((code(f"{name}/"), _first_line(name)) for name in _names()))


def _names() -> Iterator[str]:
    yield ENGINE
    yield from (f"{ENGINE}/{name}" for name in [*FLOORS, "steps"])
    yield from (f"{ENGINE}/steps/{name}" for name in LOADER)
    yield from (f"{ENGINE}/{name}" for name in ["verify", *(f"verify/{name}" for name in JUDGE)])
    yield from (f"{ENGINE}/{name}" for name in BELOW)
    yield from (f"stillme/{name}" for name in AROUND)
    yield from settings.DOMAINS


def _first_line(folder: str) -> str:
    text = (ROOT / folder / "__init__.py").read_text(encoding="utf-8")
    return (ast.get_docstring(ast.parse(text)) or "").split("\n")[0]
