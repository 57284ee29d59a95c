"""`stillme.setup()` in somebody else's process, which must not notice. Each case is a process."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.ops.servers import scratch, wait_until

pytestmark = pytest.mark.django_db(transaction=True)

# What an application may have arranged, and what of it has changed since.
STATE = """
import asyncio, logging, os, signal, sys, threading, time, warnings
import psycopg  # its import gives its own logger a level

def state():
    loggers = [logging.root, *logging.root.manager.loggerDict.values()]
    loggers = [one for one in loggers if isinstance(one, logging.Logger)]
    return {
        "logging": [
            (one.name, one.level, list(one.handlers), list(one.filters), one.disabled)
            for one in loggers
            if one.level or one.handlers or one.filters or one.disabled
        ],
        "logging as such": (logging.getLoggerClass(), logging.getLogRecordFactory(),
                            logging.lastResort, logging.root.manager.disable),
        "zone": (os.environ.get("TZ"), time.tzname, time.timezone, time.localtime(0).tm_hour),
        "signals": {one: signal.getsignal(one) for one in signal.valid_signals()},
        "masked": signal.pthread_sigmask(signal.SIG_BLOCK, []),
        "warnings": (list(warnings.filters), warnings.showwarning),
        "hooks": (sys.excepthook, threading.excepthook, sys.unraisablehook, sys.stdout, sys.stderr),
        "environment": dict(os.environ),
        "folder": os.getcwd(),
    }

def check(before):
    after = state()
    changed = {name: (before[name], after[name]) for name in before if before[name] != after[name]}
    assert not changed, changed
"""
SERVICE = """
def call():
    from knowledge.services import KnowledgeRetention
    assert KnowledgeRetention().add_knowledge("content", "source") > 0
"""
# How the application is made, and how it calls. `before` is the state in between.
CASES = {
    "plainly": """
before = state()
import stillme
stillme.setup()
check(before)
call()
check(before)
stillme.setup()
call()
check(before)
""",
    "its own arrangements": """
logging.basicConfig(level=logging.DEBUG, stream=sys.stdout, format="mine %(message)s")
logging.getLogger("psycopg").setLevel(logging.ERROR)
logging.getLogger("django").disabled = True
signal.signal(signal.SIGTERM, lambda *_: None)
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
signal.signal(signal.SIGINT, signal.SIG_DFL)
warnings.simplefilter("error")
before = state()
import stillme
stillme.setup()
check(before)
call()
check(before)
""",
    "in threads": """
import stillme
from concurrent.futures import ThreadPoolExecutor
before = state()
zones = set()
running = True

def watch():
    while running:
        zones.add(time.localtime(0).tm_hour)

def begin(_):
    stillme.setup()
    call()

watcher = threading.Thread(target=watch)
watcher.start()
with ThreadPoolExecutor(4) as threads:
    list(threads.map(begin, range(4)))
running = False
watcher.join()
check(before)
assert len(zones) == 1, zones
""",
    "in a running loop": """
import stillme

async def main():
    before = state()
    stillme.setup()
    call()
    check(before)
    await asyncio.gather(*(asyncio.to_thread(call) for _ in range(4)))
    check(before)

asyncio.run(main())
""",
    "and forks": """
import stillme
stillme.setup()
call()
before = state()
children = []
for _ in range(2):
    child = os.fork()
    if child == 0:
        try:
            call()
            check(before)
            os._exit(0)
        finally:
            os._exit(1)
    children.append(child)
call()
assert [os.waitpid(child, 0)[1] for child in children] == [0, 0]
call()
check(before)
""",
    "and starts processes": """
import multiprocessing
import stillme
stillme.setup()
# As uvicorn and multiprocessing do: a new Python, that imports the application again.
one = multiprocessing.get_context("spawn").Process(target=exec, args=(
    "import stillme; stillme.setup(); "
    "from knowledge.services import KnowledgeRetention; "
    "assert KnowledgeRetention().add_knowledge('a', 'b') > 0",
    {},
))
if __name__ == "__main__":
    one.start()
    one.join()
    assert one.exitcode == 0
""",
}


def ran(
    program: str, environment: dict[str, str], **variables: str
) -> subprocess.CompletedProcess[str]:
    """A process that is told nothing of Django, like the application's."""
    environment = {**environment, "PYTHONPATH": str(ROOT), "TZ": "Asia/Ho_Chi_Minh", **variables}
    environment.pop("DJANGO_SETTINGS_MODULE", None)
    return subprocess.run(
        [sys.executable, "-c", program],
        env=environment,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=300,
    )


@pytest.mark.slow_after(1)
@pytest.mark.parametrize("case", CASES)
def test_the_process_does_not_notice(case: str, target_environment: dict[str, str]) -> None:
    pool = {"DB_POOL_MAX_SIZE": "2"}
    ended = ran(f"{STATE}{SERVICE}{CASES[case]}print('done')", target_environment, **pool)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.endswith("done\n"), ended.stdout
    assert "Traceback" not in ended.stderr


# Variables of the application's that mean something else to this project, or nothing.
THEIRS = [{"LOG_LEVEL": "info"}, {"LOG_LEVEL": "trace"}, {"LOG_FORMAT": "logfmt"}, {"TZ": ":UTC"}]


@pytest.mark.slow_after(1)
@pytest.mark.parametrize("variables", THEIRS, ids=str)
def test_its_own_variables_stay_its_own(variables: dict[str, str]) -> None:
    ended = ran(
        f"{STATE}before = state()\nimport stillme; stillme.setup(); check(before)", {}, **variables
    )
    assert (ended.returncode, ended.stderr) == (0, "")


@pytest.mark.slow
def test_what_the_env_file_says_is_not_told_to_the_application(tmp_path: Path) -> None:
    """Its Alembic would take our DATABASE_URL for its own."""
    (tmp_path / ".env").write_text("DATABASE_URL=postgresql://me@db/x\nSECRET_KEY=s\n")
    program = (
        f"{STATE}before = state()\nimport stillme; stillme.setup(); check(before)\n"
        "from django.conf import settings; print(settings.DATABASES['default']['HOST'])"
    )
    ended = ran(program, {}, STILLME_HOME=str(tmp_path))
    assert (ended.stdout, ended.stderr) == ("db\n", "")


# How the other project's settings came into the process.
REFUSED = {
    "configured": """
from django.conf import settings
settings.configure(INSTALLED_APPS=[])
""",
    "set up": """
import django
from django.conf import settings
settings.configure()
django.setup()
""",
    "named": """
import types
os.environ['DJANGO_SETTINGS_MODULE'] = 'theirs'
sys.modules['theirs'] = types.ModuleType('theirs')
""",
}


@pytest.mark.slow_after(1)
@pytest.mark.parametrize("case", REFUSED)
def test_django_settings_of_another_project_are_a_sentence(case: str) -> None:
    program = f"""{STATE}{REFUSED[case]}
import stillme
from django.core.exceptions import ImproperlyConfigured
try:
    stillme.setup()
except ImproperlyConfigured as error:
    print(error)
"""
    said = ran(program, {}).stdout
    assert said.startswith("stillme.setup() found the Django settings of another project: ")
    assert said.count("\n") == 1


@pytest.mark.slow
def test_settings_made_from_ours_are_taken(tmp_path: Path) -> None:
    (tmp_path / "theirs.py").write_text("from stillme.settings import *\nDEBUG_OF_MINE = 7\n")
    program = (
        "import os; os.environ['DJANGO_SETTINGS_MODULE'] = 'theirs'\n"
        "import stillme; stillme.setup()\n"
        "from django.conf import settings; print(settings.DEBUG_OF_MINE)"
    )
    ended = ran(program, {}, PYTHONPATH=f"{tmp_path}{os.pathsep}{ROOT}")
    assert ended.stdout == "7\n", ended.stderr


@pytest.mark.slow
def test_after_djangos_own_setup_it_changes_nothing() -> None:
    """A command of the project, or a test under pytest-django, may call it."""
    program = (
        "import os; os.environ['DJANGO_SETTINGS_MODULE'] = 'stillme.settings'\n"
        f"import django; django.setup()\n{STATE}\nbefore = state()\n"
        "import stillme; stillme.setup(); check(before)"
    )
    ended = ran(program, {})
    assert (ended.returncode, ended.stderr) == (0, "")


EMBEDDED = """
before = state()
import stillme
stillme.setup()
from django.db import connection
try:
    connection.ensure_connection()
    print(connection.pg_version // 10_000)
except Exception as error:
    print(error)
check(before)
"""


@pytest.mark.slow_after(1)
@pytest.mark.embedded
@pytest.mark.parametrize(
    ("ignored", "said"), [("SIGTERM", "18\n"), ("SIGCHLD", "process that ignores SIGCHLD: ")]
)
def test_a_guest_may_start_the_embedded_server(ignored: str, said: str) -> None:
    """A signal that the application ignores is ignored by the server's programs, too."""
    program = f"{STATE}\nsignal.signal(signal.{ignored}, signal.SIG_IGN)\n{EMBEDDED}"
    with scratch() as folder:
        ended = ran(program, {}, EMBEDDED_POSTGRES_DIR=str(folder / "cluster"))
        wait_until(lambda: not (folder / "cluster/data/postmaster.pid").exists())
    assert said in ended.stdout, ended.stderr
    assert ended.stderr == ""


def test_in_the_applications_own_tests(tmp_path: Path, target_environment: dict[str, str]) -> None:
    (tmp_path / "conftest.py").write_text("import stillme\nstillme.setup()\n")
    (tmp_path / "test_it.py").write_text(f"{SERVICE}\ndef test_it(): call()\n")
    environment = {**target_environment, "PYTHONPATH": str(ROOT)}
    environment.pop("DJANGO_SETTINGS_MODULE")
    ended = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:django", "-p", "no:cacheprovider"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
