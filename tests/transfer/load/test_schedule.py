"""What may be done side by side, and what waits for what."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from stillme.transfer.findings import Event
from stillme.transfer.inventory.selection import Selection
from stillme.transfer.registry import legacy_models, parents
from stillme.transfer.sqlite.clock.epochs import read_number_ranges, units_of
from stillme.transfer.sqlite.clock.file_clock import read_clock
from stillme.transfer.sqlite.reading import scan_parts
from stillme.transfer.sqlite.reading.scan_parts import scan_in_parts, scan_on
from stillme.transfer.steps.load import import_files
from stillme.transfer.steps.loading import table_work
from stillme.transfer.steps.loading.import_options import SMALL_FILES, ImportOptions
from stillme.transfer.steps.loading.plan import make_plan
from stillme.transfer.steps.loading.workers import Inline
from tests.made_once import put_samples
from tests.transfer.load.support import content, model_of, query, run_import, schema, wait_until

needs_target = pytest.mark.django_db(transaction=True)


@pytest.mark.slow_after(1)
@needs_target
@pytest.mark.parametrize("jobs", [1, 2])
def test_a_table_waits_for_its_parents(
    legacy: Path, monkeypatch: pytest.MonkeyPatch, jobs: int
) -> None:
    told: list[Event] = []
    monkeypatch.setattr(table_work, "LARGE_TABLE_ROWS", 1)
    declared = schema()
    result = import_files(ImportOptions(jobs=jobs, chunk_rows=7), told.append)
    begun: dict[str, int] = {}
    ended: dict[str, int] = {}
    done: dict[str, int] = {}
    rows = {table.table: table.outcome.legacy_rows for table in result.tables}
    for moment, event in enumerate(told):
        if event.name == "progress":
            name = event.data["table"]
            begun.setdefault(name, moment)
            if event.data["rows"] == rows[name]:
                ended.setdefault(name, moment)
        elif event.name == "done":
            done[event.data["table"]] = moment
    assert set(done) == set(rows) == {model._meta.db_table for model in legacy_models()}
    children = [name for name in rows if parents(model_of(name))]
    assert children
    for name in children:
        for parent in parents(model_of(name)):
            assert ended[parent] < begun[name]
            assert done[parent] < done[name]
    assert schema() == declared


@pytest.mark.slow
@needs_target
def test_results_come_in_the_same_order_whoever_worked(legacy: Path) -> None:
    single = run_import(jobs=1)
    wanted = content()
    for jobs in (2, 3):
        again = run_import(jobs=jobs)
        assert [t.table for t in again.tables] == [t.table for t in single.tables]
        assert again.conserved
    assert content() == wanted


@pytest.mark.slow_after(1)
@needs_target
@pytest.mark.parametrize("jobs", [1, 2])
def test_what_fails_after_a_load_fails_the_run(
    legacy: Path, monkeypatch: pytest.MonkeyPatch, jobs: int
) -> None:
    def broken(*arguments: object) -> None:
        raise RuntimeError("the power went out")

    with monkeypatch.context() as patch:
        patch.setattr(table_work, "set_sequence", broken)
        with pytest.raises(RuntimeError, match="power"):
            run_import(jobs=jobs)
    assert run_import(jobs=jobs).conserved


@pytest.mark.slow
@needs_target
def test_threads_leave_no_session_behind(legacy: Path) -> None:
    others = (
        "SELECT pid FROM pg_stat_activity WHERE datname = current_database() "
        "AND backend_type = 'client backend' AND pid <> pg_backend_pid()"
    )
    before = set(query(others))
    run_import(jobs=2)
    # The server ends a session some time after it was closed.
    wait_until(lambda: set(query(others)) <= before, "the sessions of the threads end")


def test_small_files_need_no_second_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda process: {0, 1, 5})
    assert ImportOptions().workers(SMALL_FILES - 1) == 1
    assert ImportOptions().workers(SMALL_FILES) == 3
    assert ImportOptions(jobs=2).workers(0) == 2
    monkeypatch.setattr("os.sched_getaffinity", lambda process: set(range(64)))
    assert ImportOptions().workers(SMALL_FILES) == 4


def test_inline_raises_where_it_is_asked() -> None:
    assert Inline().submit(lambda: 7).result() == 7
    with pytest.raises(ZeroDivisionError):
        Inline().submit(lambda: 1 // 0)


@pytest.mark.slow_after(2)
@pytest.mark.parametrize("threads", [1, 2, 3, 5])
def test_a_scan_in_parts_sees_every_row_once(
    tmp_path: Path,
    use_legacy_files: Callable[[Path], None],
    monkeypatch: pytest.MonkeyPatch,
    threads: int,
) -> None:
    monkeypatch.setattr(scan_parts, "_LEAST_ROWIDS", 0)
    put_samples(tmp_path, rows=60, files=["rss"])
    use_legacy_files(tmp_path)
    path = tmp_path / "rss_fetch_history.db"
    with closing(sqlite3.connect(path)) as legacy:
        legacy.execute("UPDATE rss_fetch_items SET id = -id WHERE id % 3 = 0")
        legacy.execute("UPDATE rss_fetch_items SET fetch_timestamp = 1.7e9 + id WHERE id > 50")
        legacy.execute("UPDATE rss_fetch_items SET id = 9223372036854775807 WHERE id = 1")
        legacy.commit()
    (tmp_path / "copies").mkdir()
    plan = make_plan(Selection(files=("rss",)), tmp_path / "copies", lambda event: None)
    mappings = [planned.job.mapping for planned in plan.tables]
    copy = plan.snapshots[0].path
    scan: Any = partial(scan_in_parts, copy, threads=threads)
    with closing(sqlite3.connect(path)) as whole:
        for mapping in mappings:
            ranges = read_number_ranges(scan, mapping)
            assert ranges == read_number_ranges(scan_on(whole), mapping)
            count = f"SELECT count(*) FROM {mapping.table} WHERE "
            rows = sum(part for (part,) in scan(mapping, count.__add__))
            assert (rows,) == whole.execute(f"{count} 1").fetchone()
        assert read_clock(whole, mappings, "auto", scan) == read_clock(whole, mappings)
        assert read_clock(whole, mappings).evidence
    items = next(m for m in mappings if m.table == "rss_fetch_items")
    assert units_of(read_number_ranges(scan, items))["fetch_timestamp"] == "seconds"


def test_a_scan_of_a_damaged_copy_is_an_error_of_sqlite(
    tmp_path: Path, use_legacy_files: Callable[[Path], None]
) -> None:
    put_samples(tmp_path, rows=60, files=["rss"])
    use_legacy_files(tmp_path)
    (tmp_path / "copies").mkdir()
    plan = make_plan(
        Selection(tables=("rss_fetch_items",)),
        tmp_path / "copies",
        lambda event: None,
    )
    copy = plan.snapshots[0].path
    data = bytearray(copy.read_bytes())
    data[8192:] = b"\xff" * (len(data) - 8192)
    copy.write_bytes(data)
    scan: Any = partial(scan_in_parts, copy, threads=2)
    with pytest.raises(sqlite3.DatabaseError):
        read_number_ranges(scan, plan.tables[0].job.mapping)
