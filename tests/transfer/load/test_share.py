"""Several importers on one ledger, as processes of their own: each range is loaded once."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest

from stillme.demo.samples import make_bulk
from stillme.transfer.models import Chunk, Run, SharedRange
from stillme.transfer.selection import Selection
from stillme.transfer.steps.loading.import_options import ImportResult
from stillme.transfer.steps.rows.outcome import Outcome
from tests.transfer.load.support import blocked, content, query, run_import, schema, wait_until
from tests.transfer.load.test_faults import empty_target, settle

pytestmark = pytest.mark.django_db(transaction=True)
ROOT = Path(__file__).parents[3]
ROWS, CHUNK = 1200, 40
FILE = "knowledge_retention.db"


@pytest.fixture
def bulk(tmp_path: Path, use_legacy_files: Callable[[Path], None]) -> Path:
    """One table of 1,200 rows: 30 ranges."""
    make_bulk(tmp_path / "data", "knowledge_items", ROWS)
    use_legacy_files(tmp_path / "data")
    return tmp_path / "data"


def start(environment: dict[str, str], *options: str) -> subprocess.Popen[str]:
    """The real command."""
    return subprocess.Popen(
        [sys.executable, str(ROOT / "manage.py"), "import_sqlite", "--format", "json", *options],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def lead(environment: dict[str, str], *options: str) -> subprocess.Popen[str]:
    wanted = ("--table", "knowledge_items", "--chunk-rows", str(CHUNK))
    return start(environment, "--share", "--jobs", "1", *wanted, *options)


def import_table(**options: Any) -> ImportResult:
    """The same in this process."""
    return run_import(selection=Selection(tables=("knowledge_items",)), **options)


def ended(process: subprocess.Popen[str], status: int = 0) -> tuple[str, str]:
    out, errors = process.communicate(timeout=120)
    assert process.returncode == status, out + errors
    return out, errors


def answer(process: subprocess.Popen[str]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(ended(process)[0])
    return found


def waiting() -> int:
    """How many sessions wait for a row that is in the way."""
    return int(
        query(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() "
            "AND wait_event IN ('transactionid', 'SpeculativeToken')"
        )[0][0]
    )


def helpers() -> int:
    """How many sessions of workers there are: a joining importer has at least one."""
    return int(
        query(
            "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND mode = 'ShareLock' "
            "AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
        )[0][0]
    )


def expected() -> tuple[dict[str, list[str]], list[tuple[Any, ...]]]:
    """The content after an import by one process, and the schema."""
    import_table(chunk_rows=CHUNK)
    wanted = content()
    empty_target()
    return wanted, schema()


def done() -> list[str]:
    """Who has loaded a range, once for each."""
    return list(SharedRange.objects.exclude(done_by="").values_list("done_by", flat=True))


@pytest.mark.parametrize("jobs", [1, 2])
def test_two_importers_share_the_work(
    bulk: Path, target_environment: dict[str, str], jobs: int
) -> None:
    wanted, declared = expected()
    with blocked(1):
        leader = lead(target_environment)
        wait_until(waiting, "the leader is at the first range")
        with ExitStack() as held_up:
            if jobs > 1:
                # The worker that comes first waits at the last range: the rest is the other's.
                held_up.enter_context(blocked(ROWS))
            helper = start(target_environment, "--join", "--jobs", str(jobs))
            wait_until(lambda: len(done()) >= 5, "help")
        wait_until(lambda: len(set(done())) == jobs, "every worker has loaded something")
    led, joined = answer(leader), answer(helper)
    assert content() == wanted
    assert schema() == declared
    (table,) = led["tables"]
    assert table["legacy_rows"] == table["inserted"] == ROWS
    assert table["chunks"] == ROWS // CHUNK == sum(led["shares"].values())
    assert len(led["shares"]) == 1 + jobs
    assert 5 <= joined["ranges"] < ROWS // CHUNK
    assert joined["rows"] == joined["tables"]["knowledge_items"] == joined["ranges"] * CHUNK
    assert Chunk.objects.count() == ROWS // CHUNK
    # Nobody loaded a range a second time: each was written by one transaction.
    assert len(set(Chunk.objects.values_list("xid", flat=True))) == ROWS // CHUNK
    assert Run.objects.latest("pk").summary["shares"] == led["shares"]


def test_a_joined_importer_that_is_killed_costs_nothing(
    bulk: Path, target_environment: dict[str, str]
) -> None:
    wanted, declared = expected()
    with blocked(1):
        leader = lead(target_environment)
        wait_until(waiting, "the leader is at the first range")
        with blocked(ROWS):
            helper = start(target_environment, "--join", "--jobs", "1")
            wait_until(lambda: waiting() == 2, "the helper is in the middle of the last range")
            os.killpg(helper.pid, signal.SIGKILL)
            helper.communicate()
    led = answer(leader)
    assert led["tables"][0]["legacy_rows"] == ROWS
    assert content() == wanted
    assert schema() == declared


def test_a_leader_that_is_killed_is_followed_by_the_next(
    bulk: Path, target_environment: dict[str, str]
) -> None:
    wanted, declared = expected()
    with blocked(1):
        leader = lead(target_environment)
        wait_until(waiting, "the leader is at the first range")
        helper = start(target_environment, "--join", "--jobs", "1")
        wait_until(lambda: len(done()) >= 3, "help")
        os.killpg(leader.pid, signal.SIGKILL)
        leader.communicate()
        _, errors = ended(helper, status=2)
    assert re.search(r"run \d+\) ended early.*import_sqlite --share", errors)
    settle()
    again = answer(lead(target_environment))
    assert again["tables"][0]["legacy_rows"] == ROWS
    assert again["tables"][0]["skipped_chunks"] >= 3
    assert content() == wanted
    assert schema() == declared


def test_a_range_that_another_importer_has_is_waited_for(
    bulk: Path, target_environment: dict[str, str]
) -> None:
    wanted, _ = expected()
    with blocked(ROWS):
        with blocked(1):
            leader = lead(target_environment)
            wait_until(waiting, "the leader is at the first range")
            helper = start(target_environment, "--join", "--jobs", "1")
            wait_until(lambda: waiting() == 2, "the helper is at the last range")
        open_ranges = SharedRange.objects.filter(outcome__isnull=True)
        wait_until(lambda: open_ranges.count() == 1, "the leader has everything else")
        assert leader.poll() is None
    led, joined = answer(leader), answer(helper)
    assert joined["ranges"] == 1
    assert sum(led["shares"].values()) == ROWS // CHUNK
    assert content() == wanted


def test_another_file_is_not_joined(
    bulk: Path, target_environment: dict[str, str], tmp_path: Path
) -> None:
    other = tmp_path / "other"
    shutil.copytree(bulk, other)
    with closing(sqlite3.connect(other / FILE)) as legacy, legacy:
        legacy.execute("UPDATE knowledge_items SET content = 'changed' WHERE id = 7")
    with blocked(1):
        leader = lead(target_environment)
        wait_until(waiting, "the leader is at the first range")
        there = {**target_environment, "LEGACY_KNOWLEDGE_PATH": str(other / FILE)}
        _, errors = ended(start(there, "--join"), status=2)
        assert f"{other / FILE} is not the file that the running import reads" in errors
        zone = {**target_environment, "LEGACY_TIME_ZONE": "Asia/Ho_Chi_Minh"}
        _, errors = ended(start(zone, "--join"), status=2)
        assert "LEGACY_TIME_ZONE" in errors
        assert not done()
    assert answer(leader)["conserved"]


def test_a_copy_of_the_same_file_is_joined(
    bulk: Path, target_environment: dict[str, str], tmp_path: Path
) -> None:
    shutil.copytree(bulk, tmp_path / "copy")
    there = {**target_environment, "LEGACY_KNOWLEDGE_PATH": str(tmp_path / "copy" / FILE)}
    with blocked(1):
        leader = lead(target_environment)
        wait_until(waiting, "the leader is at the first range")
        helper = start(there, "--join", "--jobs", "1")
        wait_until(done, "help")
    assert answer(leader)["conserved"]
    assert answer(helper)["ranges"] >= 1


def test_nothing_to_join(bulk: Path, target_environment: dict[str, str]) -> None:
    _, errors = ended(start(target_environment, "--join"), status=2)
    assert "import_sqlite --share" in errors
    import_table(share=True)
    empty_target()
    _, errors = ended(start(target_environment, "--join"), status=2)
    assert "import_sqlite --share" in errors
    with blocked(1):
        alone = start(target_environment, "--jobs", "1")
        wait_until(waiting, "an import that does not share")
        _, errors = ended(start(target_environment, "--join"), status=2)
        assert "import_sqlite --share" in errors
    ended(alone)


def test_what_the_leader_says_is_not_said_again(target_environment: dict[str, str]) -> None:
    for option in (["--prune"], ["--table", "knowledge_items"], ["--share"], ["--dry-run"]):
        _, errors = ended(start(target_environment, "--join", *option), status=2)
        assert f"leave out {option[0]}" in errors


def test_a_shared_import_alone_is_an_import(bulk: Path) -> None:
    wanted, declared = expected()
    first = import_table(chunk_rows=CHUNK, share=True)
    assert content() == wanted
    again = import_table(chunk_rows=CHUNK, share=True, jobs=2)
    assert again.tables[0].skipped_chunks == ROWS // CHUNK
    assert sum(first.shares.values()) == sum(again.shares.values()) == ROWS // CHUNK
    assert SharedRange.objects.count() == ROWS // CHUNK
    assert content() == wanted
    assert schema() == declared


def test_an_outcome_comes_back_from_the_ledger_whole(bulk: Path) -> None:
    with closing(sqlite3.connect(bulk / FILE)) as legacy, legacy:
        legacy.execute("UPDATE knowledge_items SET metadata = '{\"a\": NaN}' WHERE id = 3")
        legacy.execute("UPDATE knowledge_items SET content = x'FF' WHERE id = 50")
    plain = import_table(chunk_rows=CHUNK).tables[0].outcome
    empty_target()
    shared = import_table(chunk_rows=CHUNK, share=True).tables[0].outcome
    assert shared == plain
    assert shared.quarantined + shared.repaired == 2
    stored = [Outcome(**found) for found in SharedRange.objects.values_list("outcome", flat=True)]
    summed = Outcome()
    for outcome in stored:
        summed.add(outcome)
    assert summed == plain
