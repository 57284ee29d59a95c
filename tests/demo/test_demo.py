"""`manage.py demo`, and then what its last screen says, to the letter, with files of one's own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from stillme.demo.samples import make_samples
from tests.conftest import ROOT
from tests.fork_server import run_python


def program(environment: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `manage.py` as a shell does: it reads the environment, which names other files here."""
    return run_python(["manage.py", *arguments], ROOT, environment)


@pytest.fixture
def plain(target_environment: dict[str, str], transactional_db: None) -> dict[str, str]:
    """An environment that names the test database and no legacy file."""
    return {k: v for k, v in target_environment.items() if not k.startswith("LEGACY_")}


@pytest.mark.slow
def test_the_story_can_be_told_again(tmp_path: Path, plain: dict[str, str]) -> None:
    samples = {**plain, "LEGACY_DATA_DIR": str(tmp_path / "demo")}
    for rows in ("20", "30"):
        told = program(samples, "demo", "--rows", rows)
        assert told.returncode == 0, told.stdout + told.stderr


@pytest.mark.long
def test_the_story_and_then_files_of_ones_own(tmp_path: Path, plain: dict[str, str]) -> None:
    samples = {**plain, "LEGACY_DATA_DIR": str(tmp_path / "demo")}
    told = subprocess.run(
        [sys.executable, "manage.py", "demo", "--rows", "40"],
        cwd=ROOT, env=samples, stdin=subprocess.DEVNULL, capture_output=True, text=True,
    )  # fmt: skip
    assert told.returncode == 0, told.stdout + told.stderr
    lines = told.stdout.splitlines()
    assert lines[-1].startswith("PROVEN: ")
    assert "could not be loaded and are kept, each with its reason." in lines[-1]
    verdicts = [line.split(":")[0] for line in lines if line.startswith(("PROVEN", "NOT PROVEN"))]
    assert verdicts == ["PROVEN", "NOT PROVEN", "PROVEN", "PROVEN"]
    make_samples(tmp_path / "own", rows=20, variant="clean")
    own = {**plain, "LEGACY_DATA_DIR": str(tmp_path / "own")}
    advised = [line.split("manage.py ")[1] for line in lines if line.startswith("  .venv")]
    assert [line.split()[0] for line in advised] == [
        "createsuperuser", "runserver", "empty_target", "import_sqlite",
    ]  # fmt: skip
    refused = program(own, "import_sqlite")
    assert (refused.returncode, "empty_target" in refused.stderr) == (2, True)
    assert program(own, "empty_target", "--yes").returncode == 0
    assert program(own, "import_sqlite").returncode == 0
    assert program(own, "quarantine", "accept", "--reason", "missing_parent", "--note", "x")
    assert "PROVEN" in program(own, "verify_migration").stdout
