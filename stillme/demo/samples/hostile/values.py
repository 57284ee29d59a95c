"""Values that SQLite stores in a column whatever its declared type, as SQL expressions.

Each comes with the storage class it has once stored (`typeof`), after the column's affinity had its
say. Texts that a Python string cannot hold are made from their bytes with CAST.
"""

from __future__ import annotations

import random
from dataclasses import dataclass


@dataclass(frozen=True)
class Value:
    """One value: what is odd about it, the expression that makes it, the storage class it gets."""

    what: str
    sql: str
    storage: str


def _text(what: str, value: str) -> Value:
    return Value(what, "'" + value.replace("'", "''") + "'", "text")


def _bytes(what: str, value: bytes) -> Value:
    """TEXT with exactly these bytes, valid UTF-8 or not."""
    return Value(what, f"CAST(x'{value.hex()}' AS TEXT)", "text")


def incompressible(length: int) -> str:
    """Text that no index compresses: longer than a B-tree entry of PostgreSQL may be."""
    rng = random.Random(length)  # noqa: S311 - samples, not secrets
    return "".join(rng.choices("0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJ", k=length))


INTEGERS = (
    _text("a word in INTEGER", "abc"),
    _text("empty text in INTEGER", ""),
    _text("hexadecimal text in INTEGER", "0x10"),
    _text("full-width digits in INTEGER", "１２"),
    Value("blob in INTEGER", "x'0102ff'", "blob"),
    Value("fraction in INTEGER", "1.5", "real"),
    Value("real beyond 64 bits in INTEGER", "1e300", "real"),
    Value("infinity in INTEGER", "9e999", "real"),
    Value("just above 32 bits", "2147483648", "integer"),
    Value("largest 64-bit integer", "9223372036854775807", "integer"),
    Value("smallest 64-bit integer", "-9223372036854775808", "integer"),
    Value("negative count", "-1", "integer"),
)

REALS = (
    _text("a word in REAL", "high"),
    _text("NaN as text", "NaN"),
    _text("Infinity as text", "Infinity"),
    _text("empty text in REAL", ""),
    _text("decimal comma", "1,5"),
    Value("blob in REAL", "x'3f800000'", "blob"),
    Value("infinity", "9e999", "real"),
    Value("minus infinity", "-9e999", "real"),
    Value("denormal", "1e-320", "real"),
    Value("largest double", "1.7976931348623157e308", "real"),
    Value("negative zero", "-0.0", "real"),
    Value("17 digits", "0.30000000000000004", "real"),
)

TEXTS = (
    Value("blob in TEXT", "x'00ff10'", "blob"),
    Value("blob that is valid text", "x'76c4836e'", "blob"),
    Value("empty blob in TEXT", "x''", "blob"),
    _bytes("NUL inside text", b"a\0b"),
    _bytes("NUL at both ends", b"\0ab\0"),
    _bytes("byte that UTF-8 never has", b"ab\xff"),
    _bytes("surrogate encoded in UTF-8", b"\xed\xa0\x80x"),
    _bytes("overlong NUL", b"\xc0\x80"),
    _bytes("cut-off character", b"ab\xe2\x82"),
    _bytes("beyond the last code point", b"\xf4\x90\x80\x80"),
    _bytes("Latin-1 bytes", b"Gen\xe8ve"),
    _bytes("NUL and bad bytes together", b"\xfe\0\xff"),
    _text("copy markers", "\\N\t\\.\n\r\x08\\x41"),
    _text("byte order mark and non-characters", "\ufeff\ufffe\uffff"),
)

TIMES = (
    _text("empty text in TIMESTAMP", ""),
    Value("epoch seconds", "1764000000", "integer"),
    Value("epoch seconds with fraction", "1764000000.25", "real"),
    Value("epoch milliseconds", "1764000000000", "integer"),
    Value("Julian day", "2461000.5", "real"),
    Value("zero", "0", "integer"),
    Value("blob in TIMESTAMP", "x'323032352d31312d3230'", "blob"),
    Value("infinity as number", "9e999", "real"),
    _text("impossible day", "2025-02-30 10:00:00"),
    _text("impossible day, date only", "2025-02-30"),
    _text("all zeros", "0000-00-00 00:00:00"),
    _text("word now", "now"),
    _text("word today", "today"),
    _text("word epoch", "epoch"),
    _text("word infinity", "infinity"),
    _text("word minus infinity", "-infinity"),
    _text("word allballs", "allballs"),
    _text("offset +05:30", "2025-11-20T10:00:00.123456+05:30"),
    _text("offset without colon", "2025-11-20T10:00:00+0530"),
    _text("impossible offset", "2025-11-20T10:00:00+25:00"),
    _text("offset after a space format", "2025-11-20 10:00:00+07:00"),
    _text("letter Z", "2025-11-20T10:00:00Z"),
    _text("zone name", "2025-11-20 10:00:00 UTC"),
    _text("zone region", "2025-11-20 10:00:00 Asia/Ho_Chi_Minh"),
    _text("date only", "2025-11-20"),
    _text("minutes only", "2025-11-20 10:15"),
    _text("hour 24", "2025-11-20 24:00:00"),
    _text("hour 25", "2025-11-20 25:00:00"),
    _text("leap second", "2025-11-20 23:59:60"),
    _text("seven digits", "2025-11-20T10:00:00.1234567"),
    _text("nine digits", "2025-11-20 10:00:00.123456789"),
    _text("rounds up to the next day", "2025-11-20T23:59:59.9999999"),
    _text("one digit", "2025-11-20T10:00:00.5"),
    _text("comma before the fraction", "2025-11-20T10:00:00,5"),
    _text("basic ISO format", "20251120T100000"),
    _text("day first", "20/11/2025 10:00:00"),
    _text("English date", "Thu Nov 20 10:00:00 2025"),
    _text("leading space", " 2025-11-20 10:00:00"),
    _text("trailing space", "2025-11-20 10:00:00 "),
    _text("one-digit month", "2025-1-5 10:00:00"),
    _text("five-digit year", "10000-01-01 00:00:00"),
    _text("year before Christ", "-0044-03-15 00:00:00"),
    _text("Arabic digits", "٢٠٢٥-١١-٢٠ ١٠:٠٠:٠٠"),
    _text("words", "hôm qua"),
    _bytes("NUL after a timestamp", b"2025-11-20 10:00:00\0"),
    _bytes("bad bytes in TIMESTAMP", b"2025-11-20 \xff"),
)

DATES = (
    _text("empty text in DATE", ""),
    _text("impossible day", "2025-02-30"),
    _text("word today", "today"),
    _text("word infinity", "infinity"),
    _text("time in DATE", "2025-11-20 10:00:00"),
    _text("ISO moment in DATE", "2025-11-20T23:30:00+07:00"),
    _text("one-digit month", "2025-1-5"),
    _text("day first", "20/11/2025"),
    Value("number in DATE", "20251120", "integer"),
    Value("Julian day in DATE", "2461000.5", "real"),
    Value("blob in DATE", "x'00'", "blob"),
    _bytes("NUL in DATE", b"2025-11-20\0"),
)

JSONS = (
    _text("empty text", ""),
    _text("not JSON", "not json"),
    _text("cut off", '{"a": '),
    _text("garbage after JSON", "{} x"),
    _text("Python literal", "{'a': None}"),
    _text("duplicate keys", '{"a": 1, "b": 2, "a": 3}'),
    _text("NaN and Infinity", '{"a": NaN, "b": [Infinity, -Infinity]}'),
    _text("word nan", "nan"),
    _text("41-digit integer", '{"n": 12345678901234567890123456789012345678901}'),
    _text("5000-digit integer", '{"n": ' + "7" * 5000 + "}"),
    _text("exponent beyond numeric", '{"n": 1e200000}'),
    _text("exponent beyond double", '{"n": 1e400, "tiny": 1e-400}'),
    _text("trailing zeros", '{"n": 1.500, "m": -0, "z": -0.0}'),
    _text("escaped NUL in a value", '{"a": "x\\u0000y"}'),
    _text("escaped NUL in a key", '{"k\\u0000": 1}'),
    _text("lone high surrogate", '{"a": "\\ud83d"}'),
    _text("lone low surrogate in a key", '{"\\udc00": 1}'),
    _text("reversed surrogates", '{"a": "\\udc4d\\ud83d"}'),
    _text("raw tab in a string", '{"a": "x\ty"}'),
    _text("comment", '{"a": 1 /* one */}'),
    _text("byte order mark before JSON", "\ufeff{}"),
    _text("deep nesting", "[" * 20_000 + "]" * 20_000),
    _text("scalar null", "null"),
    _text("scalar number", "5"),
    _text("white space around", ' \n{ "b" : 1 ,\t"a":2 } '),
    Value("JSON in a blob", "CAST('{\"a\": 1}' AS BLOB)", "blob"),
    Value("SQL NULL instead of JSON", "NULL", "null"),
    _bytes("raw NUL after JSON", b'{"a": 1}\0'),
    _bytes("bad bytes in JSON", b'{"a": "\xff"}'),
)

KEYS = (
    Value("key that is not there", "999999", "integer"),
    Value("negative key", "-1", "integer"),
    Value("largest 64-bit key", "9223372036854775807", "integer"),
    _text("word as a key", "abc"),
    _text("empty text as a key", ""),
    Value("fraction as a key", "1.5", "real"),
    Value("blob as a key", "x'01'", "blob"),
)

NULL = (Value("NULL", "NULL", "null"),)
UNTYPED_REALS = (
    Value("integer in an untyped column", "1", "integer"),
    Value("integer that no double holds", "9007199254740993", "integer"),
    _text("number as text in an untyped column", "0.5"),
    *REALS,
)
ITEM_IDS = (
    Value("NULL in a TEXT primary key", "NULL", "null"),
    Value("a second NULL in a TEXT primary key", "NULL", "null"),
    _text("empty primary key", ""),
    _text("twin of a blob", "twin"),
    Value("blob with the bytes of another key", "CAST('twin' AS BLOB)", "blob"),
    _bytes("NUL in the primary key", b"twin\0"),
    _bytes("bad bytes in the primary key", b"twin\xff"),
    _text("key that differs in case", "Twin"),
    _text("key with a space behind", "twin "),
    _text("composed letter", "caf\u00e9"),
    _text("decomposed letter", "cafe\u0301"),
    _text("key longer than an index entry", incompressible(6_000)),
)
TIER_WORDS = (
    _text("unknown tier", "L9"),
    _text("lower-case tier", "l0"),
    _text("empty tier", ""),
    Value("no tier", "NULL", "null"),
    Value("blob as a tier", "x'4c30'", "blob"),
)
LONG_STATUS = (
    _text("status longer than an index entry", incompressible(5_000)),
    _text("unknown status", "Đã thêm"),
    _text("empty status", ""),
)
EXTRA_TEXTS = (
    _text("a text in a column of the user's own", "ghi chú của tôi"),
    Value("a blob in a column of the user's own", "x'00ff'", "blob"),
    _bytes("NUL in a column of the user's own", b"x\0y"),
    Value("infinity in a column of the user's own", "-9e999", "real"),
)
