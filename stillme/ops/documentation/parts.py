"""The parts of pages that are made from code, each between two markers of its page.

`<!-- made: states -->`, the part, `<!-- end -->`. What stands around them is written by hand.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from stillme.ops.documentation.engine_tables import (
    findings,
    settings_of_files,
    settings_of_transfer,
    states,
)
from stillme.ops.documentation.folders import folders
from stillme.ops.documentation.service_calls import calls
from stillme.ops.documentation.value_tables import (
    kinds_of_values,
    odd_values,
    vector_reasons,
    written_back,
)

# Page below docs/ -> the name of a part -> what makes it.
PARTS: Mapping[str, Mapping[str, Callable[[], Iterator[str]]]] = {
    "contributing/README.md": {"folders": folders},
    "how-it-works/capture-and-cut-over.md": {"states": states, "written back": written_back},
    "reference/reports.md": {"findings": findings},
    "reference/services.md": {"calls": calls},
    "reference/settings.md": {
        "entries of TRANSFER": settings_of_transfer,
        "entries of a file": settings_of_files,
    },
    "reference/values.md": {"kinds": kinds_of_values, "odd values": odd_values},
    "reference/vectors.md": {"reasons": vector_reasons},
}


def made_page(page: str, text: str) -> str:
    """The page with its parts as they are now. Raises ValueError if it lacks a marker."""
    for name, make in PARTS[page].items():
        begin, end = f"<!-- made: {name} -->\n", "<!-- end -->\n"
        before, found, rest = text.partition(begin)
        _, closed, after = rest.partition(end)
        if not found or not closed:
            raise ValueError(f"{page} lacks the markers `{begin.strip()}` and `{end.strip()}`.")
        text = before + begin + "".join(f"{line}\n" for line in make()) + end + after
    return text


def made_pages(docs: Path) -> dict[Path, str]:
    """Each page that has such parts, and what it should say."""
    return {
        docs / page: made_page(page, (docs / page).read_text(encoding="utf-8")) for page in PARTS
    }
