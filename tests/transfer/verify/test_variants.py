"""Whatever the files hold: after an import the judge has no finding, only open decisions."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from stillme.demo.samples import make_samples
from stillme.demo.samples.hostile import make_hostile
from tests.transfer.load.support import run_import
from tests.transfer.verify.support import accept_all, judge

pytestmark = pytest.mark.django_db(transaction=True)

UseFiles = Callable[[Path], None]


def check(folder: Path, use_legacy_files: UseFiles) -> None:
    use_legacy_files(folder)
    result = run_import()
    aside = sum(table.outcome.quarantined for table in result.tables)
    proof = judge()
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


@pytest.mark.parametrize("variant", ["clean", "current", "old", "wal", "disabled"])
def test_the_variants_of_the_sample(
    tmp_path: Path, use_legacy_files: UseFiles, variant: str
) -> None:
    make_samples(tmp_path / "files", rows=50, variant=variant)
    check(tmp_path / "files", use_legacy_files)


@pytest.mark.parametrize("zone", ["Asia/Ho_Chi_Minh", "Europe/Berlin"])
def test_a_zone_that_was_given(
    tmp_path: Path, use_legacy_files: UseFiles, settings: object, zone: str
) -> None:
    settings.LEGACY_TIME_ZONE = zone  # type: ignore[attr-defined]
    make_hostile(tmp_path)
    check(tmp_path, use_legacy_files)


@pytest.mark.parametrize("name", ["clean", "current", "disabled", "old", "wal"])
def test_the_real_files(
    samples: Path, tmp_path: Path, use_legacy_files: UseFiles, name: str
) -> None:
    folder = next(path.parent for path in sorted((samples / name).rglob("rss_fetch_history.db")))
    shutil.copytree(folder, tmp_path / name)
    check(tmp_path / name, use_legacy_files)
