"""Messages say `1 row` and `2 rows`: whatever counts things asks `counted`."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

from stillme.visible import counted
from tests.conftest import ROOT

FOLDERS = ("stillme", "knowledge", "continuum", "rss", "accuracy", "vector")
_NOUNS = re.compile(
    r" (?:more |legacy |selected )?"
    r"(rows|changes|files|tables|items|records|findings|cells|values|migrations)\b"
)
# What is never 1 there: a rate, a limit, the larger of two numbers, after a branch for 1, a sample.
NEVER_ONE = {
    "rate", "rows / result.seconds", "total", "len(rest)", "count", "summary.total",
    "line['rows']", "loaded",
}  # fmt: skip
BRANCHED = {("imports.py", "rows"), ("result.py", "compared")}


def test_one_and_many() -> None:
    assert counted(1, "row") == "1 row"
    assert counted(0, "row") == "0 rows"
    assert counted(1200, "row") == "1,200 rows"
    assert counted(2, "index", "indexes") == "2 indexes"
    assert counted(1, "row is open", "rows are open") == "1 row is open"


def uncounted(path: Path) -> Iterator[str]:
    """Expressions that an f-string of the file prints before a plural."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        parts = node.values if isinstance(node, ast.JoinedStr) else []
        for number, after in pairwise(parts):
            if isinstance(number, ast.FormattedValue) and isinstance(after, ast.Constant):
                shown = ast.unparse(number.value)
                if _NOUNS.match(str(after.value)) and not shown.isupper():
                    yield shown


def test_nothing_is_counted_by_hand() -> None:
    found = {
        (path.name, shown)
        for folder in FOLDERS
        for path in (ROOT / folder).rglob("*.py")
        for shown in uncounted(path)
    }
    assert {pair for pair in found - BRANCHED if pair[1] not in NEVER_ONE} == set()


def test_what_is_counted_by_hand_is_found(tmp_path: Path) -> None:
    page = tmp_path / "page.py"
    page.write_text('f"{done:,} " f"rows loaded"; f"{MOST} rows"; f"{done} rowsets"')
    assert list(uncounted(page)) == ["done"]
