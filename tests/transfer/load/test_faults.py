"""kill -9 of importer, worker and server: the same command again ends in the same content."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from multiprocessing.context import ForkProcess as Process
from pathlib import Path

import pytest

from stillme.transfer.models import DroppedObject, Run
from stillme.transfer.postgresql import objects
from stillme.transfer.steps.loading import table_work
from tests.campaigns import SEED, size
from tests.transfer.forked import fork_group, kill_after
from tests.transfer.load.support import blocked, content, query, run_import, schema, wait_until

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.only_files("knowledge", "rss")]
ROOT = Path(__file__).parents[3]


def start_import(environment: dict[str, str], *options: str) -> subprocess.Popen[str]:
    """The real command, as a process group of its own."""
    return subprocess.Popen(
        [sys.executable, str(ROOT / "manage.py"), "import_sqlite", "--chunk-rows", "10", *options],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def finish_import(environment: dict[str, str], *options: str) -> str:
    """Run the command until it gets the lock: a killed worker may still end its chunk."""
    for _ in range(50):
        process = start_import(environment, *options)
        out, _ = process.communicate(timeout=600)
        if "wait" not in out:
            assert process.returncode == 0, out
            return out
        time.sleep(0.1)
    raise AssertionError(out)


def expected(legacy: Path) -> dict[str, list[str]]:
    """The content of an undisturbed run, and an empty target again."""
    run_import()
    wanted = content()
    empty_target()
    return wanted


def empty_target() -> None:
    names = [
        row[0]
        for row in query(
            "SELECT format('%I.%I', schemaname, tablename) FROM pg_tables WHERE schemaname IN "
            "('knowledge', 'continuum', 'rss', 'accuracy', 'transfer')"
        )
    ]
    query(f"TRUNCATE {', '.join(names)} RESTART IDENTITY CASCADE")


def test_killed_once_in_the_middle(legacy: Path, target_environment: dict[str, str]) -> None:
    wanted, declared = expected(legacy), schema()
    # However late this process looks: the import cannot have ended.
    with blocked(9):
        process = start_import(target_environment, "--jobs", "2")
        wait_until(lambda: query("SELECT 1 FROM transfer.chunk"), "a chunk is loaded")
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
    finish_import(target_environment)
    assert content() == wanted
    assert schema() == declared
    assert set(Run.objects.values_list("status", flat=True)) == {"failed", "completed"}


def fork_import(jobs: int) -> Process:
    """An import as a forked process group."""
    return fork_group(lambda: run_import(jobs=jobs, chunk_rows=25))


def settle() -> None:
    """Wait until the sessions of killed processes have ended, and their locks with them."""
    others = (
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() "
        "AND pid <> pg_backend_pid() AND backend_type = 'client backend'"
    )
    wait_until(lambda: query(others) == [(0,)], "the sessions of killed processes end")


@pytest.mark.slow(campaign=True)
def test_killed_at_many_moments(legacy: Path) -> None:
    """At chunk boundaries and inside chunks: the kills are spread over the whole run."""
    wanted, declared = expected(legacy), schema()
    dice = random.Random(SEED)
    started = time.monotonic()
    run_import(chunk_rows=25)
    whole = time.monotonic() - started
    kills = 0
    while kills < size(10, 40):
        empty_target()
        for _ in range(5):
            process = fork_import(dice.choice((1, 2)))
            kills += kill_after(process, dice.uniform(0.02, 1.0) * whole)
            settle()
        run_import(chunk_rows=25)
        assert content() == wanted
    assert schema() == declared


def test_indexes_taken_down_by_a_killed_run_are_built_again(
    legacy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    declared = schema()
    relation = '"knowledge"."knowledge_relationships"'
    objects.take_down("default", relation, None)
    assert DroppedObject.objects.count() >= 2
    assert schema() != declared
    run_import()
    assert schema() == declared
    assert not DroppedObject.objects.exists()


@pytest.mark.slow
def test_large_tables_have_their_indexes_back(
    legacy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    declared = schema()
    wanted = expected(legacy)
    monkeypatch.setattr(table_work, "LARGE_TABLE_ROWS", 1)
    run_import()
    assert content() == wanted
    assert schema() == declared


@pytest.mark.slow
def test_a_failure_while_indexes_are_down_is_mended_by_the_next_run(
    legacy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    declared = schema()
    wanted = expected(legacy)
    monkeypatch.setattr(table_work, "LARGE_TABLE_ROWS", 1)

    def broken(*arguments: object) -> None:
        raise RuntimeError("the power went out")

    with monkeypatch.context() as patch:
        patch.setattr(table_work, "set_sequence", broken)
        with pytest.raises(RuntimeError, match="power"):
            run_import()
    run_import()
    assert content() == wanted
    assert schema() == declared
