"""The stream of common rows: exact doubles, quotes in texts, documents, bytes that are no text."""

from __future__ import annotations

import random
import sqlite3
import struct
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from stillme.transfer.plumbing.csv_format import QUOTE, csv_line
from stillme.transfer.sqlite.reading.row_source import RowSource, SnapshotRows
from stillme.transfer.steps.kinds.json_policy import all_clean, is_clean_bytes

SPECIAL = [0.0, -0.0, 5e-324, -5e-324, 2.2250738585072014e-308, 1.7976931348623157e308]
SPECIAL += [float("inf"), float("-inf"), 1e22, 1e23, 0.1, 1.0, 9007199254740993.0, 1.1 * 1.1]


def doubles() -> list[float]:
    seeded = random.Random(20260101)
    found = [struct.unpack("d", seeded.randbytes(8))[0] for _ in range(20_000)]
    found += [seeded.random() for _ in range(20_000)]
    found += [number / 999 for number in range(10_000)]
    return SPECIAL + [value for value in found if value == value]


def bits(value: float) -> bytes:
    return struct.pack("d", value)


@pytest.mark.parametrize("kind", ["snapshot", "live"])
def test_a_double_is_printed_with_its_64_bits(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "numbers.db"
    stored = doubles()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE t (k INTEGER PRIMARY KEY, v)")
        connection.executemany("INSERT INTO t (v) VALUES (?)", [(value,) for value in stored])
        connection.execute("INSERT INTO t (v) VALUES (NULL)")
        connection.commit()
        source: RowSource = SnapshotRows(path) if kind == "snapshot" else RowSource(connection)
        text = source.joined(["'<'", source.double_text("v"), "'>'"])
        printed = [row[0] for row in source.rows(f"SELECT {text} FROM t ORDER BY k", ())]
        source.close()
        as_read = [row[0] for row in connection.execute("SELECT v FROM t ORDER BY k")]
    assert printed.pop() == "<>"
    assert as_read.pop() is None
    # What SQLite gives back is what counts: it may store -0.0 as the integer 0.
    wrong = [
        (value, text)
        for value, text in zip(as_read, printed, strict=True)
        if bits(float(text[1:-1])) != bits(value)
    ]
    assert wrong == []
    assert len(printed) == len(stored)


@pytest.mark.filterwarnings("error::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("read", [RowSource.rows, RowSource.bounded])
def test_a_stream_that_is_broken_off_may_outlive_its_connection(read: Callable[..., Any]) -> None:
    """A signal does that: the command said so, and a traceback of the cursor's end after it."""
    with closing(sqlite3.connect(":memory:")) as connection:
        stream = read(RowSource(connection), "SELECT 1 UNION SELECT 2", ())
        next(stream)
    stream.close()


def test_the_sign_of_zero_is_stored_and_printed(tmp_path: Path) -> None:
    path = tmp_path / "zero.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE t (v)")
        connection.execute("INSERT INTO t VALUES (?)", (-0.0,))
        connection.commit()
        (stored,) = connection.execute("SELECT v FROM t").fetchone()
    source = SnapshotRows(path)
    ((text,),) = source.rows(f"SELECT {source.double_text('v')} FROM t", ())
    source.close()
    assert bits(stored) == bits(float(text))


@pytest.mark.parametrize(
    "document",
    [
        b'{"a": 1, "a": 2}',
        b'{"a": 1, "b": {"c": 1, "c": 1}}',
        rb'{"a": 1, "a": "\u0022:"}',
        rb'{"a": 1, "a": "\u0022\u0022"}',
        b'{"a"\n:1,"a" :2}',
        rb'{"a": "\u0000"}',
        rb'{"a": "\ud800"}',
        b'{"a": NaN}',
        b"not json",
        b"",
        b"1, 2",
        b'{"a": "\xff"}',
        b"[" * 600 + b"]" * 600,
        b'{"a":' * 600 + b"1" + b"}" * 600,
    ],
)
def test_documents_that_need_a_closer_look(document: bytes) -> None:
    plain = [b"{}", b'{"a": 1}', b'{"a": {"a": [1, {"a": "\\":"}]}}']
    assert all_clean(plain)
    assert not all_clean([document])
    assert not all_clean([*plain, document, *plain])
    assert not is_clean_bytes(document)


def test_documents_that_only_together_look_right() -> None:
    assert not (all_clean([b"[1", b"2]"]) and is_clean_bytes(b"[1"))
    assert not all_clean([b'{"a": 1}, {"a": 2}', b"[", b"1]"])


def test_documents_with_odd_but_equal_quotes_stay_clean() -> None:
    documents = [
        b'{"say": "\\"hi\\": there"}',
        '{"ключ": "giá trị \\u00e9"}'.encode(),
        b"[]",
        b"null",
        b'"text"',
        b"1.5e300",
    ]
    assert all_clean(documents)
    # One by one the first is in doubt: a quote and a colon stand in its text.
    assert [is_clean_bytes(document) for document in documents] == [False] + [True] * 5


def test_a_line_doubles_the_quote() -> None:
    assert csv_line([None, "", f"a{QUOTE}b"]) == f",{QUOTE * 2},{QUOTE}a{QUOTE * 2}b{QUOTE}\n"


QUOTED: list[Callable[[str], str]] = [
    lambda text: QUOTE + text,
    lambda text: text + QUOTE * 2,
    lambda text: text[:3] + QUOTE + text[3:] + QUOTE,
]


@pytest.mark.django_db(transaction=True)
def test_texts_that_hold_the_quote(
    tmp_path: Path, use_legacy_files: Callable[[Path], None]
) -> None:
    from tests.made_once import put_samples
    from tests.transfer.load.support import query, run_import

    put_samples(tmp_path, rows=40, variant="clean", files=["knowledge"])
    texts = _put_quotes(tmp_path / "knowledge_retention.db")
    use_legacy_files(tmp_path)
    result = run_import()
    assert result.conserved
    by_table = {table.table: table.outcome for table in result.tables}
    assert by_table["knowledge_items"].loaded == len(texts)
    found = query("SELECT id, content, source FROM knowledge.knowledge_items ORDER BY id")
    assert {key: (content, source) for key, content, source in found} == texts


def _put_quotes(path: Path) -> dict[int, tuple[str, str]]:
    with closing(sqlite3.connect(path)) as connection:
        rows = connection.execute("SELECT id, content, source FROM knowledge_items").fetchall()
        texts = {}
        for number, (key, content, source) in enumerate(rows):
            if number % 3 == 0:
                content = QUOTED[number // 3 % len(QUOTED)](content)
            if number % 5 == 0:
                source = QUOTED[number // 5 % len(QUOTED)](source)
            connection.execute(
                "UPDATE knowledge_items SET content = ?, source = ? WHERE id = ?",
                (content, source, key),
            )
            texts[key] = (content, source)
        connection.commit()
    return texts
