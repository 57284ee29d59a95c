"""Every reason that a row or cell can have is known in words."""

from __future__ import annotations

import re
from pathlib import Path

from stillme.transfer.quarantine.reasons import in_words
from vector.chroma.records import Reason

VALUES = Path(__file__).parents[2] / "docs" / "reference" / "values.md"


def test_every_documented_reason_has_words() -> None:
    rows = [line.split("|") for line in VALUES.read_text().splitlines() if line.startswith("| ")]
    outcomes = ("quarantined", "repaired", "loaded, original kept")
    ruled = [cells for cells in rows if len(cells) > 4 and cells[3].strip() in outcomes]
    codes = {code for cells in ruled for code in re.findall(r"`([a-z_0-9]+)`", cells[4])}
    assert len(codes) > 20
    assert [code for code in sorted(codes) if in_words(code) == code] == []


def test_every_reason_of_the_vector_store_has_words() -> None:
    assert [r.value for r in Reason if in_words(r.value) == r.value] == []


def test_an_unknown_reason_is_said_as_it_is() -> None:
    assert in_words("of_another_version") == "of_another_version"
