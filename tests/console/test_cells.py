"""Stored values as HTML: nothing executes, nothing breaks the page, long ones fold."""

from __future__ import annotations

import pytest

from stillme.pages.cells import (
    LONG,
    READ,
    json_html,
    target_html,
    text_html,
)
from stillme.transfer.console.row.side_table import stored_html
from tests.console.support import HOSTILE


@pytest.mark.parametrize(
    "shown",
    [
        stored_html("text", HOSTILE.encode()),
        target_html(HOSTILE),
        target_html({HOSTILE: [HOSTILE]}),
        text_html(HOSTILE),
        text_html(HOSTILE * READ),
        json_html({HOSTILE: HOSTILE}),
        json_html([HOSTILE] * READ),
    ],
)
def test_nothing_executes(shown: str) -> None:
    assert HOSTILE not in shown
    assert "&lt;script&gt;" in shown


def test_short_text_is_read_without_a_click() -> None:
    assert text_html("một câu") == '<bdi class="console-text">một câu</bdi>'
    assert (
        json_html({"a": "ữ"})
        == '<pre class="console-text">{\n  &quot;a&quot;: &quot;ữ&quot;\n}</pre>'
    )


def test_long_text_folds_says_its_size_and_is_clipped() -> None:
    folded = text_html("x" * 10_000_000)
    assert folded.startswith("<details")
    assert "10,000,000 characters, the first 20,000 here" in folded
    assert len(folded) < LONG + 1000
    assert "the first" not in text_html("x" * (READ + 1))
    # Quotes are six characters each in HTML.
    assert len(json_html(["x"] * 1_000_000)) < LONG * 6


def test_no_value_is_a_dash_and_an_empty_one_is_not() -> None:
    assert text_html(None) == json_html(None) == "—"
    assert text_html("") == '<bdi class="console-text"></bdi>'
