"""Fixtures every test may use: the database, the legacy files, the samples."""

from __future__ import annotations

import fcntl
import gc
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from django.conf import settings
from django.db import connections
from django.test import TransactionTestCase
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings

from stillme.services import coroutines
from tests import campaigns
from tests.empty_database import empty_after_test
from tests.in_memory import give_back, keep_compiled, use_memory
from tests.ops.servers import copy_cluster, scratch, wait_until
from tests.scenes import Stage
from tests.sorts import later_cases, long_files_first, mark_later_cases, not_drawn
from tests.template_database import cloned_database

ROOT = Path(__file__).resolve().parent.parent

FAST_HASH = "django.contrib.auth.hashers.MD5PasswordHasher"

# Neither luck nor a slow machine decides: the same examples every time, however long one takes.
# `pytest --hypothesis-profile=search` looks for others.
QUIET = [HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
hypothesis_settings.register_profile(
    "search", deadline=None, print_blob=True, suppress_health_check=QUIET
)
hypothesis_settings.register_profile(
    "same", hypothesis_settings.get_profile("search"), derandomize=True, database=None
)
hypothesis_settings.load_profile("same")

TransactionTestCase._fixture_teardown = empty_after_test


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Temporary files and the server in memory, before the processes of the tests are started."""
    keep_compiled()
    # The hash that guards real passwords takes a third of a second, for each test that logs in.
    settings.PASSWORD_HASHERS = [FAST_HASH, *settings.PASSWORD_HASHERS]
    # Each test's client looks through all static files otherwise: a seventieth of a second.
    settings.WHITENOISE_AUTOREFRESH = True
    if hasattr(config, "workerinput"):
        return
    whole = config.args_source is not pytest.Config.ArgsSource.ARGS
    # Whoever names files means all of their tests. The processes of the tests inherit it.
    os.environ["STILLME_DRAW"] = "1" if whole and not campaigns.WHOLE else ""
    if folder := use_memory(with_server=whole):
        config.add_cleanup(lambda: give_back(folder))


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Which sample of the slow tests it was."""
    if config.option.markexpr != "not slow":
        terminalreporter.write_line(f"campaigns and long tables: {campaigns.SAMPLE}")


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--first-cases`: for a second server, on which statements can differ and values do not."""
    parser.addoption("--first-cases", action="store_true", help="one case of each test")


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_collection_modifyitems(
    config: pytest.Config, items: list[pytest.Item]
) -> Generator[None, None, None]:
    """Mark the later cases of long tables slow before pytest looks at `-m`; then long files first.

    So no process is left with a long one at the end. pytest-django sorts too, by what a test does
    to the database, so the files are sorted when it is done.
    """
    mark_later_cases(items)
    if config.getoption("first_cases"):
        _leave_out(config, items, later_cases(items))
    if os.environ["STILLME_DRAW"]:
        _leave_out(config, items, not_drawn(items, campaigns.SEED))
    yield
    long_files_first(items)


def pytest_collection_finish() -> None:
    """What is loaded by now is no garbage: looking for some is ten times as fast."""
    gc.freeze()


def _leave_out(config: pytest.Config, items: list[pytest.Item], some: list[pytest.Item]) -> None:
    config.hook.pytest_deselected(items=some)
    left_out = set(some)
    items[:] = [item for item in items if item not in left_out]


@pytest.fixture(scope="session", autouse=True)
def signals_count() -> None:
    """Processes of the tests do not inherit that `nohup`, or a shell's `&`, ignores a signal."""
    for number, handler in (
        (signal.SIGINT, signal.default_int_handler),
        (signal.SIGTERM, signal.SIG_DFL),
        (signal.SIGHUP, signal.SIG_DFL),
    ):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, handler)


@pytest.fixture(scope="session")
def django_db_setup(django_test_environment: None, django_db_blocker: Any) -> Iterator[None]:
    """One database per test process, cloned; the legacy aliases are never created or dropped."""
    worker = os.environ.get("PYTEST_XDIST_WORKER", "main")
    with django_db_blocker.unblock(), cloned_database(f"test_stillme_{worker}"):
        yield


@pytest.fixture(scope="module", autouse=True)
def coroutine_threads_let_go() -> Iterator[None]:
    """The threads that services called in coroutines leave keep a session each, without a pool.

    The database of a test that is still in use cannot be copied.
    """
    yield
    if not coroutines._threads.cache_info().currsize:
        return
    pool = coroutines._threads()
    alive = len(pool._threads)
    together = threading.Barrier(alive)

    def let_go(_: int) -> None:
        connections.close_all()
        together.wait(30)

    list(pool.map(let_go, range(alive)))


@pytest.fixture(scope="session")
def all_scenes(tmp_path_factory: pytest.TempPathFactory) -> Stage:
    """The scenes of this test process."""
    return Stage(tmp_path_factory.mktemp("scenes"))


@pytest.fixture
def stage(
    transactional_db: None, all_scenes: Stage, use_legacy_files: Callable[[Path], None]
) -> Callable[[str, Callable[[Path], None]], Path]:
    """`stage(name, make)` puts the scene of this name back, or makes it; its folder (scenes.py)."""

    def show(name: str, make: Callable[[Path], None]) -> Path:
        use_legacy_files(all_scenes.folder_of(name))
        return all_scenes.show(name, make)

    return show


@pytest.fixture(scope="session")
def migrated_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A stopped cluster with all migrations, made by the command; tests copy it (`copy_cluster`).

    Making one takes six seconds of processor time, a copy a tenth of one: the first of the test
    processes that wants one makes it, the others copy that.
    """
    common = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        common = common.parent
    made = common / "migrated cluster"
    with scratch() as folder:
        cluster = folder / "cluster"
        with (common / "migrated cluster.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if made.exists():
                copy_cluster(made, cluster)
            else:
                _migrate_cluster(cluster)
                # Whole or not at all, under the name by which the others find it.
                copy_cluster(cluster, common / "migrated cluster draft")
                (common / "migrated cluster draft").rename(made)
        yield cluster


def _migrate_cluster(cluster: Path) -> None:
    environment = {k: v for k, v in os.environ.items() if k != "DATABASE_URL"}
    subprocess.run(
        [sys.executable, "manage.py", "migrate", "-v0"],
        env={**environment, "EMBEDDED_POSTGRES_DIR": str(cluster), "SECRET_KEY": "for-tests"},
        cwd=ROOT,
        check=True,
    )
    wait_until(lambda: not (cluster / "data" / "postmaster.pid").exists())


@pytest.fixture(scope="session")
def samples(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The legacy files that the old application wrote; tests that need them skip without.

    A copy that everybody may write: a copy of a read-only file is read-only too, and SQLite
    writes beside a file in WAL mode when it is opened.
    """
    given = os.environ.get("STILLME_SAMPLES")
    path = Path(given) if given else ROOT.parent / "shared" / "samples"
    if not path.is_dir():
        pytest.skip(f"the legacy samples are not at {path}: set STILLME_SAMPLES")
    copied = tmp_path_factory.mktemp("samples")
    for found in sorted(path.rglob("*")):
        place = copied / found.relative_to(path)
        if found.is_dir():
            place.mkdir()
        else:
            shutil.copyfile(found, place)
    yield copied
    shutil.rmtree(copied)


@pytest.fixture
def target_environment(django_db_setup: None, settings: Any) -> dict[str, str]:
    """The environment for a command run as a process of its own on the test database."""
    database = connections["default"].settings_dict
    password = f":{quote(database['PASSWORD'], safe='')}" if database["PASSWORD"] else ""
    url = f"postgresql://{quote(database['USER'], safe='')}{password}@/{database['NAME']}"
    url += f"?host={quote(str(database['HOST']), safe='')}&port={database['PORT'] or 5432}"
    return {
        **os.environ,
        "DATABASE_URL": url,
        "SECRET_KEY": "only-for-tests",
        "DJANGO_SETTINGS_MODULE": "stillme.settings",
        **legacy_variables(settings.TRANSFER["FILES"], settings.LEGACY_VECTOR_DIR),
    }


def legacy_variables(files: dict[str, dict[str, Any]], vectors: Path) -> dict[str, str]:
    """The environment variables by which a process finds these legacy files.

    Files of the data directory may be absent; one that is named there must be there.
    """
    named = {
        f"LEGACY_{name.upper()}_PATH": str(file["path"])
        for name, file in files.items()
        if file["path"].parent != vectors.parent
    }
    return {"LEGACY_DATA_DIR": str(vectors.parent), "LEGACY_VECTOR_DIR": str(vectors), **named}


@pytest.fixture
def use_legacy_files(settings: Any, request: pytest.FixtureRequest) -> Callable[[Path], None]:
    """`use_legacy_files(directory)` points the settings and the legacy aliases at a data directory.

    Each alias gets a new connection, which Django's test cases neither wrap in a transaction nor
    forbid; the old ones come back after the test.
    """
    if request.node.get_closest_marker("django_db"):
        # Django's test case patches the connections it finds, so it must come first.
        request.getfixturevalue("_django_db_helper")
    original = settings.TRANSFER["FILES"]

    def use(directory: Path) -> None:
        settings.LEGACY_DATA_DIR = directory
        settings.LEGACY_VECTOR_DIR = directory / "vector_db"
        files = {
            name: {**file, "path": directory / file["path"].name} for name, file in original.items()
        }
        settings.TRANSFER = {**settings.TRANSFER, "FILES": files, "DATA_DIR": directory}
        for file in settings.TRANSFER["FILES"].values():
            name = f"file:{quote(str(file['path']))}?mode=ro"
            request.addfinalizer(_point(file["alias"], name))

    return use


def _point(alias: str, name: str) -> Callable[[], None]:
    """Give an alias a new connection to another file; answers what undoes it."""
    before, database = connections[alias], connections.settings[alias]
    original = database["NAME"]
    database["NAME"] = name
    connections[alias] = connection = connections.create_connection(alias)

    def ensure_connection() -> None:
        # In place of the method that Django's test cases patch for aliases they do not manage.
        if connection.connection is None:
            connection.connect()

    connection.ensure_connection = ensure_connection

    def undo() -> None:
        connections[alias].close()
        database["NAME"] = original
        connections[alias] = before

    return undo
