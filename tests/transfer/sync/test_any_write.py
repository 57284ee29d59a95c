"""Random writes on the hostile files, by the old application and on PostgreSQL: nothing is lost.

`STILLME_WALKS=40 pytest tests/transfer/sync/test_any_write.py` walks more often.
"""

from __future__ import annotations

import os
import random
import sqlite3
import threading
from contextlib import closing, suppress

import pytest
from django.db import DatabaseError, connection, transaction

from stillme.demo.samples.hostile.files import make_hostile
from stillme.postgresql.statements import fetch_all
from stillme.transfer.findings import ignore_event
from stillme.transfer.inventory.selection import Selection
from stillme.transfer.models import CarriedCell, LeftByDecision, QuarantinedRow
from stillme.transfer.records import ledger
from stillme.transfer.registry import legacy_files, legacy_models
from stillme.transfer.steps.follow import FollowOptions, follow
from stillme.transfer.steps.following.follower import Follower
from stillme.transfer.steps.install_capture import install_capture
from tests.campaigns import SEED, size

from .equal import differences, unequal
from .switching import cut_over, roll_back
from .test_clock import kinds

WALKS = range(SEED, SEED + int(os.environ.get("STILLME_WALKS", "1")))
ONCE = FollowOptions(once=True)
pytestmark = pytest.mark.slow(campaign=True)


@pytest.fixture
def hostile(clean_target, use_legacy_files, tmp_path):
    make_hostile(tmp_path / "data")
    use_legacy_files(tmp_path / "data")
    # A trigger of the user's own writes there.
    LeftByDecision.objects.create(file="knowledge", name="my_notes", note="the user's own")
    install_capture("default", Selection())
    follow(ONCE)
    assert differences() == {}


def key_of(table):
    return "item_id" if table == "tier_metrics" else "id"


def legacy_write(rng, file, db):
    """One statement of the old application: cells copied from row to row, rows copied and moved."""
    table = rng.choice(list(legacy_models(file.name)))._meta.db_table
    key = key_of(table)
    names = [row[1] for row in db.execute(f'PRAGMA table_info("{table}")') if row[1] != key]
    column, every = rng.choice(names), ", ".join(f'"{name}"' for name in names)

    def some(rows):
        order = f"(rowid * {rng.randrange(1, 9973)}) % {rng.randrange(2, 97)}"
        return f'(SELECT rowid FROM "{table}" ORDER BY {order}, rowid LIMIT {rows})'

    new_key = rng.choice((-5, 3, 7, 2**40)) if key == "id" else repr(rng.choice("aAb"))
    copied = "NULL" if key == "id" else f"{key} || 'y{rng.randrange(99)}'"
    change = (
        f'UPDATE OR IGNORE "{table}" SET "{column}" = (SELECT "{column}" FROM "{table}" '
        f"WHERE rowid IN {some(1)}) WHERE rowid IN {some(rng.choice((1, 1, 3, 600)))}"
    )
    return rng.choice(
        (
            change,
            change,
            change,
            f'DELETE FROM "{table}" WHERE {key} IS NOT NULL AND rowid IN {some(2)}',
            f'INSERT OR IGNORE INTO "{table}" ({key}, {every}) SELECT {copied}, {every} '
            f'FROM "{table}" WHERE {key} IS NOT NULL AND rowid IN {some(2)}',
            f'UPDATE OR REPLACE "{table}" SET {key} = {new_key} WHERE rowid IN {some(1)}',
            f'UPDATE OR REPLACE "{table}" SET {key} = {key} WHERE rowid IN {some(5)}',
        )
    )


@pytest.mark.parametrize("seed", WALKS)
def test_whatever_the_old_application_writes_is_followed(hostile, seed):
    rng = random.Random(seed)
    files = list(legacy_files())
    run = ledger.start_run("default", "sync_sqlite", {})
    follower = Follower(FollowOptions(once=True), files, run, ignore_event)
    follower.open()
    try:
        for number in range(size(20, 40)):
            file, done = rng.choice(files), []
            with closing(sqlite3.connect(file.path)) as db:
                for _ in range(rng.choice((1, 1, 2, 8))):
                    # A number beyond the greatest of all is "full".
                    with suppress(sqlite3.IntegrityError, sqlite3.OperationalError):
                        done.append(legacy_write(rng, file, db))
                        db.execute(done[-1])
                db.commit()
            follower.run(threading.Event())
            assert unequal(file) == {}, (number, done)
    finally:
        follower.close()
    assert differences() == {}
    assert kinds() == set()


TIMES = ("2026-03-29 00:30:00.5+00", "infinity", "0001-01-01 00:00+00", "9999-12-31 23:59+00")


def target_write(rng):
    """One statement on PostgreSQL."""
    model = rng.choice(list(legacy_models())).target_model()
    table, key = model._meta.db_table, model._meta.pk.column
    fields = [f for f in model._meta.concrete_fields if f.column != key]
    names = ", ".join(f'"{f.column}"' for f in fields)
    column = rng.choice(fields).column
    times = [f.column for f in fields if f.get_internal_type() == "DateTimeField"]

    def some():
        return f"(SELECT {key} FROM {table} ORDER BY md5({key}::text || '{rng.random()}') LIMIT 1)"

    change = (
        f'UPDATE {table} SET "{column}" = (SELECT "{column}" FROM {table} WHERE {key} = {some()}) '
        f"WHERE {key} = {some()}"
    )
    copy = f"INSERT INTO {table} ({names}) SELECT {names} FROM {table} WHERE {key} = {some()}"
    if key == "item_id":
        copy = copy.replace("(", f"({key}, ", 1).replace("SELECT", f"SELECT {key} || 'x',", 1)
    return rng.choice(
        (
            change,
            change,
            change,
            copy,
            f"DELETE FROM {table} WHERE {key} = {some()}",
            f"UPDATE {table} SET {key} = {key} WHERE {key} = {some()}",
            f"UPDATE {table} SET \"{rng.choice(times)}\" = '{rng.choice(TIMES)}' "
            f"WHERE {key} = {some()}",
            f"TRUNCATE {table} CASCADE" if rng.random() < 0.2 else change,
        )
    )


def legacy_rows():
    """(table, key as text, storage class of it) -> the cells of its rows, byte for byte."""
    found = {}
    for file in legacy_files():
        with closing(sqlite3.connect(file.path)) as db:
            db.text_factory = bytes
            for model in legacy_models(file.name):
                table, key = model._meta.db_table, key_of(model._meta.db_table)
                names = [row[1].decode() for row in db.execute(f'PRAGMA table_info("{table}")')]
                cells = ", ".join(f'"{n}", typeof("{n}")' for n in names)
                query = f'SELECT typeof({key}), {key}, {cells} FROM "{table}" ORDER BY rowid'
                for storage, value, *row in db.execute(query):
                    name = value.decode("utf-8", "replace") if type(value) is bytes else str(value)
                    at = (table, name.replace("\0", "\ufffd"), storage.decode())
                    found.setdefault(at, []).append(row)
    return found


def target_rows():
    """(legacy table, key as text) -> the row as PostgreSQL prints it."""
    found = {}
    for model in legacy_models():
        target = model.target_model()._meta
        query = f"SELECT {target.pk.column}::text, t::text FROM {target.db_table} AS t"
        found |= {(model._meta.db_table, k): row for k, row in fetch_all(connection, query)}
    return found


@pytest.mark.parametrize("seed", WALKS)
def test_whatever_is_written_on_postgresql_goes_back(hostile, seed):
    """The target holds after the way back what it held before, but for what is told.

    Legacy rows that were set aside, or not written to, are in the file as they were.
    """
    rng = random.Random(seed)
    cut_over()
    legacy = legacy_rows()
    undecided = QuarantinedRow.objects.exclude(status="repaired")
    for _ in range(size(30, 60)):
        with suppress(DatabaseError), transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(target_write(rng))
    before = target_rows()
    carried = {(t.table, key.spelled()) for t in roll_back().tables for key in t.keys}
    told = set(CarriedCell.objects.values_list("table", "key"))
    orphans = undecided.filter(reason="missing_parent").values_list("table", "key")
    after = target_rows()
    for at in told | set(orphans):
        before.pop(at, None)
        after.pop(at, None)
    assert after == before
    now = legacy_rows()
    for (table, key, storage), rows in legacy.items():
        if (table, key) not in carried:
            assert now.get((table, key, storage)) == rows, (table, key)
    assert differences() == {}
    assert kinds() == set()
