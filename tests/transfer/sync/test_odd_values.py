"""One odd value in a cell or a key: import, proof, replay and way back all end in order."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from hashlib import sha256

import pytest
from django.db import connection

from stillme.transfer.inventory.selection import Selection
from stillme.transfer.kinds import TextKey
from stillme.transfer.registry import legacy_models
from stillme.transfer.steps.follow import FollowOptions, follow
from stillme.transfer.steps.install_capture import install_capture
from stillme.transfer.verify.verification import VerifyOptions, verify
from tests.transfer.load.support import FILES, run_import

from .equal import differences
from .switching import cut_over, roll_back

ALL, ONCE = Selection(), FollowOptions(once=True)
# What int(), isdigit() and SQLite each read as a number, or do not.
# Longer than an entry of PostgreSQL's index, and no compression helps.
LONG = "".join(sha256(str(n).encode()).hexdigest() for n in range(150))
ODD_KEYS = (
    "²", "٣", "--5", "+5", " 5", "5 ", "5\n", "1_000", "0x10", "5.0", "1e3", "-", "", "9" * 5000,
    "007", "-0", "5", "½", "\uff15", "inf", "nan", "99999999999999999999", 2.5, 1e300, b"5",
    b"\xff", LONG, LONG + "\0", LONG.encode(), LONG.encode() + b"\xff", "x" * 1_000_000,
)  # fmt: skip


def rows_of(data, file, sql, *values):
    with closing(sqlite3.connect(data / file)) as db, db:
        return db.execute(sql, *values)


def without_type(data, file, table):
    """The table as a hand made it: a key column that stores whatever it is given."""
    with closing(sqlite3.connect(data / file)) as db, db:
        names = [row[1] for row in db.execute(f"PRAGMA table_info({table})")]
        db.execute(f"ALTER TABLE {table} RENAME TO before")
        declared = ", ".join([f"{names[0]} PRIMARY KEY", *names[1:]])
        db.execute(f"CREATE TABLE {table} ({declared})")
        db.execute(f"INSERT INTO {table} SELECT * FROM before")
        db.execute("DROP TABLE before")


def proven():
    assert [f.sentence() for f in verify(VerifyOptions(jobs=1)).findings.kept] == []
    assert differences() == {}


COPY = "INSERT INTO {0} ({1}, {2}) SELECT ?, {2} FROM {0} WHERE typeof({1}) = '{3}' LIMIT 1"


@pytest.mark.slow(later=True)
@pytest.mark.parametrize(
    ("file", "table", "storage"),
    [
        pytest.param(
            *("accuracy_scores.db", "accuracy_scores", "integer"),
            marks=pytest.mark.only_files("accuracy"),
        ),
        pytest.param(
            *("continuum_memory.db", "tier_metrics", "text"),
            marks=pytest.mark.only_files("continuum"),
        ),
    ],
)
def test_keys_that_read_like_numbers(legacy, file, table, storage):
    data = legacy(rows=20)
    if storage == "integer":
        without_type(data, file, table)
    with closing(sqlite3.connect(data / file)) as db:
        key, *others = [row[1] for row in db.execute(f"PRAGMA table_info({table})")]
    copy = COPY.format(table, key, ", ".join(others), storage)
    first, second = ODD_KEYS[::2], ODD_KEYS[1::2]
    with closing(sqlite3.connect(data / file)) as db, db:
        db.executemany(copy, [(key,) for key in first])
    assert run_import().conserved
    proven()
    install_capture("default", ALL)
    follow(ONCE)
    with closing(sqlite3.connect(data / file)) as db, db:
        db.executemany(copy, [(key,) for key in second])
    follow(ONCE)
    proven()
    with closing(sqlite3.connect(data / file)) as db, db:
        db.executemany(f"DELETE FROM {table} WHERE {key} = ?", [(key,) for key in first])
    follow(ONCE)
    proven()
    cut_over()
    roll_back()
    follow(ONCE)
    proven()


def nested(levels, core="1", opening="["):
    """A document of so many levels, its innermost value one of them."""
    closing = "]" if opening == "[" else "}"
    return opening * (levels - 1) + core + closing * (levels - 1)


DEPTHS = (253, 254, 255, 256, 498, 499, 500, 501, 502, 990, 1023, 1024, 1025, 20_000)
DEEP = (
    *(nested(levels) for levels in DEPTHS),
    *(nested(levels, opening='{"a":') for levels in DEPTHS),
    *(nested(levels, core) for levels in (254, 499, 500, 501) for core in ("NaN", '"\\u0000"')),
    *(nested(levels, '{"a":1,"a":[]}') for levels in (253, 254, 498, 499, 500)),
    *(f'{{"b":"{"x" * 2000}","a":{nested(levels)}}}' for levels in (254, 499, 500)),
)
NUMBERS = (
    "1e308", "1e309", "-1e400", "1e5000", "9" * 4300, "-" + "9" * 4301, "1e4299", "1e4300",
    "1e131071", "1e131072", "9" * 131_072, "9" * 131_073, "1.5e400", "9" * 400 + ".5", "-0.0",
    f"0.{'0' * 16_382}1", f"0.{'0' * 16_383}1", "1e-16383", "1e-16384", "0e999999", "-0e5",
    "1e999999999999999999999", "1e-999999999999999999999", "0." + "123456789" * 40, "1E400",
)  # fmt: skip
TEXTS = (
    f'{{"{"k" * 300_000}": 1}}', '{"a\\u0000b": 1, "a\\ufffdb": 2}',
    '["\\ud800", "\\udc00\\ud800"]', '{"\\ud83d\\ude00": "\\ud83d"}',
    '"' + "\\u0000" * 3000 + '"', "[1,]", "{", "", " ", "\x00",
    "[\x01]", "\ufeff{}", "Infinity", "-Infinity", "nan", "+1", "01", "1.", ".5", "0x10", "1_000",
    "٣", "[٣]", '{"a":1}}', "[" * 3000, '{"a":' * 3000, "tru", "null", "[]" * 2, "\x0b1", "1\x00",
)  # fmt: skip
DOCUMENTS = [*DEEP, *NUMBERS, *(f'{{"n": [{number}]}}' for number in NUMBERS), *TEXTS]
ADD = "INSERT INTO learning_sessions (session_type, content_learned, metadata) VALUES (?, ?, ?)"


def write_documents(data, found):
    with closing(sqlite3.connect(data / "knowledge_retention.db")) as db, db:
        db.executemany(ADD, [("odd", "x", document) for document in found])


def stored_documents(data):
    with closing(sqlite3.connect(data / "knowledge_retention.db")) as db:
        db.text_factory = bytes
        return dict(db.execute("SELECT id, metadata FROM learning_sessions"))


# A block of documents is looked at as a whole: one that is plainly too deep hides the others.
BLOCKS = {
    "254": [nested(254), nested(255, opening='{"a":')],
    "499": [nested(499), nested(500, opening='{"a":')],
    "all": DOCUMENTS,
}


@pytest.mark.slow
@pytest.mark.parametrize("block", BLOCKS)
@pytest.mark.only_files("knowledge")
def test_documents_at_every_limit(legacy, block):
    data = legacy(rows=5)
    found = BLOCKS[block]
    write_documents(data, found[::2])
    assert run_import().conserved
    proven()
    install_capture("default", ALL)
    follow(ONCE)
    write_documents(data, found[1::2])
    follow(ONCE)
    proven()
    stored = stored_documents(data)
    cut_over()
    with connection.cursor() as cursor:
        cursor.execute("UPDATE knowledge.learning_sessions SET content_learned = 'y'")
        cursor.execute(
            "INSERT INTO knowledge.learning_sessions (session_type, content_learned, metadata) "
            "SELECT 'copied', 'y', metadata FROM knowledge.learning_sessions"
        )
    roll_back()
    proven()
    after = stored_documents(data)
    assert {key: after[key] for key in stored} == stored
    assert len(after) > len(stored)


class AsText(bytes):
    """Bytes to be stored as a text, whatever they are."""


ODD_CELLS = (
    0.0, -0.0, 5e-324, 1.7976931348623157e308, float("inf"), -float("inf"), 1e22,
    123456789.9876543, 0, -1, 2**31 - 1, 2**31, -(2**63), 2**63 - 1, 1_700_000_000,
    1_700_000_000_123, 2_460_000.5, b"", b"\x00\xff", b"5", AsText(b"\xff"),
    AsText(b"\xed\xa0\x80"), AsText(b"a\x00b"), "x" * 9_000, "", " ", "\n", "\\.", "\\N", '"',
    "'", "\ufeff", "\u202e", "\U0010ffff", AsText(b"\xc3"), "½", "5", "+5", "--5", " 5", "5\n",
    "1_0", "0x10", "1e3", "5.0", ".5", "5.", "٣", "²", "9" * 5_000, "1" + "0" * 400,
    "-" + "0" * 5_000 + "7", "1e400", "1e-400", "-1e999999999", "1e" + "9" * 30, "nan", "inf",
    "Infinity", "0001-01-01", "0000-01-01", "9999-12-31", "10000-01-01", "-0001-01-01",
    "2025-02-30", "2025-13-01", "٢٠٢٥-٠١-٠١", "2025-01-01 ٠٠:٠٠:٠٠", "²025-01-01", "J2460000",
    "2025-01-01T24:00:00", "2025-01-01 00:00:60", "0001-01-01T00:00:00", "2025-01-01T00:00:00.²",
    "9999-12-31T23:59:59.999999", "9999-12-31 23:59:59-15:59", "0001-01-01 00:00:00+15:59",
    "2025-01-01T00:00:00." + "1" * 5_000, "2025-01-01T00:00:00." + "0" * 5_000,
    "2025-01-01 00:00:00+99:99", "2025-01-01 00:00:00 +٠٧:٠٠", "2025-01-01 00:00:00 BC",
    "infinity", "now", "epoch", "today", "allballs", "BC",
)  # fmt: skip


def untyped(data, file):
    """Every table of a file with its integer or text key, and no other type."""
    with closing(sqlite3.connect(data / file, isolation_level=None)) as db:
        for model in legacy_models():
            if FILES[model.legacy.file] != file:
                continue
            table = model._meta.db_table
            declared = [
                f"{c.column} {'TEXT' if isinstance(c.kind, TextKey) else 'INTEGER'} PRIMARY KEY"
                if c.primary_key
                else str(c.column)
                for c in model.columns()
            ]
            db.execute(f"DROP TABLE {table}")
            db.execute(f"CREATE TABLE {table} ({', '.join(declared)})")
            yield db, model, table


GOOD = {
    "Timestamp": "2025-01-01 00:00:00", "Date": "2025-01-01", "Json": "{}", "Real": 0.5,
    "Integer": 5, "Text": "L1", "Reference": 1,
}  # fmt: skip


def odd_rows(model, start):
    """A row for each column and each odd value in it."""
    key, *others = (str(c.column) for c in model.columns())
    good = {str(c.column): GOOD.get(type(c.kind).__name__) for c in model.columns()}
    number = start
    for name in others:
        for value in ODD_CELLS:
            number += 1
            is_text = isinstance(next(iter(model.columns())).kind, TextKey)
            yield {**good, key: f"k{number}" if is_text else number, name: value}


def put_rows(db, table, rows):
    with db:
        db.execute("BEGIN")
        for row in rows:
            marks = ["CAST(? AS TEXT)" if isinstance(v, AsText) else "?" for v in row.values()]
            values = [bytes(v) if isinstance(v, AsText) else v for v in row.values()]
            db.execute(
                f"INSERT INTO {table} ({', '.join(row)}) VALUES ({', '.join(marks)})", values
            )


@pytest.mark.long
@pytest.mark.parametrize(
    "file",
    [
        "accuracy_scores.db",
        pytest.param("continuum_memory.db", marks=pytest.mark.slow(later=True)),
        pytest.param("knowledge_retention.db", marks=pytest.mark.slow(later=True)),
        pytest.param("rss_fetch_history.db", marks=pytest.mark.slow(later=True)),
    ],
)
def test_any_odd_value_in_any_column(legacy, tmp_path, file):
    data = legacy(rows=5)
    for other in data.glob("*.db"):
        if other.name != file:
            other.unlink()
    for db, model, table in untyped(data, file):
        put_rows(db, table, odd_rows(model, 0))
    result = run_import(chunk_rows=5_000)
    assert result.conserved
    proven()
    install_capture("default", ALL)
    follow(ONCE)
    with closing(sqlite3.connect(data / file, isolation_level=None)) as db:
        for model in legacy_models():
            if FILES[model.legacy.file] == file:
                put_rows(db, model._meta.db_table, odd_rows(model, 10_000))
    follow(ONCE)
    proven()
