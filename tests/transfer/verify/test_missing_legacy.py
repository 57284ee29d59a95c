"""What was loaded and is gone is a finding; what never was is a feature that is off."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.core.management import call_command

from stillme.transfer.errors import LegacyFileError
from stillme.transfer.findings import FindingKind
from stillme.transfer.inventory.selection import Selection
from stillme.transfer.registry import legacy_models
from stillme.transfer.steps.cutover import CutoverOptions, check_cutover
from stillme.transfer.steps.status import overview
from stillme.transfer.verify.result import VerifyResult
from tests.transfer.load.support import FILES, change, content, query, run_import
from tests.transfer.verify.support import JUDGE, accept_all, judge

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.only_files("rss", "accuracy")]
RSS = Selection(files=("rss",))
ITEMS = Selection(tables=("rss_fetch_items",))
LEDGER = ("run_table", "run_file", "chunk")


@pytest.fixture
def data(legacy: Path) -> Path:
    run_import()
    accept_all()
    return legacy


def deleted(data: Path) -> None:
    (data / FILES["rss"]).unlink()


def emptied(data: Path) -> None:
    (data / FILES["rss"]).write_bytes(b"")


def dropped(data: Path) -> None:
    change(data, "rss", "DROP TABLE rss_fetch_items")


def renamed(data: Path) -> None:
    change(data, "rss", "ALTER TABLE rss_fetch_items RENAME TO rss_fetch_items_old")


def become_a_view(data: Path) -> None:
    renamed(data)
    change(data, "rss", "CREATE VIEW rss_fetch_items AS SELECT * FROM rss_fetch_items_old")


def wrong_path(data: Path) -> None:
    settings.TRANSFER["FILES"]["rss"]["path"] = data / "nowhere" / "rss.db"


def a_file_for_a_folder(data: Path) -> None:
    settings.TRANSFER["FILES"]["rss"]["path"] = data / FILES["accuracy"] / "rss.db"


def ledger_forgotten(data: Path) -> None:
    """Rows that no legacy explains, and no ledger either."""
    deleted(data)
    for table in LEDGER:
        query(f"DELETE FROM transfer.{table}")
    query("DELETE FROM transfer.quarantined_row WHERE file = 'rss'")


def both_gone(data: Path) -> None:
    """Only the ledger knows that there was something."""
    deleted(data)
    query("TRUNCATE rss.fetch_items, rss.fetch_cycles")


def only_set_aside(data: Path) -> None:
    """Only the quarantine knows."""
    query("UPDATE transfer.quarantined_row SET file = 'rss', \"table\" = 'rss_fetch_items'")
    both_gone(data)
    query("DELETE FROM transfer.run_table")
    query("DELETE FROM transfer.run_file")


GONE: list[Callable[[Path], None]] = [
    deleted,
    both_gone,
    emptied,
    dropped,
    renamed,
    become_a_view,
    wrong_path,
    a_file_for_a_folder,
    ledger_forgotten,
    only_set_aside,
]


def missing(result: VerifyResult) -> list[str]:
    found = [f for f in result.findings.kept if f.kind is FindingKind.MISSING_LEGACY]
    return [finding.sentence() for finding in found]


ASKED: list[dict[str, Any]] = [{}, {"level": "counts"}, {"selection": RSS}, {"selection": ITEMS}]


@pytest.mark.slow_after(2)
@pytest.mark.parametrize("goes", GONE)
def test_everybody_says_so_and_nothing_is_deleted(data: Path, goes: Callable[[Path], None]) -> None:
    goes(data)
    before = content()
    for options in ASKED if goes is deleted else ASKED[::3]:
        result = judge(**options)
        (named,) = [text for text in missing(result) if "rss.fetch_items" in text]
        assert str(settings.TRANSFER["FILES"]["rss"]["path"]) in named
        assert "rows of rss_fetch_items" in named
        if goes not in (ledger_forgotten, only_set_aside):
            assert "loaded from" in named
        assert result.verdict.startswith("NOT PROVEN")
        assert result.exit_status == 1
    (line, *_) = [x for x in check_cutover(CutoverOptions(), JUDGE) if x.subject == "rss: legacy"]
    assert line.colour == "no-go"
    assert not line.override
    (status,) = [file for file in overview("default").files if file.file == "rss"]
    assert "rss_fetch_" in status.problem
    out = StringIO()
    with pytest.raises(SystemExit) as ended:
        call_command("import_sqlite", "--prune", "--jobs", "1", stdout=out)
    assert ended.value.code == 1
    assert "missing rss: " in out.getvalue()
    assert content() == before


@pytest.mark.slow_after(1)
@pytest.mark.parametrize("goes", [deleted, emptied, dropped, wrong_path])
def test_only_what_was_asked_for_counts(data: Path, goes: Callable[[Path], None]) -> None:
    goes(data)
    for selection in (Selection(files=("accuracy",)), Selection(tables=("accuracy_scores",))):
        assert judge(selection=selection).exit_status == 0
        assert not run_import(selection=selection).missing


@pytest.mark.slow
@pytest.mark.only_files(*FILES)
def test_no_file_at_all_is_left(data: Path) -> None:
    shutil.rmtree(data)
    result = judge()
    tables = {model.target_model()._meta.db_table.replace('"', "") for model in legacy_models()}
    assert {f.where for f in result.findings.kept} >= tables
    assert result.exit_status == 1
    assert {line.table for line in run_import().missing} >= {"rss_fetch_items", "tier_audit"}
    assert all(line.colour == "no-go" for line in check_cutover(CutoverOptions(), JUDGE))


def test_nothing_was_ever_loaded_and_nothing_is_there(legacy: Path) -> None:
    shutil.rmtree(legacy)
    for work in (judge, run_import, lambda: check_cutover(CutoverOptions(), JUDGE)):
        with pytest.raises(LegacyFileError, match="No legacy file with tables"):
            work()


def test_files_one_folder_below_are_named(
    legacy: Path, tmp_path_factory: Any, use_legacy_files: Callable[[Path], None]
) -> None:
    own = tmp_path_factory.mktemp("own")
    shutil.copytree(legacy, own / "data")
    use_legacy_files(own)
    with pytest.raises(LegacyFileError, match=f"Files of these names are in {own / 'data'}\\."):
        run_import()


@pytest.mark.slow_after(1)
@pytest.mark.parametrize("goes", [deleted, emptied, dropped, wrong_path])
def test_a_feature_that_was_never_on_is_a_notice(
    legacy: Path, goes: Callable[[Path], None]
) -> None:
    goes(legacy)
    assert not run_import().missing
    accept_all()
    result = judge()
    assert not missing(result)
    assert any(notice.startswith("rss: ") for notice in result.notices)
    assert result.exit_status == 0
    assert not [x for x in check_cutover(CutoverOptions(), JUDGE) if x.subject == "rss: legacy"]


@pytest.mark.slow
def test_a_loaded_file_without_rows(legacy: Path) -> None:
    change(legacy, "rss", "DELETE FROM rss_fetch_items", "DELETE FROM rss_fetch_cycles")
    run_import()
    deleted(legacy)
    (named,) = missing(judge(selection=RSS))
    assert "it was loaded from" in named


@pytest.mark.slow
def test_rows_of_the_new_life_are_not_missing(data: Path) -> None:
    """A feature that was switched on after the cut-over has no file, and never had."""
    ledger_forgotten(data)
    query(
        "INSERT INTO transfer.reverse_change (relation, key, at) "
        "SELECT 'rss.fetch_items', id::text, now() FROM rss.fetch_items UNION ALL "
        "SELECT 'rss.fetch_cycles', NULL, now()"
    )
    assert not missing(judge())


@pytest.mark.parametrize("named", ["rss", "vector"])
def test_a_path_that_a_setting_names_is_not_a_feature_that_is_off(legacy: Path, named: str) -> None:
    """A misspelt path was skipped with a notice, and everything else was PROVEN."""
    if named == "rss":
        (legacy / FILES["rss"]).unlink()
        settings.TRANSFER["FILES"]["rss"]["optional"] = False
    else:
        settings.LEGACY_VECTOR_DIR = legacy / "vectors"
    assert [line.known for line in run_import().missing] == ["the settings name it"]
    accept_all()
    result = judge()
    assert len(missing(result)) == 1
    assert result.exit_status == 1
    reds = [
        line
        for line in check_cutover(CutoverOptions(), JUDGE)
        if line.subject == f"{named}: legacy"
    ]
    assert [line.colour for line in reds] == ["no-go"]
