"""Chroma's regular expressions (the syntax of Rust's crate regex) in PostgreSQL's own.

`translate(pattern)` gives a pattern that matches the same texts, or raises RegexError with a
sentence that names what is wrong or not supported.
"""

from vector.regex.charset import RegexError
from vector.regex.parser import translate

__all__ = ["RegexError", "translate"]
