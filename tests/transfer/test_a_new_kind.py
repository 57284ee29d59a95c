"""A tenth kind, declared here: two classes and two lines, and its table makes the whole journey.

Its target is a `boolean`; the legacy stores 0 and 1 in a column without a type, so that a text
stays a text.
"""

from __future__ import annotations

import inspect
import re
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pytest
from django.apps.registry import Apps
from django.db import connection, models

from stillme.transfer import kinds, registry
from stillme.transfer.inventory.selection import Selection
from stillme.transfer.kinds import Key, Kind, Text
from stillme.transfer.legacy import Column, LegacyModel
from stillme.transfer.models import QuarantinedRow
from stillme.transfer.postgresql import capture as reverse
from stillme.transfer.postgresql.capture import target_tables
from stillme.transfer.steps.follow import FollowOptions, follow
from stillme.transfer.steps.inspect import inspect_files
from stillme.transfer.steps.install_capture import install_capture
from stillme.transfer.steps.kinds import LOADERS
from stillme.transfer.steps.kinds.base import Cell, KindLoader, Refused, Rendered, repaired
from stillme.transfer.verify.kinds import JUDGES
from stillme.transfer.verify.kinds.base import Expected, KindJudge, MustBeSetAside
from tests.transfer.load.support import change, query, run_import
from tests.transfer.sync.switching import cut_over, roll_back
from tests.transfer.verify.support import judge

OURS = Selection(files=("accuracy",))


@dataclass(frozen=True, slots=True)
class Boolean(Kind):
    """False or true, stored as 0 or 1."""

    words: ClassVar[str] = "yes or no"
    storage: ClassVar[str] = "integer"

    def sample(self, number: int) -> int:
        return number % 2


class BooleanLoader(KindLoader[Boolean]):
    """PostgreSQL reads 0 and 1 as booleans."""

    compared = "{}"

    def common_test(self, column, table):
        return f"{super().common_test(column, table)} AND ifnull({column.legacy} IN (0, 1), 1)"

    def convert(self, storage, raw, row):
        if storage == "integer" and raw in (0, 1):
            return Cell(str(raw))
        if storage == "text" and raw in (b"0", b"1"):
            return repaired(raw.decode(), "numeric_text")
        raise Refused("out_of_range", "Neither 0 nor 1.")

    def spell_back(self, value, clock, *, required, explicit):
        return Rendered(int(value))


class BooleanJudge(KindJudge[Boolean]):
    """Compared as Python's own."""

    def expect(self, storage, raw, around):
        meant = {("integer", 0): False, ("integer", 1): True}.get((storage, raw))
        if meant is not None:
            return Expected(meant)
        if storage == "text" and raw in (b"0", b"1"):
            return Expected(raw == b"1", "numeric_text")
        raise MustBeSetAside("out_of_range")

    def plain_test(self, column, table):
        return f"{column.legacy} IS NULL OR ({column.legacy} IN (0, 1) AND " + (
            f"typeof({column.legacy}) = 'integer')"
        )

    def target_piece(self, name):
        return f"coalesce({name}::int || ';', '-')"

    def rebuilt(self, value, clock):
        return "integer", int(value)


FLAGS, TARGETS = Apps([]), Apps([])


class Flag(models.Model):
    """The target."""

    id = models.BigAutoField(primary_key=True)
    name = models.TextField()
    is_done = models.BooleanField(null=True)
    legacy_extra = models.JSONField(null=True)

    class Meta:
        apps = TARGETS
        app_label = "accuracy"
        db_table = '"accuracy"."flags"'


class LegacyFlag(LegacyModel):
    """Table `flags` of the file `accuracy`."""

    id = Column(Key(), "INTEGER PRIMARY KEY AUTOINCREMENT")
    name = Column(Text(), "TEXT NOT NULL")
    is_done = Column(Boolean(), "")

    class Meta(LegacyModel.Meta):
        apps = FLAGS
        app_label = "accuracy"
        db_table = "flags"

    class Legacy:
        file = "accuracy"
        target = "accuracy.Flag"

    @classmethod
    def target_model(cls) -> type[models.Model]:
        """Not in Django's registry."""
        return Flag


@pytest.fixture
def folder(
    transactional_db: None,
    tmp_path: Path,
    use_legacy_files: Callable[[Path], None],
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Path]:
    """A file with six flags; the line that registers each of the two classes."""
    use_legacy_files(tmp_path)
    monkeypatch.setattr(registry, "legacy_apps", FLAGS)
    monkeypatch.setitem(LOADERS, Boolean, BooleanLoader)
    monkeypatch.setitem(JUDGES, Boolean, BooleanJudge)
    with connection.schema_editor() as editor:
        editor.create_model(Flag)
    with closing(sqlite3.connect(tmp_path / "accuracy_scores.db")) as db:
        db.execute(
            "CREATE TABLE flags (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL, is_done)"
        )
        for value in (0, 1, None, "1", 7, b"1"):
            db.execute("INSERT INTO flags (name, is_done) VALUES ('flag', ?)", [value])
        db.commit()
    yield tmp_path
    reverse.remove("default", target_tables(["accuracy"]))
    reverse.unfreeze_target("default", target_tables(["accuracy"]))
    with connection.cursor() as cursor:
        cursor.execute('DROP TABLE "accuracy"."flags"')


def loaded() -> list[tuple[Any, ...]]:
    return query("SELECT id, is_done FROM accuracy.flags ORDER BY id")


def stored(folder: Path) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(folder / "accuracy_scores.db")) as db:
        return db.execute("SELECT id, is_done FROM flags ORDER BY id").fetchall()


def reasons() -> dict[str | None, str]:
    rows = QuarantinedRow.objects.exclude(status=QuarantinedRow.Status.REPAIRED)
    return {row.key: row.reason for row in rows}


def check_equal() -> None:
    """The judge finds nothing but open rows."""
    proof = judge(selection=OURS, round_trip=True)
    assert not proof.findings.total, [f.sentence() for f in proof.findings.kept]


def test_the_whole_journey_of_a_new_kind(folder: Path) -> None:
    predicted = inspect_files(OURS).tables[0].prediction
    install_capture("default", OURS)
    run_import(selection=OURS)
    assert loaded() == [(1, False), (2, True), (3, None), (4, True)]
    assert reasons() == {"5": "out_of_range", "6": "blob"}
    assert (predicted.quarantined, predicted.repaired) == (2, 1)
    check_equal()

    change(
        folder,
        "accuracy",
        "UPDATE flags SET is_done = 1 - is_done WHERE id < 3",
        "DELETE FROM flags WHERE id > 4",
        "INSERT INTO flags (name, is_done) VALUES ('late', 0)",
    )
    follow(FollowOptions(OURS, once=True))
    assert loaded() == [(1, True), (2, False), (3, None), (4, True), (7, False)]
    check_equal()

    cut_over()
    query("UPDATE accuracy.flags SET is_done = NOT is_done WHERE id IN (2, 4)")
    query("INSERT INTO accuracy.flags (name, is_done) VALUES ('new', true), ('new', NULL)")
    roll_back()
    assert stored(folder) == [(1, 1), (2, 1), (3, None), (4, 0), (7, 0), (8, 1), (9, None)]
    check_equal()


def test_a_wrong_boolean_is_found(folder: Path) -> None:
    run_import(selection=OURS)
    query("UPDATE accuracy.flags SET is_done = NOT is_done WHERE id IN (1, 4)")
    found = {(f.key, f.expected, f.found) for f in judge(selection=OURS).findings.kept}
    assert found == {("1", "False", "True"), ("4", "True", "False")}


def test_every_kind_has_one_class_on_each_side() -> None:
    """Fails while a kind is declared, or registered, on one side only."""
    declared = {
        kind
        for _, kind in inspect.getmembers(kinds, inspect.isclass)
        if issubclass(kind, Kind) and kind is not Kind
    }
    assert declared == set(LOADERS) == set(JUDGES)
    assert len(set(LOADERS.values())) == len(set(JUDGES.values())) == len(declared)


@pytest.mark.parametrize("side", [LOADERS, JUDGES])
@pytest.mark.parametrize("kind", LOADERS)
def test_a_class_says_all_that_has_no_default(side: dict[Any, Any], kind: type[Kind]) -> None:
    base = KindLoader if side is LOADERS else KindJudge
    must = "convert" if side is LOADERS else "expect"
    assert getattr(side[kind], must) is not getattr(base, must)


def test_nothing_else_asks_which_kind_a_column_is() -> None:
    """But for a reference's parent, which is structure, the check of `Timestamp.after`, and
    `project/`, which makes the kinds of a project's fields."""
    asks = re.compile(r"case (?:kinds\.)?[A-Z]\w*\(|isinstance\([\w.]*kind, (?:kinds\.)?(\w+)")
    engine = Path(kinds.__file__).parents[1]
    found = {
        (str(path.relative_to(engine)), match[1])
        for path in engine.rglob("*.py")
        if path.parent != engine / "project"
        for match in asks.finditer(path.read_text())
    }
    assert {(path, kind) for path, kind in found if kind != "Reference"} == {
        ("checks.py", "Timestamp")
    }
