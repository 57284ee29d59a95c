"""The console's own colours keep WCAG AA on the grounds that unfold paints."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import stillme

PLACE = Path(stillme.__file__).parent
CSS = PLACE / "pages" / "static" / "console" / "console.css"
SCRIPT = PLACE / "transfer" / "static" / "console" / "dashboard.js"
# Unfold's pages: white, and base-900 in the dark.
LIGHT, DARK = "#ffffff", "#111827"
AA_TEXT, AA_GRAPHIC = 4.5, 3.0


def _luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def ratio(one: str, other: str) -> float:
    """WCAG's contrast ratio."""
    low, high = sorted((_luminance(one), _luminance(other)))
    return (high + 0.05) / (low + 0.05)


def _colours(selector: str) -> dict[str, str]:
    block = re.search(re.escape(selector) + r"[^{]*\{([^}]*)\}", CSS.read_text())
    assert block is not None
    return dict(re.findall(r"--(bad|good|look): (#[0-9a-f]{6})", block[1]))


def test_the_ratio_is_wcags() -> None:
    assert ratio("#000000", "#ffffff") == pytest.approx(21)
    assert ratio("#767676", "#ffffff") == pytest.approx(4.54, abs=0.01)


@pytest.mark.parametrize(("selector", "ground"), [(".console,", LIGHT), (".dark .console,", DARK)])
def test_words_can_be_read(selector: str, ground: str) -> None:
    colours = _colours(selector)
    assert set(colours) == {"bad", "good", "look"}
    for name, colour in colours.items():
        assert ratio(colour, ground) >= AA_TEXT, (name, colour)


def test_lines_of_the_plot_can_be_seen_on_both_grounds() -> None:
    lines = re.findall(r'\["(#[0-9a-f]{6})", \[', SCRIPT.read_text())
    assert len(lines) >= 4
    for colour in lines:
        for ground in (LIGHT, DARK):
            assert ratio(colour, ground) >= AA_GRAPHIC, (colour, ground)
