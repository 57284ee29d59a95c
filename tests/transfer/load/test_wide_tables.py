"""A table of many columns: SQLite's limits on one expression are no limits of a table."""

from __future__ import annotations

import io
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import apsw
import pytest
from django.apps.registry import Apps
from django.core.management import CommandError, call_command
from django.db import models

from stillme.transfer import registry
from stillme.transfer.inventory.selection import Selection
from stillme.transfer.plumbing.quoting import chained, concatenated
from stillme.transfer.steps.inspect import inspect_files
from tests.transfer.keyed import legacy_models_of, tables_of
from tests.transfer.load.support import query, run_import
from tests.transfer.verify.support import judge

pytestmark = pytest.mark.django_db(transaction=True)

COLUMNS = 600


def wide(columns: int = COLUMNS, *, texts: int = 2) -> type[models.Model]:
    """Whole numbers, and each of so many columns a text."""
    key: Any = models.BigAutoField(primary_key=True)
    body: dict[str, Any] = {"__module__": __name__, "id": key}
    for n in range(columns):
        field = (
            models.TextField(null=True)
            if n % texts == texts - 1
            else models.IntegerField(null=True)
        )
        body[f"c{n}"] = field
    meta = {"apps": Apps([]), "app_label": "accuracy", "db_table": "k_wide"}
    return type("Wide", (models.Model,), {**body, "Meta": type("Meta", (), meta)})


@pytest.mark.slow
def test_a_table_of_600_columns(
    tmp_path: Path, use_legacy_files: Callable[[Path], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    shape = wide()
    use_legacy_files(tmp_path)
    monkeypatch.setattr(registry, "legacy_apps", legacy_models_of([shape]))
    path = tmp_path / "accuracy_scores.db"
    numbers = [[n if n % 3 else None for n in range(COLUMNS)] for _ in range(3)]
    texts = [[str(v) if n % 2 and v is not None else v for n, v in enumerate(r)] for r in numbers]
    # SQLite itself makes texts of the numbers in columns of texts. Two rows are set aside.
    several = [*texts, numbers[0], ["x", *texts[0][1:]], [*texts[0][:-1], b"x"]]
    rows = [[key, *cells] for key, cells in enumerate(several, start=1)]
    with tables_of([shape], path):
        with closing(sqlite3.connect(path)) as db, db:
            marks = ", ".join("?" * (COLUMNS + 1))
            db.executemany(f"INSERT INTO k_wide VALUES ({marks})", rows)
        only = Selection(files=("accuracy",))
        (table,) = run_import(selection=only).tables
        assert (table.outcome.loaded, table.outcome.repaired) == (4, 0)
        assert table.outcome.reasons == {"not_a_number": 1, "blob": 1}
        (told,) = inspect_files(only).files[0].tables
        assert (told.prediction.loaded, told.prediction.reasons) == (4, table.outcome.reasons)
        assert judge(selection=only, round_trip=True).findings.kept == []
        query("UPDATE k_wide SET c599 = '598' WHERE id = 3")
        found = [(f.where, f.key) for f in judge(selection=only).findings.kept]
        assert found == [("public.k_wide:c599", "3")]


@pytest.fixture
def of_texts(
    tmp_path: Path, use_legacy_files: Callable[[Path], None], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[int], Selection]]:
    """`of_texts(n)`: a table of that many columns, all texts, with a usual and an odd row."""
    with ExitStack() as stack:

        def make(columns: int) -> Selection:
            shape = wide(columns, texts=1)
            use_legacy_files(tmp_path)
            monkeypatch.setattr(registry, "legacy_apps", legacy_models_of([shape]))
            path = tmp_path / "accuracy_scores.db"
            stack.enter_context(tables_of([shape], path))
            with closing(sqlite3.connect(path)) as db, db:
                db.execute("INSERT INTO k_wide (id, c0) VALUES (1, 'a'), (2, x'00')")
            return Selection(files=("accuracy",))

        yield make


@pytest.mark.slow
def test_a_row_that_is_judged_cell_by_cell(of_texts: Callable[[int], Selection]) -> None:
    """PostgreSQL gives 1,664 results; a text took two, its value and the digest of a huge one."""
    only = of_texts(900)
    (table,) = run_import(selection=only).tables
    assert table.outcome.reasons == {"blob": 1}
    assert judge(selection=only).findings.kept == []
    query("UPDATE k_wide SET c899 = 'b' WHERE id = 1")
    found = [(f.where, f.key) for f in judge(selection=only).findings.kept]
    assert found == [("public.k_wide:c899", "1")]


def test_more_columns_than_sqlite_hands_over(of_texts: Callable[[int], Selection]) -> None:
    of_texts(1100)
    for command in ("import_sqlite", "inspect_sqlite"):
        with pytest.raises(CommandError, match="has a table of 1,000 columns or more"):
            call_command(command, "--file", "accuracy", stdout=io.StringIO())


def test_groups_mean_the_same() -> None:
    parts = [str(n) for n in range(950)]
    asked = chained(parts, "+"), chained(parts, "||"), concatenated(parts)
    ((total, *texts),) = apsw.Connection(":memory:").execute(f"SELECT {', '.join(asked)}")
    assert (total, texts) == (sum(range(950)), ["".join(parts)] * 2)
    assert chained(parts[:3], "AND") == "0 AND 1 AND 2"
    assert concatenated(["a", "b, c"]) == "concat(a, b, c)"
