"""Django's fields make the whole journey: Django itself writes the file, and reads it afterwards.

One column per kind. Import without a repair, proof at full and round trip, a planted error in each
column, strange values, following, cut-over, writes through the ORM, and the way back.
"""

from __future__ import annotations

import sqlite3
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from django.apps.registry import Apps
from django.db import connection, connections, models
from django.db.backends.sqlite3.base import DatabaseWrapper

from stillme.transfer import kinds, registry
from stillme.transfer.inventory.selection import Selection
from stillme.transfer.legacy import Column, LegacyModel
from stillme.transfer.models import CarriedCell, KeptCell, QuarantinedRow
from stillme.transfer.postgresql import capture as reverse
from stillme.transfer.postgresql.capture import target_tables
from stillme.transfer.steps.follow import FollowOptions, follow
from stillme.transfer.steps.inspect import inspect_files
from stillme.transfer.steps.install_capture import install_capture
from stillme.transfer.verify.result import VerifyResult
from tests.transfer.load.support import query, run_import
from tests.transfer.sync.switching import cut_over, roll_back
from tests.transfer.verify.support import judge

OURS = Selection(files=("accuracy",))
HERE, OLD, LEGACY = Apps([]), Apps([]), Apps([])
TABLE = "accuracy.things"


class Things(models.Model):
    """A column per kind, on both sides."""

    done = models.BooleanField(null=True)
    price = models.DecimalField(max_digits=10, decimal_places=2, null=True)
    at = models.DateTimeField(null=True)
    day = models.DateField(null=True)
    clock = models.TimeField(null=True)
    span = models.DurationField(null=True)
    code = models.UUIDField(null=True)
    raw = models.BinaryField(null=True)
    doc = models.JSONField(null=True)
    host = models.GenericIPAddressField(null=True)
    slug = models.SlugField(max_length=8, null=True)
    small = models.PositiveSmallIntegerField(null=True)
    big = models.BigIntegerField(null=True)

    class Meta:
        abstract = True


class Thing(Things):
    """The target."""

    class Meta:
        apps = HERE
        app_label = "accuracy"
        db_table = '"accuracy"."things"'


class OldThing(Things):
    """The file, as Django on SQLite has it."""

    class Meta:
        apps = OLD
        app_label = "accuracy"
        db_table = "things"


class LegacyThing(LegacyModel):
    """The same file, as the engine reads it."""

    id = Column(kinds.Key(), "integer NOT NULL PRIMARY KEY AUTOINCREMENT")
    done = Column(kinds.Boolean(), "bool")
    price = Column(kinds.Decimal(10, 2), "decimal")
    at = Column(kinds.Moment(), "datetime")
    day = Column(kinds.Day(), "date")
    clock = Column(kinds.TimeOfDay(), "time")
    span = Column(kinds.Duration(), "bigint")
    code = Column(kinds.Uuid(), "char(32)")
    raw = Column(kinds.Binary(), "BLOB")
    doc = Column(kinds.Json(), "text")
    host = Column(kinds.Address(), "char(39)")
    slug = Column(kinds.Text(max_length=8), "varchar(8)")
    small = Column(kinds.Integer(0, 32767), "smallint unsigned")
    big = Column(kinds.Integer(-(2**63), 2**63 - 1), "bigint")

    class Meta(LegacyModel.Meta):
        apps = LEGACY
        app_label = "accuracy"
        db_table = "things"

    class Legacy:
        file = "accuracy"
        target = "accuracy.Thing"

    @classmethod
    def target_model(cls) -> type[models.Model]:
        """Not in Django's registry."""
        return Thing


NAMES = [field.name for field in Thing._meta.fields[1:]]
NOW = datetime(2025, 11, 20, 10, 11, 12, 345678, tzinfo=UTC)
# A row each, as Django takes it: what is usual, and the ends of each field.
ROWS: list[tuple[Any, ...]] = [
    (None,) * len(NAMES),
    (True, Decimal("12.50"), NOW, date(2024, 2, 29), time(10, 11, 12, 120000), timedelta(1, 2, 3),
     uuid.UUID(int=1), b"\x00\xff", {"a": [1, 2.5, None, "é"]}, "192.0.2.1", "slug", 7, 2**62),
    (False, Decimal("12.00"), NOW.replace(microsecond=0), date(1, 1, 1), time(0), timedelta(0),
     uuid.UUID(int=2**128 - 1), b"", None, "::", "", 0, -(2**63)),
    (True, Decimal("-99999999.99"), datetime.min.replace(tzinfo=UTC), date.max, time.max,
     timedelta(microseconds=-1), uuid.uuid5(uuid.NAMESPACE_DNS, "x"), b"12345678", [],
     "2001:db8::1", "äöü🧠1234", 32767, 2**63 - 1),
    (True, Decimal("0.01"), datetime.max.replace(tzinfo=UTC), date(2025, 1, 1), time(23, 59, 59),
     timedelta(hours=25), uuid.UUID(int=0), bytes(range(256)), "text", "::ffff:192.0.2.1", "a,b\"'",
     1, 0),
    (False, Decimal("-0.10"), NOW, date(2025, 1, 1), time(1), timedelta(days=-1), uuid.UUID(int=5),
     b"\n\x01,", 0, "1:0:2:3:4:5:6:7", "\x01\n", 2, 1),
]  # fmt: skip

# What is set back to what it was after the judge has found it: column -> another value, in SQL.
PLANTED = {
    "done": "NOT done",
    "price": "price + 0.01",
    "at": "at + interval '1 microsecond'",
    "day": "day + 1",
    "clock": "clock + interval '1 microsecond'",
    "span": "span + interval '1 month'",
    "code": "'00000000-0000-0000-0000-000000000009'",
    "raw": r"raw || '\x00'",
    "doc": "'{}'",
    "host": "set_masklen(host, 8)",
    "slug": "slug || ' '",
    "small": "small + 1",
    "big": "big + 1",
}

CODE = "0123abcd-0123-4567-89ab-0123456789ab"
# column, what another program wrote there -> what the target shows and why, or why it is set aside
STRANGE: list[tuple[str, Any, str | None, str]] = [
    ("done", "true", "true", "boolean_text"),
    ("done", 2, None, "not_a_boolean"),
    ("price", "abc", None, "not_a_number"),
    ("price", 0.125, None, "beyond_places"),
    ("price", 1e12, None, "out_of_range"),
    ("at", "2025-01-02T03:04:05+01:00", "2025-01-02 02:04:05+00", "time_shape"),
    ("at", "2025-02-30 00:00:00", None, "unreadable_time"),
    ("day", "2025-01-02 00:00:00", "2025-01-02", "time_shape"),
    ("day", "2025-02-30", None, "unreadable_time"),
    ("clock", "10:11", "10:11:00", "time_shape"),
    ("clock", "24:00:00", None, "unreadable_time"),
    ("span", "1 day", None, "not_a_number"),
    ("span", 1.5, None, "not_whole"),
    ("code", CODE.upper(), CODE, "uuid_shape"),
    ("code", "0123", None, "not_a_uuid"),
    ("raw", "text", r"\x74657874", "text_in_binary"),
    ("raw", 5, None, "not_binary"),
    ("doc", "not json", '"not json"', "not_json"),
    ("host", "2001:DB8::1", "2001:db8::1/128", "address_shape"),
    ("host", "300.1.1.1", None, "not_an_address"),
    ("slug", "12345678 ", None, "too_long"),
    ("small", -1, None, "out_of_range"),
    ("big", "x", None, "not_a_number"),
]  # fmt: skip


@pytest.fixture
def file(
    transactional_db: None,
    tmp_path: Path,
    use_legacy_files: Callable[[Path], None],
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Path]:
    """The file that Django on SQLite has written, which is the database `old`; an empty target."""
    use_legacy_files(tmp_path)
    path = tmp_path / "accuracy_scores.db"
    monkeypatch.setattr(registry, "legacy_apps", LEGACY)
    settings = {**connections["default"].settings_dict, "NAME": str(path), "OPTIONS": {}}
    connections["old"] = DatabaseWrapper(settings, "old")
    with connections["old"].schema_editor() as editor:
        editor.create_model(OldThing)
    for values in ROWS:
        OldThing.objects.using("old").create(**dict(zip(NAMES, values, strict=True)))
    connections["old"].close()
    with connection.schema_editor() as editor:
        editor.create_model(Thing)
    yield path
    connections["old"].close()
    del connections["old"]
    reverse.remove("default", target_tables(["accuracy"]))
    reverse.unfreeze_target("default", target_tables(["accuracy"]))
    query(f"DROP TABLE {TABLE}")


def objects(model: type[models.Model], alias: str) -> list[tuple[Any, ...]]:
    """What Django reads, with its types."""
    rows = model._default_manager.using(alias).order_by("pk").values_list("pk", *NAMES)
    found = [tuple(bytes(v) if isinstance(v, memoryview) else v for v in row) for row in rows]
    connections[alias].close()
    return found


def stored(path: Path) -> list[tuple[Any, ...]]:
    """Storage classes and values of every cell."""
    with closing(sqlite3.connect(path)) as db:
        cells = ", ".join(f"typeof({name}), {name}" for name in NAMES)
        return db.execute(f"SELECT id, {cells} FROM things ORDER BY id").fetchall()


def check_equal() -> VerifyResult:
    """The judge finds nothing but open rows, and rebuilds every cell bit by bit."""
    proof = judge(selection=OURS, round_trip=True)
    assert not proof.findings.total, [f.sentence() for f in proof.findings.kept]
    trips = [table.round_trip for table in proof.tables if table.round_trip]
    assert trips
    assert not any(trip.findings or trip.spelled_otherwise for trip in trips)
    return proof


def test_what_django_wrote(file: Path) -> None:
    before = stored(file)
    predicted = inspect_files(OURS).tables[0].prediction
    run_import(selection=OURS)
    assert not QuarantinedRow.objects.exists()
    assert not KeptCell.objects.exists()
    assert (predicted.repaired, predicted.quarantined) == (0, 0)
    assert objects(Thing, "default") == objects(OldThing, "old")
    proof = check_equal()
    # An IPv4 address inside an IPv6 one is compared on its own; all others by block.
    assert sum(table.by_cell for table in proof.tables) == 1
    assert stored(file) == before


def test_an_error_in_each_column_is_found(file: Path) -> None:
    run_import(selection=OURS)
    for name, other in PLANTED.items():
        query(f"CREATE TEMP TABLE kept AS SELECT id, {name} FROM {TABLE} WHERE id = 2")
        query(f"UPDATE {TABLE} SET {name} = {other} WHERE id = 2")
        found = judge(selection=OURS).findings.kept
        assert [(f.where, f.key) for f in found] == [(f"{TABLE}:{name}", "2")], name
        query(f"UPDATE {TABLE} t SET {name} = kept.{name} FROM kept WHERE t.id = kept.id")
        query("DROP TABLE kept")
    columns = ("done", "price", "span", "doc")
    query(f"UPDATE {TABLE} SET done = false, price = 0, span = '0', doc = 'null' WHERE id = 1")
    found = judge(selection=OURS).findings.kept
    assert {f.where for f in found} == {f"{TABLE}:{name}" for name in columns}


@pytest.mark.slow
def test_strange_values_of_each_kind(file: Path) -> None:
    run_import(selection=OURS)
    install_capture("default", OURS)
    with closing(sqlite3.connect(file)) as db:
        db.execute("PRAGMA ignore_check_constraints = ON")
        for name, value, _, _ in STRANGE:
            db.execute(f"INSERT INTO things ({name}) VALUES (?)", [value])
        db.commit()
    keys = range(len(ROWS) + 1, len(ROWS) + len(STRANGE) + 1)
    check = {str(key): case for key, case in zip(keys, STRANGE, strict=True)}
    follow(FollowOptions(OURS, once=True))
    check_fates(check)
    check_equal()
    run_import(selection=OURS, overwrite=True)
    check_fates(check)
    check_equal()


def check_fates(expected: dict[str, tuple[str, Any, str | None, str]]) -> None:
    """Each row is loaded with its original kept, or set aside, for the reason that is expected."""
    aside = {row.key: (row.column, row.reason) for row in QuarantinedRow.objects.all()}
    kept = {cell.key: (cell.column, cell.reason) for cell in KeptCell.objects.all()}
    for key, (name, _, shown, reason) in expected.items():
        found = query(f"SELECT {name}::text FROM {TABLE} WHERE id = {key}")
        if shown is None:
            assert (found, aside.pop(key)) == ([], (name, reason))
        else:
            assert (found, kept.pop(key)) == ([(shown,)], (name, reason))
    assert (aside, kept) == ({}, {})


def test_there_and_back(file: Path) -> None:
    install_capture("default", OURS)
    run_import(selection=OURS)
    follow(FollowOptions(OURS, once=True))
    before = stored(file)
    cut_over()
    for thing in Thing.objects.order_by("pk"):
        thing.pk = None
        thing.save(force_insert=True)
    Thing.objects.filter(pk=2).update(**dict(zip(NAMES, ROWS[4], strict=True)))
    Thing.objects.filter(pk=5).update(**dict(zip(NAMES, ROWS[0], strict=True)))
    Thing.objects.filter(pk=1).update(price=Decimal("7.70"), at=NOW, raw=b"\xff", span=timedelta(5))
    wanted = objects(Thing, "default")
    roll_back()
    assert objects(OldThing, "old") == wanted
    after = {row[0]: row[1:] for row in stored(file)}
    assert [(key, after[key]) for key in (3, 4, 6)] == [
        (r[0], r[1:]) for r in before if r[0] in (3, 4, 6)
    ]
    # Copies of rows have the same cells, to the bit.
    assert [after[key] for key in range(7, 13)] == [row[1:] for row in before]
    check_equal()


def test_what_the_file_cannot_say_is_kept(file: Path) -> None:
    install_capture("default", OURS)
    run_import(selection=OURS)
    follow(FollowOptions(OURS, once=True))
    cut_over()
    query(f"UPDATE {TABLE} SET span = '1 mon', raw = 'new' WHERE id = 2")
    query(f"UPDATE {TABLE} SET host = '10.0.0.0/8' WHERE id = 3")
    query(f"UPDATE {TABLE} SET price = 'NaN', clock = '24:00' WHERE id = 4")
    roll_back()
    told = CarriedCell.objects.values_list("key", "column", "value", "reason")
    assert set(told) == {
        ("2", "span", "1 mon = 2592000000000", "months"),
        ("3", "host", "10.0.0.0/8", "not_an_address"),
        ("4", "price", "NaN", "not_a_number"),
        ("4", "clock", "24:00:00", "beyond_the_calendar"),
    }
    second = OldThing.objects.using("old").get(pk=2)
    assert (second.span, bytes(second.raw)) == (timedelta(30), b"new")
    # The target now says what the file says.
    assert query(f"SELECT span::text FROM {TABLE} WHERE id = 2") == [("30 days",)]
    aside = {row.key: (row.column, row.reason) for row in QuarantinedRow.objects.all()}
    assert aside == {"3": ("host", "not_an_address"), "4": ("clock", "unreadable_time")}
    check_equal()
