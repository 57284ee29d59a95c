"""Whatever the files hold: after an import the judge has no finding, only open decisions."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from stillme.demo.samples.hostile.files import make_hostile
from stillme.transfer.mapping import Unfilled
from stillme.transfer.sqlite.copying.snapshot import take_snapshot
from stillme.transfer.verify.tables.table_cases import make_cases
from tests.made_once import put_samples
from tests.transfer.load.support import FILES, change, query, run_import
from tests.transfer.verify.support import accept_all, judge

pytestmark = pytest.mark.django_db(transaction=True)

UseFiles = Callable[[Path], None]


def check(folder: Path, use_legacy_files: UseFiles) -> None:
    """Import, judge, rebuild the legacy rows; decide about what is set aside, and judge again."""
    use_legacy_files(folder)
    result = run_import()
    aside = sum(table.outcome.quarantined for table in result.tables)
    proof = judge(round_trip=True)
    for table in (table for table in proof.tables if table.file in FILES):
        assert table.round_trip is not None
        assert table.round_trip.rows == table.legacy_rows
        assert set(table.round_trip.spelled_otherwise) <= {"metadata"}
    assert [finding.sentence() for finding in proof.findings.kept] == []
    assert proof.open_rows == aside
    assert proof.exit_status == (1 if aside else 0)
    accept_all()
    after = judge()
    assert [finding.sentence() for finding in after.findings.kept] == []
    assert (after.exit_status, after.open_rows) == (0, 0)


def test_the_hostile_files(tmp_path: Path, use_legacy_files: UseFiles) -> None:
    make_hostile(tmp_path)
    check(tmp_path, use_legacy_files)


@pytest.mark.slow_after(1)
@pytest.mark.parametrize("variant", ["current", "clean", "old", "wal", "disabled"])
def test_the_variants_of_the_sample(
    tmp_path: Path, use_legacy_files: UseFiles, variant: str
) -> None:
    put_samples(tmp_path / "files", rows=50, variant=variant)
    check(tmp_path / "files", use_legacy_files)


@pytest.mark.slow
@pytest.mark.parametrize("zone", ["Asia/Ho_Chi_Minh", "Europe/Berlin"])
def test_a_zone_that_was_given(
    tmp_path: Path, use_legacy_files: UseFiles, settings: object, zone: str
) -> None:
    settings.LEGACY_TIME_ZONE = zone  # type: ignore[attr-defined]
    make_hostile(tmp_path)
    check(tmp_path, use_legacy_files)


@pytest.mark.slow_after(1)
@pytest.mark.parametrize("name", ["clean", "current", "disabled", "old", "wal"])
def test_the_real_files(
    samples: Path, tmp_path: Path, use_legacy_files: UseFiles, name: str
) -> None:
    folder = next(path.parent for path in sorted((samples / name).rglob("rss_fetch_history.db")))
    shutil.copytree(folder, tmp_path / name)
    check(tmp_path / name, use_legacy_files)


@pytest.mark.slow
def test_a_file_that_has_the_column_fills_it(
    legacy: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Somebody moved half-way: the column is mapped, so its value counts, in every row."""
    change(
        legacy,
        "rss",
        "ALTER TABLE rss_fetch_cycles ADD COLUMN error_message TEXT",
        "UPDATE rss_fetch_cycles SET error_message = 'timed out' WHERE id % 2",
        "ALTER TABLE rss_fetch_items ADD COLUMN surplus",
        "UPDATE rss_fetch_items SET surplus = x'00' WHERE id % 2",
    )
    run_import()
    assert judge().findings.kept == []
    snapshot = take_snapshot("rss", legacy / FILES["rss"], tmp_path_factory.mktemp("copy"))
    cases = make_cases("default", snapshot)
    assert cases["rss_fetch_cycles"].mapping.unfilled == ()
    never = (Unfilled("item_published"), Unfilled("error_message"))
    assert cases["rss_fetch_items"].mapping.unfilled == never
    (key,) = query("SELECT max(id) FROM rss.fetch_items WHERE legacy_extra IS NOT NULL")[0]
    query("UPDATE rss.fetch_cycles SET error_message = NULL WHERE id = 1")
    query("UPDATE rss.fetch_items SET error_message = 'late' WHERE id = %s", key)
    found = [(f.where, f.key) for f in judge().findings.kept]
    assert found == [
        ("rss.fetch_cycles:error_message", "1"),
        ("rss.fetch_items:error_message", str(key)),
    ]
