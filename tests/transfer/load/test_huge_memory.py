"""A huge value, and a range of rows of which none is usual: processes keep to their memory.

No process holds a text of 50 MB. A document of 17 MB (a sample: 6 MB) is read whole:
docs/reference/values.md says how much memory that takes, and it must not take more. (Usual rows
take some 70 MB.)
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from stillme.demo.samples import make_bulk
from tests.campaigns import size
from tests.in_memory import public_place
from tests.ops.servers import copy_cluster

pytestmark = [pytest.mark.embedded, pytest.mark.slow(campaign=True)]
ROOT = Path(__file__).parents[3]
# Most for a document that differs: the judge holds both sides as trees.
MOST_MB = {"content": 100, "metadata": size(560, 1_400)}
MEMBERS = size(70_000, 200_000)
LEAST_BYTES = {"content": 50_000_000, "metadata": 85 * MEMBERS}
TEXT = "paragraph: \u00e9\u20ac\U0001f600 \\N %s \n"
MEMBER = '"member %07d": {"title": "th\u1ee9c \\ud83d\\ude00", "score": %d.5, "tags": ["abcd", {}]}'
# A process starts with the size of the one that started it: this one is small.
COUNTED = """
import resource, subprocess, sys
done = subprocess.run(sys.argv[1:], capture_output=True, text=True)
sys.stderr.write(done.stdout + done.stderr)
print(done.returncode, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""


@pytest.fixture
def environment(request: pytest.FixtureRequest, migrated_cluster: Path) -> Iterator[dict[str, str]]:
    """A migrated cluster and legacy files of its own; the server's account must reach the place."""
    place = Path(tempfile.mkdtemp(prefix="stillme-test-", dir=public_place()))
    place.chmod(0o755)
    copy_cluster(migrated_cluster, place / "cluster")
    make_bulk(place / "data", "knowledge_items", getattr(request, "param", 300))
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("LEGACY", "DATABASE"))}
    yield {
        **kept,
        "EMBEDDED_POSTGRES_DIR": str(place / "cluster"),
        "LEGACY_DATA_DIR": str(place / "data"),
        "SECRET_KEY": "only-for-tests",
    }
    shutil.rmtree(place, ignore_errors=True)


def run(environment: dict[str, str], *arguments: str) -> tuple[int, int]:
    """Exit status and peak MB of a command, of the largest of its processes."""
    manage = [sys.executable, str(ROOT / "manage.py"), *arguments]
    done = subprocess.run(
        [sys.executable, "-S", "-c", COUNTED, *manage],
        env=environment,
        capture_output=True,
        text=True,
        timeout=600,
    )
    status, peak = done.stdout.split()
    return int(status), int(peak) // 1024


def long_text(mark: str) -> str:
    return TEXT % "\x01" * 1_900_000 + mark


def long_document(mark: str) -> str:
    members = ", ".join(MEMBER % (number, number) for number in range(MEMBERS))
    return '{"mark": "%s", %s}' % (mark, members)  # noqa: UP031


def write(environment: dict[str, str], column: str, value: str) -> None:
    assert len(value.encode()) > LEAST_BYTES[column]
    path = Path(environment["LEGACY_DATA_DIR"]) / "knowledge_retention.db"
    with closing(sqlite3.connect(path)) as legacy, legacy:
        middle = legacy.execute("SELECT id FROM knowledge_items LIMIT 1 OFFSET 200").fetchone()
        legacy.execute(f"UPDATE knowledge_items SET {column} = ? WHERE id = ?", (value, *middle))


@pytest.mark.parametrize(("column", "value"), [("content", long_text), ("metadata", long_document)])
def test_a_huge_value_needs_so_much_memory(
    environment: dict[str, str], column: str, value: Callable[[str], str]
) -> None:
    write(environment, column, value("first"))
    peaks = {}
    for name in ("import_sqlite", "verify_migration", "import_sqlite"):
        status, peaks[name] = run(environment, name)
        assert status == 0
    write(environment, column, value("second"))
    status, peaks["verify of a changed one"] = run(environment, "verify_migration")
    assert status == 1
    status, peaks["import of a changed one"] = run(environment, "import_sqlite")
    assert status == 0
    assert max(peaks.values()) < MOST_MB[column], peaks


@pytest.mark.parametrize("environment", [size(15_000, 25_000)], indirect=True)
@pytest.mark.parametrize("bad", ["source = source || char(0)", "metadata = '[NaN]'"])
def test_no_process_holds_what_goes_beside_the_rows(environment: dict[str, str], bad: str) -> None:
    """Every row of a range is set aside, or has an original that is kept. Held as records they
    took more than 300 MB, of 25,000 rows."""
    path = Path(environment["LEGACY_DATA_DIR"]) / "knowledge_retention.db"
    peaks = []
    for change in (bad, "access_count = access_count + 1"):
        with closing(sqlite3.connect(path)) as legacy, legacy:
            legacy.execute(f"UPDATE knowledge_items SET {change}")
        status, peak = run(environment, "import_sqlite")
        assert status == 0
        peaks.append(peak)
    assert max(peaks) < 125, peaks
