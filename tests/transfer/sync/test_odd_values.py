"""One odd value in a cell or a key: import, proof, replay and way back all end in order."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest
from django.db import connection

from stillme.transfer.selection import Selection
from stillme.transfer.steps.capture import install_capture
from stillme.transfer.steps.follow import FollowOptions, follow
from stillme.transfer.verify.run import VerifyOptions, verify
from tests.transfer.load.support import run_import

from .equal import differences
from .switching import cut_over, roll_back

ALL, ONCE = Selection(), FollowOptions(once=True)
# What int(), isdigit() and SQLite each read as a number, or do not.
ODD_KEYS = (
    "²", "٣", "--5", "+5", " 5", "5 ", "5\n", "1_000", "0x10", "5.0", "1e3", "-", "", "9" * 5000,
    "007", "-0", "5", "½", "\uff15", "inf", "nan", "99999999999999999999", 2.5, 1e300, b"5",
    b"\xff",
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


@pytest.mark.parametrize(
    ("file", "table", "storage"),
    [
        ("accuracy_scores.db", "accuracy_scores", "integer"),
        ("continuum_memory.db", "tier_metrics", "text"),
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


@pytest.mark.parametrize("block", BLOCKS)
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
