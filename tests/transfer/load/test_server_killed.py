"""The server stopped in the middle (`pg_ctl stop -m immediate`): one sentence, then it goes on."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from stillme.demo.samples import make_samples
from tests.in_memory import public_place
from tests.ops.servers import copy_cluster

pytestmark = [pytest.mark.embedded, pytest.mark.slow(campaign=True)]
ROOT = Path(__file__).parents[3]


@pytest.fixture
def environment(migrated_cluster: Path) -> Iterator[dict[str, str]]:
    """A migrated cluster and legacy files of its own; the server's account must reach the place."""
    place = Path(tempfile.mkdtemp(prefix="stillme-test-", dir=public_place()))
    place.chmod(0o755)
    copy_cluster(migrated_cluster, place / "cluster")
    make_samples(place / "data", rows=400, variant="clean")
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("LEGACY", "DATABASE"))}
    yield {
        **kept,
        "EMBEDDED_POSTGRES_DIR": str(place / "cluster"),
        "LEGACY_DATA_DIR": str(place / "data"),
        "SECRET_KEY": "only-for-tests",
    }
    shutil.rmtree(place, ignore_errors=True)


def manage(environment: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(ROOT / "manage.py"), *arguments],
        env=environment,
        capture_output=True,
        text=True,
        timeout=600,
    )


def findings(environment: dict[str, str]) -> Any:
    return json.loads(manage(environment, "verify_migration", "--format", "json").stdout)


def stop_immediately(environment: dict[str, str], importer: subprocess.Popen[str]) -> None:
    """What `pg_ctl stop -m immediate` does: SIGQUIT to the postmaster, if the import still runs."""
    lock = Path(environment["EMBEDDED_POSTGRES_DIR"]) / "data" / "postmaster.pid"
    while importer.poll() is None:
        # A server that comes or goes: no such file, nothing in it yet, no such process any more.
        with suppress(FileNotFoundError, IndexError, ProcessLookupError):
            os.kill(int(lock.read_text().splitlines()[0]), signal.SIGQUIT)
            return
        time.sleep(0.02)


def test_the_same_command_again_goes_on(environment: dict[str, str]) -> None:
    for delay in (0.2, 0.5, 0.9):
        importer = subprocess.Popen(
            [sys.executable, str(ROOT / "manage.py"), "import_sqlite", "--chunk-rows", "10"],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        time.sleep(1.0 + delay)
        stop_immediately(environment, importer)
        _, said = importer.communicate(timeout=600)
        assert "Traceback" not in said
        assert importer.returncode in (0, 2), said
    done = manage(environment, "import_sqlite", "--chunk-rows", "10")
    assert done.returncode == 0, done.stderr
    proof = findings(environment)
    assert proof["findings"] == []
    assert {table["legacy_rows"] for table in proof["tables"]} >= {400}
