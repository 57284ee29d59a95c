"""What is wrong with a pattern."""

from __future__ import annotations


class RegexError(Exception):
    """A pattern that Chroma refuses too, or that has no equal here; the message says what."""
