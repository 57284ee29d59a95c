"""One odd value in a cell or a key: import, proof, replay and way back all end in order."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest

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
