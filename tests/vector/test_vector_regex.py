"""`$regex`: the answers of chromadb 1.5.9 to the same patterns on the same documents, or a refusal.

A further pattern is a line.
"""

from __future__ import annotations

import re

import pytest

from vector import services
from vector.serving.filters import FilterError

pytestmark = pytest.mark.django_db

DOCUMENTS = {
    "hello": "Hello World",
    "two": "line one\nline two",
    "crlf": "a\r\nb",
    "ascii": "12 apples",
    "arabic": "\u0661\u0662",
    "umlaut": "\u00fcn\u00efcode stra\u00dfe",
    "under": "foo_bar baz",
    "dot": "x.y a-b",
    "empty": "",
    "cyrillic": "\u0421\u041b\u041e\u0412\u041e \u0441\u043b\u043e\u0432\u043e",
    "aab": "aab",
    "nbsp": "\u00a0x",
    "emoji": "\U0001f600 end",
    "kelvin": "\u212a \u017f",
    "last": "x\n",
    "joined": "a\u200db",
    "roman": "\u2167",
    "tie": "w\u203ft",
    "turkish": "\u0130 \u0131",
    "slash": "back\\slash [x]",
}  # fmt: skip
# "*" is every document, a list after "-" every other.
ANSWERS = [
    (r"\bworld\b", ""),
    (r"\Bo", "hello two umlaut under"),
    ("o.l", "hello"),
    ("one.line", ""),
    ("(?s)one.line", "two"),
    ("one$", ""),
    ("(?m)one$", "two"),
    ("^line two", ""),
    ("(?m)^line two", "two"),
    (r"\d+", "ascii arabic"),
    (r"[\d]+", "ascii arabic"),
    (r"^\d", "ascii arabic"),
    (r"\D", "- arabic empty"),
    (r"^\D+$", "- ascii arabic empty"),
    (r"\w+", "- empty"),
    (r"^\w+$", "arabic aab joined roman tie"),
    (r"\W", "- arabic empty aab joined roman tie"),
    (r"\s", "- arabic empty aab joined roman tie"),
    (r"^\s", "nbsp"),
    (r"\S", "- empty"),
    (r"\AHello", "hello"),
    (r"world\z", ""),
    (r"two\z", "two"),
    ("trailing$", ""),
    (r"trailing\z", ""),
    ("(?:foo)_(bar)", "under"),
    ("(?i)HELLO", "hello"),
    ("(?i)STRASSE", ""),
    ("(?i)straße", "umlaut"),
    ("(?i)ÜN", "umlaut"),
    ("(?i)слово", "cyrillic"),
    ("(?i)k", "kelvin slash"),
    ("(?i)s long", ""),
    ("a{2}", "aab"),
    ("a{2,}", "aab"),
    ("a{1,2}b", "aab"),
    ("a*?b", "crlf under dot aab joined slash"),
    ("a+?b", "aab"),
    ("a??b", "crlf under dot aab joined slash"),
    (r"[\w-]+$", "- empty last slash"),
    (r"[a\]]", "crlf ascii umlaut under dot aab joined slash"),
    (r"\[", "slash"),
    (r"\t", ""),
    (r"\n", "two crlf last"),
    (r"\r", "crlf"),
    ("]", "slash"),
    ("}", ""),
    ("|", "*"),
    ("a|", "*"),
    ("()", "*"),
    ("(?:)", "*"),
    ("\\\\", "slash"),
    (r"\.", "dot"),
    (r"\-", "dot"),
    (r"\_", "under"),
    (r"\ ", "- crlf arabic empty aab nbsp last joined roman tie"),
    (r"\#", ""),
    (r"\/", ""),
    (".", "- empty"),
    ("^$", "empty"),
    ("$", "*"),
    ("^", "*"),
    ("(?m)^$", "empty last"),
    ("naïve", ""),
    (r"caf.\b", ""),
    (r"\bß", ""),
    (r"s\b", "ascii"),
    (r"\d\b", "ascii arabic"),
    (r"bar\b", "under"),
    (r"\bbar", ""),
    ("[^a]", "- empty"),
    ("^[^a]$", "roman"),
    ("a[^x]b", "dot aab joined"),
    ("one[^x]line", "two"),
    ("[.a.]", "crlf ascii umlaut under dot aab joined slash"),
    (r"[\n]", "two crlf last"),
    (r"[\.]", "dot"),
    ("[a-]", "crlf ascii umlaut under dot aab joined slash"),
    ("[-a]", "crlf ascii umlaut under dot aab joined slash"),
    ("(a{50}){50}", ""),
    ("[😀]", "emoji"),
    ("😀.end", "emoji"),
    ("😀", "emoji"),
    ("(?i)[a-z]ello", "hello"),
    ("(?s).*", "*"),
    ("(?s)^.*$", "*"),
    ("(?m)two$", "two"),
    ("(?ism)HELLO.*$", "hello"),
    ("(?i)ı", "turkish"),
    ("(?i)i", "two"),
    ("(?i)ǆ", ""),
    ("^a.b$", "aab joined"),
    ("a..b", "under"),
    (r"nbsp\s?", ""),
    (r"^\sls", ""),
    ("^.ls", ""),
    (r"[^\d]", "- arabic empty"),
    (r"[^\s\d]+$", "- arabic empty last"),
    (r"[\W]", "- arabic empty aab joined roman tie"),
    (r"[^\W]", "- empty"),
    (r"[\D\d]", "- empty"),
    (r"\b+", "- empty"),
    (r"(^|\s)hello", ""),
    ("(?m)(^|x)line", "two"),
    ("(a|b)*?c", "umlaut slash"),
    ("a{3}", ""),
    ("^a{2,3}$", ""),
    (r"[\\]", "slash"),
    (r"[\^a]", "crlf ascii umlaut under dot aab joined slash"),
    ("[a-b-c]", "crlf ascii umlaut under dot aab joined slash"),
    ("x{0}", "*"),
    ("(?:a|ab)(?:c|b)", "aab slash"),
    ("[:alpha:]", "hello two crlf ascii umlaut under dot aab joined slash"),
]
# Chroma refuses these too.
REFUSED = [
    "(?=a)b",
    "(?!a)b",
    "(?<=a)b",
    r"(a)\1",
    "a{,2}b",
    r"\e",
    r"\0",
    r"\08",
    r"\Z",
    r"\G",
    r"\K",
    r"\R",
    r"\X",
    r"\h",
    r"\Q",
    "(",
    ")",
    "[",
    "{",
    "a{",
    "a{1",
    "a{b}",
    "*",
    "+a",
    "?",
    r"\é",
    r"\y",
    r"\m",
    "***=a",
    "***:a",
    "(?#c)a",
    "(?b)a",
    "(?e)a",
    "(?q)a",
    r"[\b]",
    r"[a-\d]",
    "[z-a]",
    "a(?#x)b",
    r"\x{110000}",
    r"\x{D800}",
    "(?P=n)",
    "(?P<1>a)",
    "(?P<a>a)(?P<a>b)",
    "(?<!a)b",
    "(?>a)b",
    "(?i",
    "(?z)a",
    "[&&a]",
    "[a&&b]",
    r"\p{^L}",
]
# Chroma answers these, and here a sentence says what is supported.
UNSUPPORTED = [
    r"\p{L}",
    r"\p{Lu}",
    r"\pL",
    r"\P{L}",
    "(?P<n>foo)",
    "(?<n>foo)",
    "(?i:HELLO) world",
    "(?-i)hello",
    "h(?i)ELLO",
    "a++b",
    "[[:alpha:]]+",
    "[[:digit:]]",
    "[[:word:]]",
    "[^[:space:]]+",
    "[a-z&&[^b]]",
    "[a--b]",
    "[a~~b]",
    "[]a]",
    "[^]a]",
    r"\x41",
    r"\x{48}",
    r"\u0048",
    r"\u{48}",
    r"\U00000048",
    r"\f",
    r"\v",
    r"\a",
    "(?U)a+b",
    "(?u)é",
    "a**",
    "a{2}{3}",
    r"\<foo\>",
    r"\b{start}foo",
    r"\b{end}",
    r"\b{start-half}foo",
    "[[.a.]]",
    "[[=a=]]",
    "[[:<:]]foo",
    r"[\p{L}]",
    r"[\x41-\x43]",
    r"\x{1F600}",
    "(?s-m:one.line)",
    r"\p{Nd}",
    r"\p{N}",
    r"\<",
    r"foo\>",
    "a*+",
    "a?+",
    "a{1}+",
    "^*",
    r"\p{ASCII}",
    r"\p{Letter}",
    r"\pN",
    "[[:^alpha:]]",
    "[[:upper:]]",
    "[[:punct:]]",
    "[[:foo:]]",
    r"\p{Greek}",
    r"\p{Alphabetic}",
    "(?x) a b",
    "(?R)$",
    "(?-u)a",
    "(?ii)a",
    "a{256}",
    "(" * 100_000 + ")" * 100_000,
    r"(\w{250}){250}",
]


@pytest.fixture
def collection():
    made = services.create_collection("texts")
    services.add(made, list(DOCUMENTS), [[1.0]] * len(DOCUMENTS), list(DOCUMENTS.values()))
    services.add(made, ["none"], [[1.0]])
    return made


def ids(collection, operator, pattern):
    """The records whose document the pattern fits, in the order of the table."""
    found = services.get(collection, where_document={operator: pattern})
    return [name for name in (*DOCUMENTS, "none") if name in {record.id for record in found}]


def refusal(collection, operator, pattern):
    """What was said, or the records that were found."""
    try:
        return ids(collection, operator, pattern)
    except FilterError as error:
        return str(error)


def test_patterns_answer_as_chroma_does(collection):
    """One table in one test: the patterns that answer otherwise are named in the difference."""
    wanted = {}
    for pattern, expected in ANSWERS:
        names = set(expected.removeprefix("-").split())
        if expected[:1] in ("*", "-"):
            names = set(DOCUMENTS) - names
        wanted[pattern] = [name for name in DOCUMENTS if name in names]
    assert {pattern: ids(collection, "$regex", pattern) for pattern in wanted} == wanted
    others = {
        pattern: [name for name in (*DOCUMENTS, "none") if name not in names]
        for pattern, names in wanted.items()
    }
    assert {pattern: ids(collection, "$not_regex", pattern) for pattern in others} == others


@pytest.mark.parametrize("patterns", [REFUSED, UNSUPPORTED], ids=["by both", "here"])
def test_what_is_refused_is_refused_in_a_sentence(collection, patterns):
    said = {pattern: refusal(collection, "$not_regex", pattern) for pattern in patterns}
    sentence = re.compile(
        "The pattern .* cannot be used: .* is not supported; what is: .*\\."
        "|The pattern .* cannot be used: PostgreSQL says .*\\."
    )
    assert [pattern for pattern, words in said.items() if not sentence.match(str(words))] == []
    # Nothing was broken off: the transaction goes on.
    assert services.count(collection) == len(DOCUMENTS) + 1
