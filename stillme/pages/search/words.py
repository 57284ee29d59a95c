"""The words of a search, as PostgreSQL and Python look for them: `hoc` finds `Học`.

A word is a run of letters and digits; case and the accents of European and Vietnamese letters do
not count, and the beginning of a word is enough. The same rule is spelled four times: as an
expression that PostgreSQL can index, as the query that such an index answers, and as a regular
expression for rows without index, in PostgreSQL's and in Python's dialect.
"""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict

from django.utils.html import format_html_join
from django.utils.safestring import SafeString

from stillme.visible import in_one_line

# Characters of a text that are searched: to_tsvector refuses texts of some megabytes, and would
# refuse to insert a row if an index asked for it.
SEARCHED = 20_000
# The same of all columns of a row together.
MOST_TOGETHER = 100_000
MOST_WORDS, LONGEST_WORD = 8, 60
BEFORE, AFTER = 60, 180
# Combining marks of the letters of Europe and Vietnam.
_MARKS = "".join(map(chr, [*range(0x300, 0x305), *range(0x306, 0x30D), 0x31B, 0x323, 0x327, 0x328]))
# What PostgreSQL's parser would take for a part of a number, an address or a tag.
_JOINTS = "./-_@:+<>"
_LETTERS = str.maketrans("đĐ", "dD", _MARKS)
_WORD = re.compile(r"[^\W_]+")
_BREAKS = re.compile(r"\s*[\r\n\t]\s*")


def fold(text: str) -> str:
    """``Trí tuệ Đà Nẵng`` -> ``tri tue da nang``."""
    return unicodedata.normalize("NFD", text).translate(_LETTERS).lower()


def words_of(asked: str) -> list[str]:
    """The words to look for, folded; all of them have to be in a row."""
    found = dict.fromkeys(word[:LONGEST_WORD] for word in _WORD.findall(fold(asked)))
    return list(found)[:MOST_WORDS]


def text_search_query(words: list[str]) -> str:
    """For to_tsquery: ``hoc:* & may:*``."""
    return " & ".join(f"{word}:*" for word in words)


def document_sql(columns: list[str]) -> str:
    """The expression over quoted columns that an index holds; every part of it is immutable."""
    parts = " || ' ' || ".join(f"coalesce({_folded_sql(column)}, '')" for column in columns)
    return f"to_tsvector('simple'::regconfig, left({parts}, {MOST_TOGETHER}))"


def _folded_sql(column: str) -> str:
    """Where every character has one byte nothing needs to be taken apart."""
    text = f"left({column}::text, {SEARCHED})"
    blanks = " " * len(_JOINTS)
    marks = "".join(f"\\{ord(mark):04X}" for mark in _MARKS)
    return (
        f"CASE WHEN octet_length({text}) = length({text}) "
        f"THEN translate({text}, '{_JOINTS}', '{blanks}') "
        f"ELSE translate(normalize({text}, NFD), U&'\\0111\\0110{_JOINTS}{marks}', 'dD{blanks}') "
        "END"
    )


def pattern_sql(word: str) -> str:
    """For PostgreSQL's `~`: where the word begins."""
    return f"(?<![[:alnum:]]){_letters(word)}"


def _pattern(words: list[str]) -> re.Pattern[str]:
    longest_first = sorted(words, key=len, reverse=True)
    return re.compile(rf"(?<![^\W_])(?:{'|'.join(map(_letters, longest_first))})")


def _letters(word: str) -> str:
    """Each letter in either case, with or without accents, composed or not."""
    return "".join(f"[{_class(letter)}][{_MARKS}]*" for letter in word)


def _class(letter: str) -> str:
    return "".join(dict.fromkeys(letter + letter.upper()[:1] + _ACCENTED[letter]))


def _accented() -> dict[str, str]:
    """Each plain letter's accented forms."""
    found: dict[str, str] = defaultdict(str)
    for code in (*range(0x00C0, 0x0250), *range(0x1E00, 0x1F00)):
        folded = fold(chr(code))
        if len(folded) == 1 and folded != chr(code):
            found[folded] += chr(code)
    return found


_ACCENTED = _accented()


def has_word(text: str, words: list[str]) -> bool:
    """Whether one of the words is in the part of the text that is searched."""
    return _pattern(words).search(text[:SEARCHED]) is not None


def snippet(text: str, words: list[str]) -> SafeString:
    """The surroundings of the first word that is found, as HTML with every such word marked.

    A line break is shown as a blank: this is one line to find a row by, not the text.
    """
    pattern = _pattern(words)
    text = _BREAKS.sub(" ", text)
    first = pattern.search(text)
    start = max(0, (first.start() if first else 0) - BEFORE)
    end = start + BEFORE + AFTER
    shown = text[start:end]
    pieces = []
    at = 0
    for hit in pattern.finditer(shown):
        pieces += [("", shown[at : hit.start()], ""), ("<mark>", hit.group(), "</mark>")]
        at = hit.end()
    pieces.append(("", shown[at:], ""))
    whole = [("", "…", "")] * (start > 0) + pieces + [("", "…", "")] * (len(text) > end)
    return format_html_join(
        "", "{}{}{}", ((SafeString(a), in_one_line(b), SafeString(c)) for a, b, c in whole)
    )
