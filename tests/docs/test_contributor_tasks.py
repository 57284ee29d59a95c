"""The contributor's guide lists the files that a task touches: those that name its example.

`## 4. Add a quarantine reason` has the example `not_whole`; its list must be the files in which a
search for `not_whole` ends, tests left out. After a file was moved the failing test prints the list
to paste.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.docs.pages import DOCS, ROOT

GUIDE = DOCS / "contributing" / "README.md"
FOLDERS = ("stillme", "knowledge", "continuum", "rss", "accuracy", "vector", "docs/reference")
SINGLE = (".ci/run", ".env.example", "pyproject.toml")
# The name of a task's list in the guide -> what is searched for.
EXAMPLES = {
    "a column": r"(entries|items)_ethical_filtered",
    "a file": r"""(?m)^continuum/|continuum_rows|["',]continuum["',.]|LEGACY_CONTINUUM"""
    r"|^title: continuum|^CONTINUUM = |^    \"tier_audit\": [{_]",
    "a value": r"not_json",
    "a reason": r"not_whole",
    "a finding": r"MISSING_TABLE|missing_table",
}


def listed(task: str) -> list[str]:
    """The paths in the block below `<!-- files: a column -->`."""
    part = GUIDE.read_text(encoding="utf-8").split(f"<!-- files: {task} -->\n```text\n")[1]
    return part.split("```")[0].split()


def naming(pattern: str) -> list[str]:
    """Files of code, settings and reference whose path or text names the example.

    Migrations are shown as their folder.
    """
    sources = [path for folder in FOLDERS for path in (ROOT / folder).rglob("*")]
    kept = [path for path in sources if path.suffix in (".py", ".md")]
    return sorted(
        {
            _spelled(path)
            for path in [*kept, *(ROOT / name for name in SINGLE)]
            if re.search(pattern, f"{path.relative_to(ROOT)}\n{path.read_text(encoding='utf-8')}")
        }
    )


def _spelled(path: Path) -> str:
    shown = path.parent if path.parent.name == "migrations" else path
    return str(shown.relative_to(ROOT)) + "/" * (shown is not path)


@pytest.mark.parametrize("task", EXAMPLES)
def test_the_list_of_a_task_is_where_its_example_is_named(task: str) -> None:
    found = naming(EXAMPLES[task])
    assert listed(task) == found, "the guide must list:\n" + "\n".join(found)


def test_every_list_of_the_guide_is_checked() -> None:
    assert set(re.findall(r"<!-- files: (.+) -->", GUIDE.read_text(encoding="utf-8"))) == {
        *EXAMPLES
    }


def test_every_path_that_the_guide_names_is_there() -> None:
    """Also the tests and folders in its sentences."""
    named = re.findall(r"`((?:tests|stillme|docs)/[\w./-]+)`", GUIDE.read_text(encoding="utf-8"))
    assert len(named) > 15
    assert [path for path in named if not (ROOT / path).exists()] == []
