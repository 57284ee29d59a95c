"""Values as HTML that nothing in them can break: escaped, spelled out, clipped, foldable.

Text is shown as Python spells it, so that control characters and bidi marks are visible escapes.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import date, datetime
from typing import Any, Self

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from stillme.visible import visible

# What a table shows at once, and what it shows when a person asks for more.
SHORT = 160
LONG = 20_000
# A text of this length is read without a click.
READ = 2_000
# Characters of a word that a column of a list has room for.
WORD = 14
_WORDS = re.compile(r"\s+|\S+")
# Up to punctuation, or as much as there is room for: a mark that belongs to a letter stays with it.
_PIECES = re.compile(
    rf"\S{{1,{WORD}}}?[/.,:;_&?=-]{{1,3}}|\S{{1,{WORD}}}[\u0300-\u036f\ufe0f\u200d]*"
)


class Clipped(str):
    """The beginning of a text or document, of which the database holds `size` bytes."""

    size: int

    def __new__(cls, start: str, size: int) -> Self:
        """The beginning itself."""
        clipped = super().__new__(cls, start)
        clipped.size = size
        return clipped


def target_html(value: Any) -> SafeString:
    """A value of a target row."""
    if value is None:
        return foldable("NULL")
    if isinstance(value, datetime | date):
        return foldable(value.isoformat(" ") if isinstance(value, datetime) else str(value))
    if isinstance(value, dict | list):
        return foldable(_visible(json.dumps(value, indent=1, ensure_ascii=False)))
    if isinstance(value, Clipped):
        return foldable(repr(str(value)), f"{value.size:,} bytes")
    if isinstance(value, str):
        return foldable(repr(value[:LONG]), f"{len(value):,} characters")
    return foldable(repr(value))


def listed_text(value: str | None) -> SafeString:
    """A text of a list: NULL, an empty text and others are told apart, and no word is too long."""
    if value is None:
        return SafeString("—")
    if not value.strip():
        word = "blank" if value else "empty"
        return format_html('<span class="console-note" title="{}">({})</span>', repr(value), word)
    return breakable(value)


def breakable(text: str) -> SafeString:
    """Text whose long words may break: behind punctuation where they have some, copied whole.

    `https://example.org/news` -> `https://<wbr>example.<wbr>org/<wbr>news`
    """
    return format_html_join("", "{}{}", _broken(text))


def _broken(text: str) -> Iterator[tuple[SafeString, str]]:
    for word in _WORDS.findall(text):
        pieces = _PIECES.findall(word) if len(word) > WORD else [word]
        yield from (
            (SafeString("<wbr>" if number else ""), piece) for number, piece in enumerate(pieces)
        )


def text_html(text: str | None) -> SafeString:
    """A text to be read: as it is while it is short, else its beginning, foldable."""
    if text is None:
        return SafeString("—")
    if isinstance(text, Clipped):
        return _folded(text, f"{text.size:,} bytes")
    if len(text) <= READ:
        # Its own direction, so that a bidi mark in it turns nothing else around.
        return format_html('<bdi class="console-text">{}</bdi>', text)
    return _folded(text, f"{len(text):,} characters")


def json_html(value: Any) -> SafeString:
    """A document, indented, its letters unescaped; foldable where it is long."""
    if value is None:
        return SafeString("—")
    if isinstance(value, Clipped):
        return _folded(value, f"{value.size:,} bytes of JSON")
    text = json.dumps(value, indent=2, ensure_ascii=False)
    if len(text) <= READ:
        return format_html('<pre class="console-text">{}</pre>', text)
    return _folded(text, f"{len(text):,} characters of JSON")


def json_text_html(text: str | None) -> SafeString:
    """A text that holds JSON, indented; as it is where it holds none."""
    if text is None or isinstance(text, Clipped):
        return text_html(text)
    try:
        return json_html(json.loads(text))
    except (ValueError, RecursionError):
        return text_html(text)


def _folded(text: str, size: str) -> SafeString:
    rest = (
        "" if len(text) <= LONG and not isinstance(text, Clipped) else f", the first {LONG:,} here"
    )
    return format_html(
        '<details class="console"><summary><bdi>{}…</bdi> <span class="console-note">({}{})</span>'
        '</summary><pre class="console-text" tabindex="0">{}</pre></details>',
        text[:SHORT],
        size,
        rest,
        text[:LONG],
    )


def foldable(text: str, size: str = "") -> SafeString:
    """Short text as it is; long text behind its beginning, to be opened."""
    if len(text) <= SHORT:
        return format_html("<code>{}</code>", text)
    rest = "" if len(text) < LONG else " (the beginning)"
    return format_html(
        '<details><summary><code>{}…</code> <span class="console-note">{}{}</span></summary>'
        '<pre tabindex="0">{}</pre></details>',
        text[:SHORT],
        size,
        rest,
        text[:LONG],
    )


def _visible(text: str) -> str:
    return visible(text[:LONG])
